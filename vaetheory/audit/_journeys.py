"""How far the parameters of a bench are moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory.audit._shots import Decoded, Shot

#: Outputs are kept below these sizes, where other terms do not drown in rounding.
LOG_SCALES, OUTPUTS = 5.0, 25.0
#: Probabilities are kept this far from 0 and 1: libraries clip log 0 differently.
PROBABILITY = 1e-7


class Journeys:
    """A bench that moves its parameters as far as outputs stay of use."""

    moves: Any
    case: Any
    shot: Any
    _encoder_names: frozenset[str] | None = None

    def _extent(self, x: Any) -> float:
        """The outputs at the present parameters, as a share of the largest moderate ones."""
        raise NotImplementedError

    def _largest_log_variance(self, x: Any) -> float:
        raise NotImplementedError

    def _of_the_encoder(self) -> frozenset[str]:
        """The parameters on which the posterior depends."""
        raise NotImplementedError

    def encoder_names(self) -> frozenset[str]:
        """The parameters that are moved on which the posterior depends."""
        if self._encoder_names is None:
            self._encoder_names = self._of_the_encoder()
        return self._encoder_names

    def moved(self, x: Any, scale: float, gain: float) -> bool:
        """Move the parameters as far as outputs stay moderate and still vary; whether they do.

        A deep network multiplies a gain by itself: the gain is adapted until the outputs are
        neither extreme nor all alike.
        """
        for _ in range(12):
            self.moves.move(scale, gain)
            if self._extent(x) <= 1:
                return True
            gain = 1 + 0.5 * (gain - 1) if gain > 1 else 0.7 * gain
            scale *= 0.8
        self.moves.home()
        return False

    def louder(self, size: int, factor: float) -> Shot:
        """A shot whose normal draws are larger than usual."""
        case = self.case(size)
        draws = [
            d.given(d.array * factor) if d.law == "normal" and d.floating else d for d in case.draws
        ]
        shot: Shot = self.shot(replace(case, draws=draws))
        return shot

    def far(self, size: int, wide: float) -> Shot | None:
        """A shot whose log variances reach about `wide`, with the decoder nearly flat."""
        names = self.encoder_names()
        case = self.case(size)
        gain = 1.0
        for _ in range(24):
            self.moves.move(0.4, 1.0)
            self.moves.scale({n: gain if n in names else 0.02 for n in self.moves.parameters})
            top = self._largest_log_variance(case.x)
            if not np.isfinite(top) or top > 30:
                gain *= 0.8
            elif top < 0.7 * wide:
                gain *= 1.35
            else:
                break
        else:
            return None
        try:
            shot: Shot = self.shot(case)
        except ValueError:
            # The parameters of the likelihood have left their range.
            return None
        finite = np.isfinite(shot.decoded.nll).all() and np.abs(shot.loc).max() < 1e4
        saturated = shot.decoded.family == "bernoulli" and (
            np.abs(shot.decoded.parts["logits"]).max() > 15
        )
        return shot if finite and not saturated else None

    def steep(self, size: int, gain: float, x: Any = None, most: float = 16.0) -> Shot | None:
        """A shot whose decoder has parameters that are larger by a factor; None if too large.

        Logits are at most `most`: of any data nothing can be told where probabilities round to 0
        or 1.
        """
        case = self.case(size, x)
        self.moves.move(0.4, 1.0)
        ours = self.encoder_names()
        self.moves.scale({n: gain for n in self.moves.parameters if n not in ours})
        try:
            shot: Shot = self.shot(case)
        except ValueError:
            return None
        parts = shot.decoded.parts
        logits = parts.get("logits", np.zeros(1))
        largest = np.abs(logits[np.isfinite(logits)]).max(initial=0.0)
        usable = np.isfinite(shot.decoded.nll).all() and shot.decoded.nll.max() < 1e6
        return shot if usable and largest < most else None


def outputs_extent(p: Decoded) -> float:
    """The parameters of a likelihood, as a share of the largest moderate ones."""
    if p.family == "bernoulli":
        return float(np.abs(p.parts["logits"]).max()) / -float(np.log(PROBABILITY))
    if p.family == "normal":
        size = float(np.abs(p.parts["loc"]).max()) / OUTPUTS
        scale = p.parts["scale"]
        if float(scale.max()) > 3 * float(scale.min()):
            size = max(size, float(np.abs(np.log(scale)).max()) / LOG_SCALES)
        return size
    return float(np.abs(p.nll).max()) / 1e6


def sums_of(every: Sequence[Any], weights: Sequence[Any]) -> dict[str, float]:
    """Sums over all parameters and over the weights among them, arrays of any framework."""
    found = {
        "the sum of squares of all parameters": sum(float((p**2).sum()) for p in every),
        "the sum of moduli of all parameters": sum(float(abs(p).sum()) for p in every),
    }
    if 0 < len(weights) < len(every):
        found["the sum of squares of all weights"] = sum(float((p**2).sum()) for p in weights)
    return found
