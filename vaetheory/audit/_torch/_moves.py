"""Parameters moved at random, and back."""

from __future__ import annotations

import torch
from torch import nn

from vaetheory.audit._journeys import sums_of


class Moves:
    """The parameters of a module that is lent to the audit.

    Those that are trained are moved; all of them, if none is.
    """

    def __init__(self, module: nn.Module, generator: torch.Generator) -> None:
        named = {n: p for n, p in module.named_parameters() if p.dtype.is_floating_point}
        trained = {n: p for n, p in named.items() if p.requires_grad}
        self.parameters = trained or named
        self._generator = generator
        self._home = {n: p.detach().clone() for n, p in named.items()}
        self._all = named
        self._now = dict(self._home)

    def _random(self, like: torch.Tensor) -> torch.Tensor:
        made = torch.randn(like.shape, generator=self._generator, dtype=torch.float64)
        return made.to(like)

    def directions(self) -> dict[str, torch.Tensor]:
        """A random direction of each parameter."""
        return {n: self._random(p) for n, p in self.parameters.items()}

    def move(self, scale: float, gain: float) -> None:
        """Random changes of relative size `scale`, and matrices multiplied by `gain`.

        What is positive stays so: it may be a scale.
        """
        for name in self.parameters:
            home = self._home[name]
            noise = self._random(home)
            if home.numel() and bool((home > 0).all()):
                self._now[name] = home * torch.exp(0.5 * scale * noise)
                continue
            size = float(home.std()) if home.numel() > 1 else float(home.abs().mean())
            size = size if size > 0 and torch.isfinite(torch.tensor(size)) else 0.1
            self._now[name] = gain * (home + scale * size * noise)
        self.apply()

    def scale(self, factors: dict[str, float]) -> None:
        """Multiply parameters where they are now; what is positive is left."""
        for name, factor in factors.items():
            if not bool((self._home[name] > 0).all()):
                self._now[name] = factor * self._now[name]
        self.apply()

    def home(self) -> None:
        """The parameters as they were given."""
        self._now = dict(self._home)
        self.apply()

    def apply(self) -> None:
        """Set the parameters, also after a function has changed them."""
        # By `.data`: graphs that the user has made before stay usable.
        for name, parameter in self._all.items():
            parameter.data.copy_(self._now[name])

    def offset(self, name: str, step: torch.Tensor) -> None:
        """Move one parameter from where it is now."""
        self._all[name].data.copy_(self._now[name] + step)

    def sums(self) -> dict[str, float]:
        """Sums over the parameters, by which a loss may penalise them."""
        with torch.no_grad():
            each = list(self.parameters.items())
            weights = [p for n, p in each if n.rpartition(".")[2] == "weight"]
            return sums_of([p for _, p in each], weights)
