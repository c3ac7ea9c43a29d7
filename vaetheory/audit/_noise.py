"""The law by which the latents were made from the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._fit import fit
from vaetheory.audit._shots import Shot

#: Residuals below this share are rounding: the quotient (z - m)/e loses digits where e is small.
_EXACT = 1e-7
_SAME = 1e-6
#: A deviation that is off by less than this share, and in no simple law, has a guard.
_GUARD = 1e-3
_FIX = "write z = m + exp(v/2) e, with e from N(0, 1) for each latent and example"


class Mixing(Protocol):
    """How the noise of latents comes from the draws; see `vaetheory.audit._torch._mixing`."""

    @property
    def matrix(self) -> Array | None: ...
    @property
    def distance(self) -> float: ...
    @property
    def numbers(self) -> int: ...
    @property
    def still(self) -> bool: ...
    @property
    def uniform(self) -> bool: ...
    @property
    def scale(self) -> float: ...
    @property
    def shift(self) -> float: ...
    @property
    def covariance(self) -> Array | None: ...
    @property
    def right(self) -> bool: ...
    @property
    def opposite(self) -> int: ...
    def silent(self, d: int) -> int: ...


def scales(shots: Sequence[Shot]) -> tuple[Array, Array]:
    """The quotients s = (z - m)/e, where e is not small, and the log variances there."""
    quotients, variances = [], []
    for shot in shots:
        if shot.eps is None:
            continue
        usable = np.abs(shot.eps) > 0.02
        with np.errstate(all="ignore"):
            s = (shot.z - shot.loc) / shot.eps
        quotients.append(s[usable])
        variances.append(np.broadcast_to(shot.log_variance, shot.z.shape)[usable])
    if not quotients:
        return np.empty(0), np.empty(0)
    return np.concatenate(quotients), np.concatenate(variances)


def silent(shots: Sequence[Shot]) -> bool:
    """Whether the decoder got the means in all shots."""
    return all(np.abs(s.z - s.loc).max() <= 1e-10 * (1 + np.abs(s.loc).max()) for s in shots)


def right(shots: Sequence[Shot], slack: float = 1.0) -> bool:
    """Whether the latents are m + exp(v/2) e, or m + L e; `slack` is for single precision."""
    if any(s.eps is None for s in shots):
        return False
    for s in shots:
        assert s.eps is not None
        off = (
            np.exp(s.log_variance / 2) * s.eps
            if s.factor is None
            else np.einsum("nij,knj->kni", s.factor, s.eps)
        )
        size = slack * 1e-9 * (np.abs(s.loc).max() + np.abs(off).max() + 1e-300)
        if np.abs(s.z - s.loc - off).max() > size:
            return False
    return True


def _off_factor(shot: Shot) -> float:
    assert shot.eps is not None
    if shot.factor is None:
        return 0.0
    off = shot.z - shot.loc - np.einsum("nij,knj->kni", shot.factor, shot.eps)
    return float(np.abs(off).max())


def law(shots: Sequence[Shot], kind: str, into: Findings, at: str, slack: float = 1.0) -> None:
    """Name what is wrong with the law of the latents; `at` says in which mode."""
    if not all(s.gaussian for s in shots) or any(s.eps is None for s in shots):
        return
    if silent(shots):
        into.add(
            "noise.missing",
            WRONG,
            0.0,
            "the largest |z - m|",
            f"the decoder gets the mean{at}, although noise is drawn",
            _FIX,
        )
        return
    if kind == "uniform" and follows(shots):
        _uniform(0.5, "the mean of the noise; right is 0", into, at)
    if right(shots, slack) or any(s.factor is not None for s in shots):
        if not right(shots, slack):
            into.add(
                "noise.law",
                WRONG,
                max(_off_factor(s) for s in shots),
                "the largest |z - m - L e|, with L the Cholesky factor of the covariance",
                f"the latents are not m + L e with the covariance that encode gives{at}",
                "sample with rsample() of the distribution that encode returns",
            )
        return
    _named(shots, into, at, slack)


def follows(shots: Sequence[Shot]) -> bool:
    """Whether the latents are m + s e, with scales s of one sign."""
    s, _ = scales(shots)
    return bool(len(s) and np.isfinite(s).all() and ((s > 0).all() or (s < 0).all()))


def mixed(shots: Sequence[Shot], mixing: Mixing | None, into: Findings, at: str) -> bool:
    """Name what is wrong with noise that is not one draw; whether there is something to say.

    `mixing` says how the noise was made, in units of the posterior; None if it is one draw or is
    not known.
    """
    if mixing is None or silent(shots):
        return False
    sampled = (
        "the largest distance of the distribution functions of (z - m) exp(-v/2) and N(0, 1), "
        f"over {mixing.numbers} samples"
    )
    if mixing.matrix is None and mixing.right:
        into.add(
            "noise.sampled-law",
            NOTE,
            mixing.distance,
            sampled,
            f"the noise of the latents{at} is no linear function of normal draws: it is the same "
            "function of what is drawn for all data that were tried, and its law agrees with "
            "N(0, I) as far as samples tell",
            "nothing; randn_like(m) is simpler",
        )
        return True
    if mixing.right:
        if mixing.opposite:
            into.add(
                "noise.antithetic",
                NOTE,
                float(mixing.opposite),
                f"the pairs of opposite noise in a batch of {shots[-1].size}",
                f"the noise of an example{at} is minus that of another one: each has the law that "
                "is declared, so that the mean of the loss is right, and examples are not "
                "independent",
                "nothing, if antithetic pairs are meant",
            )
        return False
    d = shots[0].loc.shape[-1]
    if mixing.silent(d):
        into.add(
            "noise.missing",
            WRONG,
            float(mixing.silent(d)),
            f"the number of latents, of {d}, that no draw reaches",
            f"{mixing.silent(d)} of {d} latents get no noise{at}: the decoder gets their means, "
            "and the divergence is that of latents with noise",
            _FIX,
        )
        return True
    if mixing.shift > 0 and not follows(shots):
        into.add(
            "noise.law",
            WRONG,
            mixing.shift,
            "the largest |z - m| exp(-v/2) where all that is drawn is 0; right is 0",
            f"the noise of the latents{at} is a linear function of what is drawn, and has not the "
            f"mean 0: it is {mixing.shift:.6g} deviations off, at the data at which it was read",
            _FIX,
        )
        return True
    if mixing.still:
        constant(shots, into, at)
        return True
    if mixing.uniform:
        _uniform(mixing.distance, sampled, into, at)
        return True
    if mixing.scale != 1:
        into.add(
            "noise.scale",
            WRONG,
            mixing.scale,
            f"the deviation of (z - m) exp(-v/2) over {mixing.numbers} samples; right is 1",
            f"the noise has the standard deviation {mixing.scale:.3g}{at}, as far as samples tell, "
            "and the divergence is that for 1",
            "draw the noise from N(0, 1)",
        )
        return True
    if not follows(shots):
        covariance = mixing.covariance
        number, meaning = mixing.distance, sampled
        if covariance is not None:
            number = float(np.abs(covariance - np.eye(len(covariance))).max())
            meaning = "the largest entry of C - I, with C the covariance of (z - m) exp(-v/2)"
        into.add(
            "noise.law",
            WRONG,
            number,
            meaning,
            f"the noise of the latents{at} is not N(0, I) in units of the posterior",
            _FIX,
        )
        return True
    return False


def _named(shots: Sequence[Shot], into: Findings, at: str, slack: float) -> None:
    s, v = scales(shots)
    if not follows(shots) or len(s) < 8 or not np.isfinite(s).all() or not np.abs(s).min() > 0:
        into.add(
            "noise.law",
            WRONG,
            float(np.mean(np.concatenate([_units(s).ravel() ** 2 for s in shots]))),
            "the mean of (z - m)^2 exp(-v) over all that was tried; right is 1",
            f"the latents are no function m + s e of the noise that is drawn{at}, with one sign of "
            "s",
            _FIX,
        )
        return
    off = float(np.abs(np.log(np.abs(s)) - v / 2).max())
    steady = np.ptp(v) < 1e-9 * (1 + np.abs(v).max())
    found = fit({"v": v, "1": np.ones_like(v)}, np.log(np.abs(s)))
    close = np.abs(np.log(np.abs(s)) - found["v"] * v - found["1"]).max() < slack * _EXACT
    if steady or (close and found["v"] != 0):
        power, size = (0.5, float(np.exp(np.mean(np.log(np.abs(s)) - v / 2))))
        if not steady:
            power, size = found["v"], float(np.exp(found["1"]))
        elif np.ptp(np.log(np.abs(s))) > slack * _EXACT:
            _unlawful(s, v, into, at, slack)
            return
        if abs(power - 1) < slack * _SAME:
            times = "" if abs(size - 1) < slack * _SAME else f"{size:.6g} "
            into.add(
                "noise.variance-as-std",
                WRONG,
                power,
                "the slope of log((z - m)/e) in v; right is 1/2",
                f"z = m + {times}exp(v) e{at}: the variance is used as the standard deviation",
                "write exp(v/2), or declare posterior='logstd'",
            )
        elif abs(power - 0.25) < slack * _SAME:
            into.add(
                "noise.sqrt-of-std",
                WRONG,
                power,
                "the slope of log((z - m)/e) in v; right is 1/2",
                f"z = m + exp(v/4) e{at}: the root of the deviation is used as the deviation",
                "write exp(v/2) with v the log variance, or exp(l) with l the log deviation",
            )
        elif abs(power - 0.5) < slack * _SAME and abs(size - 1) <= slack * _SAME:
            return
        elif abs(power - 0.5) < slack * _SAME:
            into.add(
                "noise.scale",
                WRONG,
                size,
                "(z - m)/(exp(v/2) e); right is 1",
                f"the noise has the standard deviation {size:.6g}{at}, and the divergence is that "
                "for 1",
                "draw the noise from N(0, 1)",
            )
        elif abs(power) < slack * _SAME:
            _fixed(size, into, at)
        else:
            into.add(
                "noise.law",
                WRONG,
                power,
                "the slope of log((z - m)/e) in v; right is 1/2",
                f"the latents are m + {size:.6g} exp({power:.6g} v) e{at}; right is exp(v/2)",
                _FIX,
            )
        return
    if np.ptp(np.log(np.abs(s))) < slack * _EXACT:
        _fixed(float(np.abs(s).mean()), into, at)
        return
    if off < _GUARD and (s > 0).all():
        into.add(
            "noise.guard",
            NOTE,
            off,
            "the largest |log((z - m)/e) - v/2|",
            f"the deviation of the latents is exp(v/2) up to a share of {off:.1e}{at}, as a guard "
            "such as exp(v/2) + 1e-6 leaves it, and the divergence has no such guard",
            "nothing; or return the guarded variance from encode",
        )
        return
    _unlawful(s, v, into, at, slack)


def _uniform(number: float, meaning: str, into: Findings, at: str) -> None:
    into.add(
        "noise.uniform",
        WRONG,
        number,
        meaning,
        f"the noise of the latents is uniform{at}, and not normal",
        "use randn_like in place of rand_like",
    )


def _units(shot: Shot) -> Array:
    """The distance of z from m in deviations of the posterior."""
    return np.asarray((shot.z - shot.loc) / np.exp(shot.log_variance / 2))


def constant(shots: Sequence[Shot], into: Findings, at: str) -> None:
    h = np.concatenate([_units(s).ravel() for s in shots])
    into.add(
        "noise.constant",
        WRONG,
        float(np.abs(h).mean()),
        "the mean of |z - m| exp(-v/2), which other outcomes of all draws do not change",
        f"z differs from m, but does not follow the noise that is drawn{at}: it is the same in "
        "each call",
        _FIX,
    )


def _fixed(size: float, into: Findings, at: str) -> None:
    into.add(
        "noise.law",
        WRONG,
        size,
        "(z - m)/e, the same for all v",
        f"the latents have the deviation {size:.6g} whatever the encoder says{at}",
        _FIX,
    )


def _unlawful(s: Array, v: Array, into: Findings, at: str, slack: float) -> None:
    """A scale that is no power of exp(v)."""
    with np.errstate(all="ignore"):
        effective = 2 * np.log(np.abs(s))
    same = np.abs(effective - v) < slack * _EXACT
    if same.any() and not same.all():
        low, high = float(effective.min()), float(effective.max())
        above, below = (v > high + slack * _EXACT).any(), (v < low - slack * _EXACT).any()
        sides = [f"at most {high:.6g}"] * bool(above) + [f"at least {low:.6g}"] * bool(below)
        if np.abs(effective - np.clip(v, low, high)).max() < slack * _EXACT:
            into.add(
                "encoder.clamp-inconsistent",
                WRONG,
                high if above else low,
                "the log variance at which that of z is clamped",
                f"z has the log variance clamped to {' and '.join(sides)}{at}, and the one that "
                "encode gives is not clamped: the divergence is not that of the distribution that "
                "is sampled",
                "clamp once, in encode",
            )
            return
    if np.abs(s - v).max() < slack * _EXACT * (1 + np.abs(v).max()):
        into.add(
            "noise.law",
            WRONG,
            1.0,
            "(z - m)/(v e)",
            f"the deviation of the latents is v itself{at}: a log variance is used as a deviation",
            _FIX,
        )
        return
    floor = fit({"s": np.exp(v / 2), "1": np.ones_like(v)}, s)
    if np.abs(s - floor["s"] * np.exp(v / 2) - floor["1"]).max() < slack * _EXACT * np.abs(s).max():
        into.add(
            "noise.law",
            WRONG,
            floor["1"],
            "(z - m)/e where exp(v/2) is 0",
            f"the deviation of the latents is {floor['s']:.6g} exp(v/2) + {floor['1']:.6g}{at}, "
            "and the divergence is that for exp(v/2)",
            "return the variance with its floor from encode",
        )
        return
    spread = float(np.exp(np.median(np.log(np.abs(s)) - v / 2)))
    into.add(
        "noise.law",
        WRONG,
        spread,
        "the median of |z - m|/(exp(v/2) |e|); right is 1 for each",
        f"the scale of the latents' noise is no power of exp(v){at} (it is {spread:.4g} times "
        "the right one in the median)",
        _FIX,
    )


def effective(shots: Sequence[Shot]) -> list[Shot] | None:
    """The shots with the variances that z really has, if each follows from one sample."""
    made = []
    for shot in shots:
        if shot.eps is None or shot.factor is not None or not shot.gaussian:
            return None
        with np.errstate(all="ignore"):
            s = (shot.z - shot.loc) / shot.eps
        if not (np.isfinite(s).all() and (s > 0).all()):
            return None
        # Of several samples the one whose noise is largest tells it best.
        at = np.abs(shot.eps).argmax(axis=0)[None]
        own = np.take_along_axis(s, at, axis=0)[0]
        v = 2 * np.log(own)
        made.append(replace(shot, log_variance=v, log_det=v.sum(-1)))
    return made
