"""Checks of 20d and 20d-moments: signal to noise ratios for many samples, and what they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gradient_limits import GradientLimits, gradient_noise_limits
from vaetheory.bounds.gradient_moments import GradientNoise, gradient_noise
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.gradient_estimators.scenes import ESTIMATORS, SAMPLED
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

NAMES = ("total", "path", "dreg", "decoder")
#: Each is four times the one before: the scale 1 / sqrt(K) halves.
_COUNTS = (64, 256, 1024, 4096)
#: Those at which ratios without a fourth moment are seen to halve, relative to their root.
_MANY = (10**3, 10**4, 10**5)
#: The whole line in standard deviations of the posterior.
_STEP = 0.0625
_Z = np.arange(-60.0, 60.0 + _STEP, _STEP)
WEIGHTS = (
    "normalised weights",
    r"\bar w = p(z|x)/q(z),\ c = \bar w^2r,\ a = \bar w\,\partial_\theta\log p(x|z)",
)
ON_A_LINE = (
    "Gaussian posterior",
    r"p(z|x) = \mathcal N(\mu, S),\ q = \mathcal N(m, v) \text{ (linear model)}",
)


@dataclass(frozen=True)
class Weighted:
    """A posterior of variance 1/precision with mean not 0, q = N(mu + shift s, ratio s^2)."""

    precision: float
    datum: float
    hundredths: int
    shift: float

    @cached_property
    def model(self) -> LatentModel:
        """A linear model with noise of scale one."""
        weight = np.sqrt(self.precision - 1)
        return LatentModel(decoders.Affine([[weight]]), likelihoods.Gaussian(scale=1.0), 1)

    @property
    def mean(self) -> float:
        """The posterior's mean."""
        return float(np.sqrt(self.precision - 1) * self.datum / self.precision)

    @property
    def gaussian(self) -> tuple[float, float]:
        """Mean and standard deviation of q."""
        star = self.precision**-0.5
        return self.mean + self.shift * star, star * (self.hundredths / 100) ** 0.5

    @property
    def posterior(self) -> Posterior:
        """The Gaussian q."""
        loc, scale = self.gaussian
        return Posterior([loc], scale=scale)


@st.composite
def weighted(draw: DrawFn) -> Weighted:
    """Ratios of at least 0.9, so that the ratios expand in powers of 1/K."""
    return Weighted(
        draw(st.sampled_from((2.0, 4.0, 64.0))),
        draw(st.sampled_from((1.0, -0.5, 2.0))),
        draw(st.sampled_from((150, 130, 200, 300, 110))),
        draw(st.sampled_from((0.5, 0.25, -0.5))),
    )


class Law(NamedTuple):
    """Means and variances of the laws of estimators, `(4, 2)`; those of the decoder twice."""

    mean: Array
    variance: Array
    size: Array


def plain_law(scene: Weighted, *, cross: float, centred: bool) -> Law:
    """Coefficients by plain sums over z, of log weights that are written out."""
    loc, scale = scene.gaussian
    star = scene.precision**-0.5
    z = scene.mean + star * _Z
    log_p = -0.5 * _Z**2 - 0.5 * np.log(2 * np.pi) - np.log(star)
    e = (z - loc) / scale
    log_q = -0.5 * e**2 - 0.5 * np.log(2 * np.pi) - np.log(scale)
    moves = np.stack([np.ones_like(z), scale * e])
    slope = -(z - scene.mean) * scene.precision
    path = (slope + e / scale) * moves
    total = path - np.stack([e / scale, e**2 - 1])
    score = np.broadcast_to(scene.datum - np.sqrt(scene.precision - 1) * z, path.shape)

    def mean(power: int, f: Array) -> tuple[Array, Array]:
        with np.errstate(under="ignore"):
            mass = np.exp(power * log_p + (1 - power) * log_q) * star * _STEP
        return np.asarray(f @ mass), np.asarray(np.abs(f) @ mass)

    weight, _ = mean(2, np.ones_like(z))
    c, _ = mean(2, path)
    square, size = mean(2, total**2)
    told = {"total": (-mean(2, total)[0], square, size)}
    for name, f in (("path", path), ("decoder", score)):
        first, _ = mean(1, f)
        away, _ = mean(2, (f - first[:, None]) ** 2)
        square, size = mean(2, f**2)
        # Not centred it is the variance of the mean of a alone.
        variance = away if centred else square - first**2
        told[name] = first, variance, size + first**2 * weight
    (three, _), (four, size) = mean(3, path), mean(4, path**2)
    variance = four - 2 * cross * c * three + cross**2 * c**2 * weight - (1 - cross) ** 2 * c**2
    told["dreg"] = c, variance, size + 4 * c**2 * weight
    return Law(*(np.stack([told[name][i] for name in NAMES]) for i in range(3)))


