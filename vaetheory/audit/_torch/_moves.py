"""The parameters of a module of PyTorch, moved in place."""

from __future__ import annotations

import torch
from torch import nn

from vaetheory.audit._moves import Moves


class ModuleMoves(Moves):
    """Moves of the parameters that are trained; of all of them, if none is."""

    def __init__(self, module: nn.Module, generator: torch.Generator) -> None:
        named = {n: p for n, p in module.named_parameters() if p.dtype.is_floating_point}
        trained = {n: p for n, p in named.items() if p.requires_grad} or named
        self._all = named
        self._still = {n: p.detach().clone() for n, p in named.items() if n not in trained}

        def random(like: torch.Tensor) -> torch.Tensor:
            return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)

        super().__init__(
            trained,
            {n: p.detach().clone() for n, p in trained.items()},
            random,
            {n for n in trained if n.rpartition(".")[2] == "weight"},
        )

    def apply(self) -> None:
        """Set the parameters, also after a function has changed them."""
        # By `.data`: graphs that the user has made before stay usable.
        for name, parameter in self._all.items():
            parameter.data.copy_(self._still.get(name, self._now.get(name)))
