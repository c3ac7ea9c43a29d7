"""What an audit says of the law of the latents, beside the equation of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit import _divergence, _noise
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity, explain
from vaetheory.audit._normality import against_normal
from vaetheory.audit._shots import Shot

#: Calls with other seeds, of noise that cannot be replaced.
_SEEDS = 300
#: How much larger than usual draws are made.
_LOUD = 6.0


def law(bench: Any, found: Examined, into: Findings, at: str, exact: float, slack: float) -> None:
    """The law of the latents; where they have a variance of their own, the equation with it."""
    some, source = found.all, bench.source
    if bench.assumed or "noise.constant" in into:
        return
    if _noise.mixed(some, bench.mixing, into, at) or any(s.eps is None for s in some):
        return
    right = _noise.right(some, slack)
    plain = right or (found.identity.form == "declared" and not found.identity.remark)
    if not plain:
        own = {size: _noise.effective(of) for size, of in found.shots.items()}
        if all(v is not None for v in own.values()):
            again = explain({s: v for s, v in own.items() if v is not None}, exact)
            scale = _beyond(again)
            if scale is not None:
                true = {
                    n: [_shifted(s, -2 * float(np.log(scale))) for s in of or ()]
                    for n, of in own.items()
                }
                again = explain(true, exact)
                if again.form == "declared":
                    found.identity, found.shots = again, true
                    into.add(
                        "noise.scale",
                        WRONG,
                        scale,
                        "the deviation of z over that of the divergence; right is 1",
                        f"the noise has the standard deviation {scale:.6g}{at}, in units of that "
                        "of the divergence",
                        "draw the noise from N(0, 1)",
                    )
                    return
            if again.form == "declared" or (again.found and not found.identity.found):
                found.identity = replace(again, own_variance=True)
                _own_variance(some, into, at)
                return
    if source is not None:
        _shared(source, some[-1], into, at)
    _noise.law(some, "normal" if source is None else source.law, into, at, slack)
    if right and not into.begins("noise."):
        _loud(bench, some[0].size, into, at, slack)


def _loud(bench: Any, size: int, into: Findings, at: str, slack: float) -> None:
    """Whether the latents follow draws that are larger than usual, as where these are clamped."""
    louder = getattr(bench, "louder", None)
    shot = None if louder is None else louder(size, _LOUD)
    if shot is None or shot.eps is None or _noise.right([shot], slack):
        return
    scale = np.exp(shot.log_variance / 2)
    off = float(np.abs((shot.z - shot.loc) / scale).max())
    into.add(
        "noise.law",
        WRONG,
        off,
        f"the largest |z - m| exp(-v/2) where draws up to {np.abs(shot.eps).max():.4g} are given",
        f"the latents do not follow large draws{at}, as where the noise is clamped at {off:.4g}",
        "do not clamp the noise",
    )


def exchanged(found: Examined, into: Findings, exact: float) -> None:
    """Whether the loss takes the means of `encode` for log variances, and these for means."""
    if not all(s.gaussian and s.factor is None and s.eps is not None for s in found.all):
        return
    others = {n: [_exchanged(s) for s in of] for n, of in found.shots.items()}
    if not _noise.right([s for of in others.values() for s in of]):
        return
    again = explain(others, exact)
    if again.found:
        found.identity = again if again.remark else replace(again, remark="exchanged")
        found.shots = others
        into.add(
            "declared.exchanged",
            WRONG,
            again.residual,
            "the residual of the equation with both outputs exchanged",
            "the loss takes the first output of encode for the log variance and the second for the "
            "mean",
            "return (mean, log variance) from encode, in the order of the loss",
        )


def _exchanged(shot: Shot) -> Shot:
    v = shot.loc
    return replace(shot, loc=shot.log_variance, log_variance=v, log_det=v.sum(-1))


def _beyond(identity: Identity) -> float | None:
    """By how much the deviation of z is larger than that of the divergence, if by a factor.

    With w the log variance of z and c the factor, the terms of the divergence are m^2/2,
    exp(w)/(2 c^2) and -w/2.
    """
    if identity.form != "terms":
        return None
    found = identity.fits[max(identity.fits)]
    m, trace, log = found["m^2"], found["exp(v)"], found["v"]
    rest = [found[n] for n in _divergence.RARE]
    tiny = 1e-6 * (abs(m) + abs(trace))
    if m * trace <= 0 or abs(m + log) > tiny or max(map(abs, rest)) > tiny:
        return None
    scale = float(np.sqrt(m / trace))
    return scale if abs(scale - 1) > 1e-6 else None


def _shifted(shot: Shot, by: float) -> Shot:
    """A shot with other log variances."""
    v = shot.log_variance + by
    return replace(shot, log_variance=v, log_det=v.sum(-1))


def missing(bench: Any, some: Sequence[Shot], into: Findings, at: str) -> None:
    """Name latents that are means, where no noise is drawn."""
    if all(s.eps is None for s in some) and _noise.silent(some) and not bench.assumed:
        into.add(
            "noise.missing",
            WRONG,
            0.0,
            "the largest |z - m|",
            f"the decoder gets the mean, and loss(x) draws no noise{at}: this is an "
            "auto-encoder and not a VAE",
            "decode z = m + exp(v/2) e, with e from N(0, 1)",
        )


def untapped(bench: Any, noisy: bool, some: Sequence[Shot], into: Findings) -> None:
    """Noise that the tap did not see: it is read from the latents."""
    known = noisy and bench.mixing is not None
    if known or not all(s.eps is None for s in some) or bench.assumed:
        return
    if _noise.silent(some):
        return
    rows = bench.by_seed(_SEEDS)
    if np.ptp(rows, axis=0).max() <= 1e-9 * (1 + np.abs(rows).max()):
        _noise.constant(some, into, "")
        return
    if _one_for_all(rows, some[0].loc.shape[-1], into):
        return
    distance, far = against_normal(rows)
    meaning = (
        "the largest distance of the distribution functions of (z - m) exp(-v/2) and N(0, 1), "
        f"over {rows.size} samples"
    )
    unseen = "the noise of the latents is none of the draws that can be seen and replaced"
    if far:
        into.add(
            "noise.law",
            WRONG,
            distance,
            meaning,
            f"{unseen}, and in samples it is not N(0, I) in units of the posterior",
            bench.advice["noise"],
        )
    else:
        into.add(
            "noise.untapped",
            NOTE,
            distance,
            meaning,
            f"{unseen}; in samples it agrees with N(0, I) in units of the posterior",
            bench.advice["noise"],
        )


def _one_for_all(rows: Array, d: int, into: Findings) -> bool:
    """Name noise that is one for all examples or all latents, to rounding, in every call."""
    h = rows.reshape(len(rows), -1, d)
    for axis, whom in ((1, "examples of a batch"), (2, "latents of an example")):
        if h.shape[axis] > 1 and np.ptp(h, axis=axis).max() <= 1e-9 * (1 + np.abs(h).max()):
            into.add(
                "noise.shared",
                WRONG,
                float(h[0].size // h.shape[axis]),
                f"the number of values of (z - m) exp(-v/2) that differ, of {h[0].size} latents",
                f"one noise is used for all {whom}: (z - m) exp(-v/2) is the same for them, in "
                f"each of {len(rows)} calls",
                "draw a number for each latent of each example",
            )
            return True
    return False


def _shared(source: Any, shot: Shot, into: Findings, at: str) -> None:
    drawn, asked = source.numbers, shot.z.size
    if drawn < asked and drawn in (shot.loc.shape[-1], 1, shot.size) and shot.size > 1:
        whom = "latents of an example" if drawn == shot.size else "examples of a batch"
        into.add(
            "noise.shared",
            WRONG,
            float(drawn),
            f"the number of normal draws for {asked} latents",
            f"one noise is used for all {whom}{at}: {drawn} numbers are drawn for {asked} latents",
            "draw with randn_like(m)",
        )


def _own_variance(some: Sequence[Shot], into: Findings, at: str) -> None:
    s, v = _noise.scales(some)
    own = 2 * np.log(np.abs(s))
    off = float(np.abs(own - v).max())
    if np.abs(own - 2 * v).max() <= 1e-6 * (1 + np.abs(v).max()):
        into.add(
            "declared.posterior",
            NOTE,
            2.0,
            "the log variance of z over the declared one",
            f"noise and divergence both take exp(v) for the deviation{at}, where v is the declared "
            "log variance: with posterior='logstd' the declaration agrees with the loss, which is "
            "the ELBO of the distribution sampled from",
            "declare posterior='logstd'",
        )
        return
    into.add(
        "encoder.other-variance",
        NOTE,
        off,
        "the largest difference of the log variance of z and that of encode(x)",
        f"latents and divergence agree on a variance that encode does not give{at}, such as "
        "one that is clamped or has a floor: the loss is the ELBO of the distribution "
        "sampled from",
        "return from encode what the loss uses",
    )


def both(into: Findings) -> None:
    """Name two changes that are one other reading of the encoder's output."""
    if "noise.variance-as-std" in into and "kl.logvar-as-logstd" in into:
        into.add(
            "declared.posterior",
            NOTE,
            1.0,
            "the slope of log((z - m)/e) in the second output, as in the divergence",
            "noise and divergence both take the second output for a log deviation: with "
            "posterior='logstd' the loss agrees with itself",
            "declare posterior='logstd', or change both",
        )