class Measured(NamedTuple):
    """The library's means and variances times powers of K `(n, 4, 2)`, and limits `(4, 2)`.

    The decoder's one parameter counts twice.
    """

    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array
    limits: tuple[Array, ...]


_FIELDS = {"mean": 0, "variance": 1, "mean_error": 0, "variance_error": 1}


@once
def measured(scenes: tuple[Weighted, ...], counts: tuple[int, ...]) -> list[Measured]:
    """The library's numbers of each instance."""
    K, told = np.array(counts, dtype=float)[:, None], []
    for scene in scenes:
        found = gradient_noise(scene.model, [scene.datum], scene.posterior, list(counts), NAMES)
        limits = gradient_noise_limits(scene.model, [scene.datum], scene.posterior, NAMES)

        def reduced(
            field: str,
            found: dict[str, GradientNoise] = found,
            limits: dict[str, GradientLimits] = limits,
        ) -> Array:
            each = [getattr(found[n], field) * K ** limits[n].powers[_FIELDS[field]] for n in NAMES]
            return np.stack([np.broadcast_to(e, (len(counts), 2)) for e in each], axis=1)

        ends = [
            np.stack([np.broadcast_to(getattr(limits[n], field), (2,)) for n in NAMES])
            for field in _FIELDS
        ]
        mean, variance, off, lost = (reduced(field) for field in _FIELDS)
        told.append(Measured(mean, variance, off, lost, tuple(ends)))
    return told


@together
def many_samples(
    scenes: Sequence[Weighted],
    *,
    cross: float = 2.0,
    centred: bool = True,
    half: float = 1.0,
    grows: bool = False,
) -> list[Comparison]:
    """Compare extrapolated means and variances, the library's limits, and plain sums."""
    comparisons = []
    for scene, own in zip(scenes, measured(tuple(scenes), _COUNTS), strict=True):
        law = plain_law(scene, cross=cross, centred=centred)
        K = np.array(_COUNTS, dtype=float)
        parts = []
        for i, name in enumerate(NAMES):
            for j in range(1 if name == "decoder" else 2):
                at = (i, j)
                told = law.mean[at] * (half if name == "total" else 1.0), law.variance[at]
                for which, (values, errors) in enumerate(
                    ((own.mean, own.mean_error), (own.variance, own.variance_error))
                ):
                    limit, left, noise = extrapolate(values[:, i, j], errors[:, i, j])
                    end, off = own.limits[which][at], own.limits[which + 2][at]
                    size = law.size[at] if which else np.sqrt(law.size[at])
                    parts += [
                        Comparison.identity(
                            limit, told[which], scale=size, expansion=left, numerics=noise,
                            rounding=gamma(4000) * size,
                        ),
                        Comparison.identity(
                            end, told[which], scale=size, library=off, rounding=gamma(4000) * size
                        ),
                    ]  # fmt: skip
        # The ratio itself: of the total gradient it falls like 1 / sqrt(K).
        root = np.sqrt(own.variance[:, 0, 0])
        ratio = np.abs(own.mean[:, 0, 0]) / root
        off = (own.mean_error[:, 0, 0] + ratio * own.variance_error[:, 0, 0] / root) / root
        limit, left, noise = extrapolate(ratio / K if grows else ratio, off)
        told_ratio = abs(law.mean[0, 0]) / np.sqrt(law.variance[0, 0])
        parts.append(
            Comparison.identity(
                limit, told_ratio, scale=told_ratio, expansion=left, numerics=noise,
                rounding=gamma(8000) * told_ratio,
            )
        )  # fmt: skip
        comparisons.append(Comparison.all_of(*parts))
    return comparisons


