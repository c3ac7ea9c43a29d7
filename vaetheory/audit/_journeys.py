"""How far the parameters of a bench are moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._shots import Decoded, Shot

#: Outputs are kept below these sizes, where other terms do not drown in rounding.
_MEANS, _LOG_VARIANCES, _LOG_SCALES, _OUTPUTS = 8.0, 5.0, 5.0, 25.0
#: Probabilities are kept this far from 0 and 1: libraries clip log 0 differently.
_PROBABILITY = 1e-7


class Journeys:
    """A bench that moves its parameters as far as outputs stay of use."""

    moves: Any
    case: Any
    shot: Any
    values: Any
    _encoder_names: frozenset[str] | None = None

    #: Which reading of the loss's result is right.
    entry = 0

    def moments_at(self, x: Any) -> tuple[Array, Array]:
        """Means and log variances of the posterior of data, (B, ...)."""
        raise NotImplementedError

    def outputs_at(self, z: Array, x: Any) -> float:
        """The outputs at latents (B, ...), as a share of the largest moderate ones."""
        raise NotImplementedError

    def _extent(self, x: Any) -> float:
        """The outputs at the present parameters, as a share of the largest moderate ones."""
        loc, log_variance = self.moments_at(x)
        size = max(
            float(np.abs(loc).max()) / _MEANS, float(np.abs(log_variance).max()) / _LOG_VARIANCES
        )
        if not np.isfinite(size):
            return np.inf
        if size > 1:
            return size
        wide = 2.5 * np.exp(log_variance / 2)
        for z in (loc, loc + wide, loc - wide):
            size = max(size, self.outputs_at(z, x))
            if not size <= 1:
                return size if np.isfinite(size) else np.inf
        return size

    def value_at(self, case: Any, directions: Mapping[str, Any], step: float) -> float:
        """The loss at a step from the present parameters."""
        with self.moves.offset({n: step * d for n, d in directions.items()}):
            return float(self.values(case)[self.entry])

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
            top = float(np.abs(self.moments_at(case.x)[1]).max())
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


def outputs_extent(p: Decoded, learned: bool = False) -> float:
    """The parameters of a likelihood, as a share of the largest moderate ones.

    Scales count where they vary, or are `learned`.
    """
    if p.family == "bernoulli":
        return float(np.abs(p.parts["logits"]).max()) / -float(np.log(_PROBABILITY))
    if p.family == "normal":
        size = float(np.abs(p.parts["loc"]).max()) / _OUTPUTS
        scale = p.parts["scale"]
        if learned or float(scale.max()) > 3 * float(scale.min()):
            size = max(size, float(np.abs(np.log(scale)).max()) / _LOG_SCALES)
        return size
    return float(np.abs(p.nll).max()) / 1e6
