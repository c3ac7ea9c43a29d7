"""Whether an equation still holds where log variances are large or the divergence is small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory.audit import _branches, _noise
from vaetheory.audit._divergence import CLOSED, RARE
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity, predicted
from vaetheory.audit._shots import Shot

#: Shots far out and near the prior.
_FAR = 8
#: The share of the size of the terms by which a value may be off.
_OFF = 1e-8
#: Clamps that are tried where latents do not tell them.
_LEVELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 30)


def outskirts(
    bench: Any, size: int, identity: Identity, into: Findings, facts: dict[str, Any]
) -> None:
    """Compare the loss with its equation outside of where it was found."""
    if not identity.plain or not _divergent(identity):
        return
    _near_prior(bench, size, identity, into)
    far = [s for s in (bench.far(size, wide) for wide in np.linspace(6, 24, _FAR)) if s]
    wrong = [s for s in far if _off(identity, s) > _OFF]
    bench.moves.home()
    odd = [s for s in far if s.eps is not None and s.factor is None and not _noise.right([s])]
    if odd and not wrong and not identity.own_variance and not into.begins("noise."):
        # The divergence takes the log variance of encode, and the latents take another.
        _of_latents(odd, into)
    _branches.steep(bench, size, identity, into, facts)
    if not wrong:
        if far:
            _branches.one_sided(identity, into)
        return
    if _branches.mirrored(identity, wrong, into):
        return
    top = max(float(np.abs(s.log_variance).max()) for s in wrong)
    own = _noise.effective(wrong)
    if own is not None and _explains(identity, wrong, own):
        low, high = _limits(own)
        into.add(
            "encoder.other-variance",
            NOTE,
            top,
            "the largest |v| of encode(x) at which the loss uses another log variance",
            f"latents and divergence agree on a log variance in [{low:.6g}, {high:.6g}], which "
            "encode does not clamp: the loss is the ELBO of the distribution sampled from",
            "return from encode what the loss uses",
        )
        return
    if own is not None and not _noise.right(wrong) and _of_latents(wrong, into):
        return
    for level in _LEVELS:
        for low, high in ((-level, level), (-level, np.inf), (-np.inf, level)):
            clipped = [_clipped(s, low, high) for s in wrong]
            if _explains(identity, wrong, clipped):
                _inconsistent(low, high, "the divergence", into)
                return
    if _branches.clamped_divergence(identity, wrong, into):
        return
    into.add(
        "identity.range",
        NOTE,
        max(_off(identity, s) for s in wrong),
        "the largest distance from the equation, relative to the size of its terms",
        f"the equation was found for moderate outputs, and does not hold at log variances of "
        f"{top:.3g}: a clamp, or the end of floating point",
        "clamp in encode, so that all parts use the same",
    )


def _divergent(identity: Identity) -> bool:
    """Whether the equation has a term of the posterior."""
    found = identity.fits[max(identity.fits)]
    size = max(map(abs, found.coefficients.values()), default=0.0)
    return any(abs(found[n]) > 1e-9 * size for n in ("KL", *CLOSED, *RARE))


def _explains(identity: Identity, wrong: Sequence[Shot], others: Sequence[Shot]) -> bool:
    """Whether the equation holds with other log variances, and much better than with these."""
    return all(
        _off(identity, other) <= min(1e3 * _OFF, 1e-2 * _off(identity, shot))
        for shot, other in zip(wrong, others, strict=True)
    )


def _of_latents(shots: Sequence[Shot], into: Findings) -> bool:
    """Name a clamp that only the latents have; whether there is one."""
    own = _noise.effective(shots)
    if own is None:
        return False
    low, high = _limits(own)
    v = np.concatenate([s.log_variance.ravel() for s in shots])
    w = np.concatenate([s.log_variance.ravel() for s in own])
    if np.abs(w - np.clip(v, low, high)).max() > 1e-6:
        return False
    _inconsistent(low, high, "z", into)
    return True


def _near_prior(bench: Any, size: int, identity: Identity, into: Findings) -> None:
    """A small divergence, where free bits would count."""
    off = []
    for gain in (0.01, 0.05, 0.2):
        case = bench.case(size)
        bench.moves.move(0.3, gain)
        shot = bench.shot(case)
        off.append(_off(identity, shot))
    bench.moves.home()
    if max(off) > _OFF:
        into.add(
            "identity.near-prior",
            WRONG,
            max(off),
            "the largest distance from the equation, relative to the size of its terms",
            "near the prior the loss differs from what it is elsewhere, as with free bits or a "
            "threshold: it is not the ELBO of the declared model there",
            "nothing, if a threshold is meant",
        )


def _limits(own: Sequence[Shot]) -> tuple[float, float]:
    w = np.concatenate([s.log_variance.ravel() for s in own])
    return float(w.min()), float(w.max())


def _clipped(shot: Shot, low: float, high: float) -> Shot:
    v = np.clip(shot.log_variance, low, high)
    return replace(shot, log_variance=v, log_det=v.sum(-1))


def _off(identity: Identity, shot: Shot) -> float:
    if identity.own_variance:
        own = _noise.effective([shot])
        if own is None:
            return 0.0
        shot = own[0]
    value, size = predicted(identity, shot)
    if not (np.isfinite(value) and np.isfinite(shot.values[identity.entry])):
        return 0.0
    return abs(shot.values[identity.entry] - value) / (size + 1e-300)


def _inconsistent(low: float, high: float, where: str, into: Findings) -> None:
    into.add(
        "encoder.clamp-inconsistent",
        WRONG,
        high if np.isfinite(high) else low,
        "the log variance at which it is clamped",
        f"{where} has the log variance clamped to [{low:.6g}, {high:.6g}], and the other terms "
        "have not: the divergence is not that of the distribution that is sampled",
        "clamp once, in encode",
    )