MANY_SAMPLES = Proposition(
    label="20d",
    title="With many samples only the total gradient of the encoder loses its signal",
    statement=(
        r"\text{total: } \sqrt K\,\mathrm{SNR} \to \frac{|\partial_\phi\operatorname{Var}\bar w|}"
        r"{2\,\mathrm{sd}(\bar wh)};\quad \text{DReG: } \frac{\mathrm{SNR}}{\sqrt K} \to "
        r"\frac{|\mathbb Ec|}{\mathrm{sd}(c - 2\,\mathbb E[c]\,\bar w)};\quad \text{decoder: } "
        r"\frac{\mathrm{SNR}}{\sqrt K} \to \frac{|\mathbb Ea|}{\mathrm{sd}(a - \mathbb E[a]\,\bar "
        r"w)};\quad \text{path: mean} \to -\nabla_\phi\mathrm{KL}(p(z|x)\,\|\,q_\phi)"
    ),
    hypotheses=(
        SAMPLED,
        ESTIMATORS,
        WEIGHTS,
        ("moments", r"\mathbb E_q\bar w^4|r|^2 < \infty \text{ (DReG)},\ \mathbb E_q\bar w^2"
         r"(1 + |h|^2 + |r|^2 + |\partial_\theta\log p|^2) < \infty"),
        ON_A_LINE,
    ),
    kind="rate",
    instances=weighted(),
    check=many_samples,
    controls=wrong(
        many_samples,
        {
            "c without the factor 2": {"cross": 1.0},
            "sd(a) about its own mean": {"centred": False},
            "the total gradient's mean is half of that": {"half": 0.5},
            "the total gradient's ratio grows as well": {"grows": True},
        },
    ),
    uses=("14b", "20c", "20c-exact"),
    figure="gradient-estimators",
    resolution=1e-2,
    examples=6,
)  # fmt: skip


@st.composite
def without_moments(draw: DrawFn) -> Weighted:
    """Ratios with a variance of the weights and without a fourth moment, and some with or none."""
    return Weighted(
        draw(st.sampled_from((2.0, 4.0))),
        draw(st.sampled_from((1.0, -0.5))),
        draw(st.sampled_from((58, 55, 65, 70, 80, 90, 40))),
        draw(st.sampled_from((0.0, 0.125))),
    )


@together
def missing_moments(
    scenes: Sequence[Weighted],
    *,
    fourth: Fraction = Fraction(3, 4),
    second: Fraction = Fraction(1, 2),
    always: bool = False,
) -> list[Comparison]:
    """Decide which limits there are by v / S, and see DReG's ratio fall where it has none."""
    comparisons = []
    for scene, own in zip(scenes, measured(tuple(scenes), _MANY), strict=True):
        ratio = Fraction(scene.hundredths, 100)
        limits = own.limits
        known = np.isfinite(limits[2]) & np.isfinite(limits[3])
        slow = np.isfinite(limits[2]) & np.isinf(limits[1])
        # Of each estimator: a limit of its own, a ratio that falls behind, or nothing.
        told = np.where(known, 2.0, np.where(slow, 1.0, 0.0))[:, 1]
        both = {True: 2.0, False: 1.0}
        right = np.array(
            [
                2.0 if ratio > second else 0.0,
                both[ratio > second],
                2.0 if ratio > fourth else 1.0 if ratio > Fraction(1, 2) else 0.0,
                both[ratio > second],
            ]
        )
        parts = [Comparison.identity(told, right, scale=1.0, exact=0.0)]
        # The reduced ratios, which are to tend to a limit or to 0.
        relative = own.variance_error / own.variance
        snr = np.abs(own.mean) / np.sqrt(own.variance)
        # sqrt(1 - r) is at least 1 - r.
        error = own.mean_error / np.sqrt(own.variance) + snr * relative
        dreg, off = snr[:, 2, 1], error[:, 2, 1]
        falls = ratio < Fraction(3, 4) and not always
        if falls:
            parts.append(
                Comparison.at_most(
                    2 * dreg[1:], dreg[:-1], scale=dreg[0], library=2 * off[1:] + off[:-1]
                )
            )
        else:
            parts.append(
                Comparison.at_most(
                    dreg[:-1], 2 * dreg[1:], scale=dreg[0], library=2 * off[1:] + off[:-1]
                )
            )
        comparisons.append(Comparison.all_of(*parts))
    return comparisons


MOMENTS = Proposition(
    label="20d-moments",
    title="DReG keeps its signal only if the weights have four moments, not two",
    statement=(
        r"v > \tfrac34S:\ \mathrm{SNR}_{\mathrm{DReG}} \sim \sqrt K;\quad \tfrac12S < v < "
        r"\tfrac34S:\ \mathrm{SNR}_{\mathrm{DReG}}/\sqrt K \to 0, \text{ while the limits of the "
        r"total, path and decoder gradients exist}"
    ),
    hypotheses=(SAMPLED, ESTIMATORS, WEIGHTS, ON_A_LINE),
    kind="counterexample",
    instances=without_moments(),
    check=missing_moments,
    controls=wrong(
        missing_moments,
        {
            "two moments suffice": {"fourth": Fraction(1, 2)},
            "the total gradient needs four as well": {"second": Fraction(3, 4)},
            "DReG's ratio always grows like the root": {"always": True},
        },
    ),
    uses=("14c", "20d"),
    figure="gradient-estimators",
    resolution=1e-2,
    examples=8,
)
