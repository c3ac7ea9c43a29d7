"""Checks of 20b and 20b-directions: for a Gaussian posterior, which gradient is the quieter one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gradient_moments import gradient_noise
from vaetheory.bounds.weight_moments import importance_weighted_expansion
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.gradient_estimators.scenes import (
    ESTIMATORS,
    LINEAR,
    SAMPLED,
    LinearEncoder,
    Noise,
    exact_noise,
    linear_encoders,
)
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_NAMES = ("total", "path")
ONE_SAMPLE = ("one sample", r"K = 1;\ \text{the total gradient has the entropy in closed form}")


@dataclass(frozen=True)
class Line:
    """A Gaussian posterior N(0, 1/precision), and q = N(shift s*, ratio s*^2)."""

    precision: float
    hundredths: int
    shift: float

    @cached_property
    def model(self) -> LatentModel:
        """A linear model whose posterior at x = 0 has this precision."""
        weight = np.sqrt(self.precision - 1)
        return LatentModel(decoders.Affine([[weight]]), likelihoods.Gaussian(scale=1.0), 1)

    @property
    def ratio(self) -> Fraction:
        """The variance of q over the posterior's."""
        return Fraction(self.hundredths, 100)

    @property
    def posterior(self) -> Posterior:
        """The Gaussian q."""
        star = self.precision**-0.5
        return Posterior([self.shift * star], scale=star * float(self.ratio) ** 0.5)


@st.composite
def lines(draw: DrawFn) -> Line:
    """Posteriors of some widths; ratios on both sides of a half, of a quarter and of one."""
    return Line(
        draw(st.sampled_from((4.0, 2.0, 64.0, 4096.0))),
        draw(st.sampled_from((36, 64, 20, 49, 51, 80, 100, 1, 130, 400))),
        draw(st.sampled_from((0.0, 0.5, -1.0, 3.0))),
    )


@once
def noise_of(scenes: tuple[Line, ...]) -> dict[str, Noise]:
    """The library's noise, `(I, 2)`."""
    found = [gradient_noise(s.model, [0.0], s.posterior, 1, _NAMES) for s in scenes]
    return {name: Noise.of([f[name] for f in found]) for name in _NAMES}


@together
def crossing(
    scenes: Sequence[Line],
    *,
    never: bool = False,
    threshold: Fraction = Fraction(1, 2),
    cross: float = 2.0,
    kurtosis: float = 2.0,
) -> list[Comparison]:
    """Compare variances with their closed forms, and their order with that of rational numbers."""
    noise = noise_of(tuple(scenes))
    precision, shift = (np.array([getattr(s, n) for s in scenes]) for n in ("precision", "shift"))
    rho = np.array([float(s.ratio) for s in scenes])
    # In units of the posterior's standard deviation, for m times its square.
    total = np.stack([rho * precision, rho * shift**2 + kurtosis * rho**2], axis=-1)
    path = np.stack(
        [
            (rho - cross + 1 / rho) * precision,
            rho * shift**2 + kurtosis * (rho - 1) ** 2,
        ],
        axis=-1,
    )
    size = np.stack([(rho + 2 + 1 / rho) * precision, rho * shift**2 + 2 * (1 + rho) ** 2], axis=-1)
    # The weight is a root, and so are the deviations of q.
    lost = gamma(60) * size
    noisier = np.array([s.ratio < threshold for s in scenes])[:, None]
    noisier = noisier & (not never)
    first = np.where(noisier, noise["total"].variance, noise["path"].variance)
    second = np.where(noisier, noise["path"].variance, noise["total"].variance)
    library = noise["total"].variance_error + noise["path"].variance_error
    each = [
        Comparison.identities(
            noise[name].variance, value, scale=size, library=noise[name].variance_error,
            rounding=lost,
        )
        for name, value in (("total", total), ("path", path))
    ]  # fmt: skip
    each.append(Comparison.each_at_most(first, second, scale=size, library=library, rounding=lost))
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


CROSSING = Proposition(
    label="20b",
    title="The path gradient is the noisier one for every encoder with less than half the variance",
    statement=(
        r"p(z|x) = \mathcal N(\mu, S_*),\ q = \mathcal N(m, s^2),\ \delta = m - \mu:\ "
        r"\operatorname{Var}_m: \tfrac{s^2}{S_*^2},\ s^2\big(\tfrac1{s^2} - \tfrac1{S_*}\big)^2;\ "
        r"\operatorname{Var}_{\log s}: \tfrac{s^2\delta^2 + 2s^4}{S_*^2},\ "
        r"\tfrac{s^2\delta^2}{S_*^2} + 2\big(1 - \tfrac{s^2}{S_*}\big)^2;\ "
        r"\text{path noisier} \iff s^2 < \tfrac12S_*"
    ),
    hypotheses=(SAMPLED, ESTIMATORS, ONE_SAMPLE, LINEAR),
    kind="counterexample",
    instances=lines(),
    check=crossing,
    controls=wrong(
        crossing,
        {
            "the path gradient is never noisier": {"never": True},
            "the variances cross at s^2 = S": {"threshold": Fraction(1)},
            "they cross at s^2 = S / 4": {"threshold": Fraction(1, 4)},
            "score and pathwise part are uncorrelated": {"cross": 0.0},
            "the variance of e^2 is one": {"kurtosis": 1.0},
        },
    ),
    uses=("20a",),
    figure="gradient-estimators",
    examples=12,
)


