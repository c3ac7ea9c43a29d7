"""Checks of 15d: the evidence is above the ELBO by at most chi^2(q || p(z|x))."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import kl_divergence
from vaetheory._validation import Array
from vaetheory.bounds.from_the_posterior import eubo, harmonic_mean, harmonic_mean_variance
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.renyi import renyi_bound
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.claims.evidence_sandwich.renyi import WEIGHTS
from vaetheory.claims.evidence_sandwich.scenes import WeightScene, moments_of, weight_scenes
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@once
def gaps_of(scenes: tuple[WeightScene, ...]) -> tuple[Array, Array]:
    """KL(q || p(z|x)), D_2(q || p(z|x)), chi^2(q || p(z|x)), KL(p(z|x) || q), and log p twice."""
    values, errors = [], []
    for s in scenes:
        x = np.array(s.x)
        exact, lower = linear_log_evidence(s.model, x), elbo(s.model, x, s.q)
        second, upper = renyi_bound(s.model, x, s.q, 2), eubo(s.model, x, s.q)
        square, mean = harmonic_mean_variance(s.model, x, s.q), harmonic_mean(s.model, x, s.q)
        found = (exact.value - lower.value, exact.value - second.value, square.value,
                 upper.value - exact.value, mean.value - exact.value)  # fmt: skip
        off = (exact.error + lower.error, exact.error + second.error, square.error,
               exact.error + upper.error, exact.error + mean.error)  # fmt: skip
        values.append([float(v) for v in found])
        errors.append([float(v) for v in off])
    return np.array(values), np.array(errors)


@together(alike=lambda scene: scene.dim)
def chain(
    scenes: Sequence[WeightScene],
    *,
    without_one: bool = False,
    reverse: bool = False,
    halved: bool = False,
    exchanged: bool = False,
) -> list[Comparison]:
    """Compare three divergences with their closed forms, and their order."""
    given = tuple(scenes)
    values, errors = gaps_of(given)
    moments = moments_of(given)
    condition = np.array([s.condition for s in scenes])
    forward = kl_divergence(moments.loc, moments.own, moments.mean, moments.cov)
    other = kl_divergence(moments.mean, moments.cov, moments.loc, moments.own)
    divergence, size = moments.renyi(2.0, reverse=not reverse)
    infinite = np.array([not s.finite(-1.0) for s in scenes])
    with np.errstate(invalid="ignore", over="ignore"):
        square = np.expm1(divergence) + (1.0 if without_one else 0.0)
    if exchanged:
        forward, other = other, forward
    known = np.isfinite(divergence) & np.isfinite(values[:, 1])
    lost = gamma(1000) * condition * size

    def where(left: Array, right: Array, sizes: Array, off: Array) -> list[Comparison]:
        return Comparison.identities(
            np.where(known, left, 0.0), np.where(known, right, 0.0),
            scale=np.where(known, sizes, 1.0), library=np.where(known, off, 0.0),
            rounding=np.where(known, lost * sizes, 1e-15),
        )  # fmt: skip

    growth = 1 + np.where(known, np.exp(np.where(known, divergence, 0.0)), 0.0)
    smaller = np.where(known, (0.5 if halved else 1.0) * values[:, 2], np.inf)
    least = np.where(known, values[:, 1], 0.0)
    most = np.where(known, smaller, 0.0)
    parts = [
        Comparison.identities(
            values[:, 0], forward, scale=size + forward, library=errors[:, 0],
            rounding=lost * (1 + forward),
        ),
        Comparison.identities(
            values[:, 3], other, scale=size + other, library=errors[:, 3],
            rounding=lost * (1 + other),
        ),
        Comparison.identities(values[:, 4], 0.0, scale=size, library=errors[:, 4]),
        where(values[:, 1], divergence, size, errors[:, 1]),
        where(values[:, 2], square, growth, errors[:, 2]),
        Comparison.identities(
            np.isinf(values[:, 1:3]).astype(float), infinite[:, None], scale=1.0, exact=0.0
        ),
        Comparison.each_at_most(
            np.where(known, values[:, 0], 0.0), least, scale=size,
            library=errors[:, 0] + np.where(known, errors[:, 1], 0.0),
        ),
        Comparison.each_at_most(
            least, most, scale=size,
            library=np.where(known, errors[:, 1] + errors[:, 2], 0.0),
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*each) for each in zip(*parts, strict=True)]


CHAIN = Proposition(
    label="15d",
    title="The gap of the ELBO is at most chi-squared, and log(1 + chi-squared) is sharper",
    statement=(
        r"\log\mathbb E X \le \mathbb E\log X + \mathbb E X\,\mathbb E[1/X] - 1;\quad X = w: \quad "
        r"\mathrm{KL}(q\,\|\,p(z|x)) \le \log\big(p(x)\,\mathbb E_q[1/w]\big) \le "
        r"p(x)\,\mathbb E_q[1/w] - 1 = \chi^2(q\,\|\,p(z|x))"
    ),
    hypotheses=(
        WEIGHTS,
        ("the variable", r"X = w(z),\ z \sim q,\ \mathbb E X = p(x)"),
        ("linear model, Gaussian noise", r"d \le 8;\quad \chi^2 < \infty \iff 2Q - P \succ 0"),
    ),
    kind="inequality",
    instances=weight_scenes(),
    check=chain,
    controls=wrong(
        chain,
        {
            "chi-squared without the - 1": {"without_one": True},
            "chi-squared of p(z|x) against q": {"reverse": True},
            "half of chi-squared is a bound": {"halved": True},
            "KL(p(z|x) || q)": {"exchanged": True},
        },
    ),
    uses=("15a", "15b", "3a"),
    examples=12,
)


@dataclass(frozen=True)
class QuarticScene:
    """The decoder (z, c z^2) with Gaussian noise, a datum, and any Gaussian."""

    bend: float
    noise: float
    x: tuple[float, float]
    mean: float
    variance: float

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        decoder = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, self.bend]])
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise))

    @property
    def q(self) -> Posterior:
        """The Gaussian."""
        return Posterior([self.mean], cov=[[self.variance]])


def quartic_scenes() -> st.SearchStrategy[QuarticScene]:
    """Bends of either sign and narrow Gaussians: the narrower q, the farther out the growth is."""
    return st.builds(
        QuarticScene,
        strategies.nonzero_fractions(2, 2),
        st.sampled_from((1.0, 0.5)),
        strategies.vectors(2),
        st.sampled_from((0.0, 1.0, -0.5)),
        st.sampled_from((1.0, 0.25, 0.0625)),
    )


def quartic_potential(
    scene: QuarticScene, *, finite: bool = False, quadratic: bool = False, above: bool = False
) -> Comparison:
    """See that 1/w q outgrows everything, and that every order above 1 has the bound -inf."""
    x = np.array(scene.x)
    found = [float(renyi_bound(scene.model, x, scene.q, a).value) for a in (1.25, 2.0, 3.0)]
    variance = harmonic_mean_variance(scene.model, x, scene.q)
    below = renyi_bound(scene.model, x, scene.q, -1.0)
    reaches = 2.0 ** np.arange(20, 23)[:, None]
    # q^2 / p(x, z), whose integral is E_q[1/w].
    logs = 2 * scene.q.log_prob(reaches) - scene.model.log_joint(x, reaches)
    power = 2 if quadratic else 4
    growth = np.log2(logs[1:] / logs[:-1])
    # Terms of the third power and lower are smaller by the reach.
    rest = 8 * (1 + 1 / scene.variance + abs(scene.x[1]) / abs(scene.bend)) / reaches[:-1, 0]
    rest = rest * (1 + scene.noise**2 / scene.bend**2)
    told = 0.0 if finite else 1.0
    return Comparison.all_of(
        Comparison.identity(np.isneginf(found).astype(float), told, scale=1.0, exact=0.0),
        Comparison.identity(float(np.isposinf(variance.value)), told, scale=1.0, exact=0.0),
        Comparison.identity(
            float(np.isfinite(below.value)), 0.0 if above else 1.0, scale=1.0, exact=0.0
        ),
        Comparison.identity(growth, power, scale=power, lower_powers=rest),
    )


QUARTIC = Proposition(
    label="15d-quartic",
    title="With a quadratic decoder chi-squared is infinite for every Gaussian q, CUBO never",
    statement=(
        r"f(z) = (z, cz^2),\ c \ne 0:\quad \mathbb E_q[1/w] = \infty,\ V_a = -\infty "
        r"\text{ for } a > 1 \text{ and every Gaussian } q;\quad V_a < \infty \text{ for } a < 0"
    ),
    hypotheses=(
        WEIGHTS,
        ("quartic potential", r"-\log p(x|z) = \tfrac{1}{2\sigma^2}\|x - f(z)\|^2 + "
         r"\mathrm{const}"),
    ),
    kind="counterexample",
    instances=quartic_scenes(),
    check=quartic_potential,
    controls=wrong(
        quartic_potential,
        {
            "finite for a narrow enough q": {"finite": True},
            "1/w grows as for a linear model": {"quadratic": True},
            "CUBO is infinite too": {"above": True},
        },
    ),
    uses=("15a", "15d"),
    resolution=1e-2,
    examples=10,
)  # fmt: skip
