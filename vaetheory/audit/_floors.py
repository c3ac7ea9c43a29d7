"""Probabilities that a Bernoulli reconstruction keeps above a floor, seen at logits far out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from vaetheory._validation import Array
from vaetheory.audit import _reconstruction
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity, predicted
from vaetheory.audit._shots import Shot

#: Numbers closer than this, relative to the size of the terms, are the same.
_SAME = 1e-7
#: Logits beyond which float64 has no more probabilities, and how far one step goes on to the next.
_MOST, _STEP, _FAR = 600.0, 1.9, 8
#: The nats of the smallest normal number of float32, and of the rounding of float64: floors at
#: which a library only keeps log 0 finite.
_END, _ROUNDING = 87.3, -float(np.log(np.finfo(np.float64).eps))
#: Floors of probabilities above this are no guard.
_GUARD = -float(np.log(1e-3))


def _both(own: Array, c: float) -> Array:
    return np.clip(own, -np.log1p(-np.exp(-c)), c)


#: The -log p of an output by the declared one and by -log of the floor, in three ways.
_FORMS: dict[str, Callable[[Array, float], Array]] = {
    "log p is kept above {:.6g}": np.minimum,
    "p is kept {:.3g} away from 0 and 1": _both,
    "{:.3g} is added to p": lambda own, c: -np.logaddexp(-own, -c),
}


@dataclass(frozen=True)
class Observed:
    """What outputs have in one loss, in place of the declared -log p of each.

    Attributes
    ----------
    own, weight : array (n,)
        Declared -log p and -log(1 - p), and how often each counts.
    rest : float
        What they are in the loss, in nats.
    size : float
        The size of the terms of the loss, in the same unit.
    """

    own: Array
    weight: Array
    rest: float
    size: float

    def off(self, form: Callable[[Array, float], Array], level: float) -> float:
        """By how much a floor misses the loss."""
        return float(self.weight @ form(self.own, level)) - self.rest

    @property
    def wrong(self) -> bool:
        """Whether the loss is not the declared one here."""
        return bool(abs(self.weight @ self.own - self.rest) > _SAME * (1 + self.size))


def observed(identity: Identity, shot: Shot) -> Observed | None:
    """The outputs of a shot; None where the loss or the likelihood is not finite."""
    value, size = predicted(identity, shot)
    got, each = shot.values[identity.entry], identity.fits[shot.size][_reconstruction.DECLARED]
    if not each or not np.isfinite([got, value]).all():
        return None
    f = shot.decoded.parts["logits"]
    x = np.broadcast_to(shot.x, f.shape)
    own = np.concatenate([np.logaddexp(0.0, -f).ravel(), np.logaddexp(0.0, f).ravel()])
    weight = np.concatenate([x.ravel(), 1 - x.ravel()]) / len(f)
    counts = weight != 0
    own, weight = own[counts], weight[counts]
    declared = float(shot.decoded.nll.sum()) / len(f)
    return Observed(own, weight, (got - value) / each + declared, size / abs(each))


def floor(identity: Identity, shots: Sequence[Shot], into: Findings, facts: dict[str, Any]) -> bool:
    """Name one floor of probabilities that explains all shots; whether there is one.

    Two shots beyond it are needed, of which one tells the floor and the other one confirms it.
    """
    seen = [one for one in (observed(identity, s) for s in shots) if one is not None]
    wrong = [one for one in seen if one.wrong]
    if len(wrong) < 2:
        return False
    for words, form in _FORMS.items():
        for level in _levels(wrong, form):
            if all(abs(s.off(form, level)) <= _SAME * (1 + s.size) for s in seen):
                _say(words, level, into, facts)
                return True
    return False


def _levels(wrong: Sequence[Observed], form: Callable[[Array, float], Array]) -> Iterator[float]:
    for s in wrong:
        ends = float(np.log(2.0)) + 1e-9, float(s.own.max())
        if ends[0] < ends[1] and s.off(form, ends[0]) * s.off(form, ends[1]) < 0:
            yield float(brentq(lambda c, s=s: s.off(form, c), *ends, xtol=1e-12, rtol=1e-14))


def _say(words: str, level: float, into: Findings, facts: dict[str, Any]) -> None:
    floor = words.format(-level if words.startswith("log") else np.exp(-level))
    facts["floor of probabilities"] = floor
    if level >= _END or abs(level - _ROUNDING) < 1e-6:
        # No probability of float32 is so small, or it is where those of float64 end.
        return
    severe = level < _GUARD
    into.add(
        "recon.floor",
        WRONG if severe else NOTE,
        level,
        "-log of the floor: the nats of an output that is scored, from which on they are the same",
        f"in the likelihood of an output {floor}: an output that is less probable has no gradient, "
        "or a wrong one, and the value is too small there",
        "take logits, which need no floor",
    )


def far(bench: Any, size: int, gain: float) -> Iterator[list[Shot]]:
    """Shots with logits far out, on the sides where rounding does not hide a floor.

    Of data that are all 1 the declared -log p is exact also where p is near 0, and near 1 it is 0.
    Of data that are all 0 it is exact if the decoder gives logits; of a loss that takes log(1 - p)
    nothing is found there, since its rounding is no floor.
    """
    low, high = bench.data_range()
    for value in (1, 0) if low >= 0 and high <= 1 else ():
        shots: list[Shot] = []
        at = gain
        while len(shots) < _FAR:
            shot = bench.steep(size, at, bench.rows(size) * 0 + value, most=_MOST)
            if shot is None:
                break
            shots.append(shot)
            at *= _STEP
        bench.moves.home()
        yield shots