@dataclass(frozen=True)
class Turned:
    """A model in the latents R^T z, and q there."""

    model: LatentModel
    posterior: Posterior
    precision: Array
    excess: Array


def turned(scene: LinearEncoder) -> Turned:
    """The model in latents along the eigenvectors of S^-1 - 2 P."""
    own = np.linalg.inv(scene.relative.matrix)
    excess = (own + own.T) / 2 - 2 * scene.precision
    _, R = np.linalg.eigh(excess)
    model = LatentModel(decoders.Affine(scene.weight @ R), likelihoods.Gaussian(scale=scene.noise))
    cov = R.T @ scene.relative.matrix @ R
    q = Posterior(R.T @ scene.posterior.loc, cov=(cov + cov.T) / 2)
    return Turned(model, q, R.T @ scene.precision @ R, R.T @ excess @ R)


@once
def turned_noise(scenes: tuple[LinearEncoder, ...]) -> list[tuple[Turned, dict[str, Noise], float]]:
    """Each instance so turned, the library's noise, and its variance of the weights."""
    found = []
    for scene in scenes:
        own = turned(scene)
        noise = exact_noise(own.model, scene.x, own.posterior, _NAMES)
        weights = importance_weighted_expansion(own.model, np.array(scene.x), own.posterior)
        found.append((own, noise, float(weights.variance)))
    return found


@together
def directions(
    scenes: Sequence[LinearEncoder],
    *,
    times: float = 2.0,
    log_scale: float = 4.0,
    always: bool = False,
    mean: bool = False,
) -> list[Comparison]:
    """Compare differences of variances with S^-1 - 2 P, and its sign with the weights' variance."""
    comparisons = []
    for scene, (own, noise, weights) in zip(scenes, turned_noise(tuple(scenes)), strict=True):
        gap = noise["path"].variance - noise["total"].variance
        error = noise["path"].variance_error + noise["total"].variance_error
        inverse = np.linalg.inv(own.posterior.cov)
        root = own.posterior.scale_tril
        inner = np.diagonal(root.T @ own.precision @ root)
        told = np.concatenate([np.diagonal(inverse - times * own.precision), 2 - log_scale * inner])
        size = np.concatenate([np.diagonal(inverse) + np.diagonal(own.precision), 1 + inner])
        spread = np.linalg.cond(own.posterior.cov) * np.linalg.norm(own.precision)
        size = size + noise["total"].variance
        lost = gamma(60 * scene.dim) * spread * size
        quieter = bool(np.linalg.eigvalsh(own.excess)[-1] < 0)
        if mean:
            quieter = bool(np.linalg.eigvalsh(inverse - own.precision)[-1] < 0)
        finite = True if always else np.isfinite(weights)
        comparisons.append(
            Comparison.all_of(
                Comparison.identity(gap, told, scale=size, library=error, rounding=lost),
                Comparison.identity(float(quieter), float(finite), scale=1.0, exact=0.0),
            )
        )
    return comparisons


DIRECTIONS = Proposition(
    label="20b-directions",
    title="The path gradient is quieter in every direction iff the weights have a variance",
    statement=(
        r"\operatorname{Cov}r_m - \operatorname{Cov}h_m = S^{-1} - 2P,\quad "
        r"\operatorname{Var}r_{t_j} - \operatorname{Var}h_{t_j} = 2 - 4(L^\top PL)_{jj};\quad "
        r"S^{-1} - 2P \prec 0 \iff \operatorname{Var}_qw < \infty"
    ),
    hypotheses=(SAMPLED, ESTIMATORS, ONE_SAMPLE, LINEAR),
    kind="identity",
    instances=linear_encoders((1, 2, 3, 5, 8), (1.0, 0.75, 0.3125, 0.0625, 2.0)),
    check=directions,
    controls=wrong(
        directions,
        {
            "S^-1 - P": {"times": 1.0},
            "2 - 2 L^T P L": {"log_scale": 2.0},
            "weights always have a variance": {"always": True},
            "S^-1 below P decides": {"mean": True},
        },
    ),
    uses=("14d", "20b"),
    examples=12,
)
