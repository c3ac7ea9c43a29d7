"""The checks of 24a: an estimate through one exact posterior sample, by integrals without chance.

The library draws from streams of uniform numbers. Here the streams give the nodes of a quadrature
rule, so that the expectation over all draws and samples is an integral.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy.special import ndtr

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._sampling.importance import INDEPENDENT, LATTICE, SOBOL, Estimates, through
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import Streams
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Integrals reach this many standard deviations.
_REACH = 9.0


@dataclass(frozen=True)
class LinearScene:
    """A datum x of x = slope z + noise, and a normal proposal relative to its posterior.

    Attributes
    ----------
    slope, noise, x : float
    shift : float
        Of the proposal's mean, in deviations of the posterior.
    wide : float
        Its deviation over that of the posterior.
    """

    slope: float
    noise: float
    x: float
    shift: float
    wide: float

    @property
    def posterior(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        precision = 1 + (self.slope / self.noise) ** 2
        return self.slope * self.x / self.noise**2 / precision, precision**-0.5

    @property
    def evidence(self) -> float:
        """p(x) in closed form."""
        variance = self.noise**2 + self.slope**2
        return float(np.exp(-0.5 * (self.x**2 / variance + np.log(variance) + LOG_2PI)))

    def proposals(self, count: int) -> Mixture:
        """The proposal, for `count` copies of the datum."""
        mean, deviation = self.posterior
        return Mixture(
            np.ones((count, 1)),
            np.full((count, 1, 1), mean + self.shift * deviation),
            np.full((count, 1, 1, 1), self.wide * deviation),
            np.inf,
        )

    def target(self, streams: Streams) -> Target:
        """The log joint of as many copies of the datum as there are streams."""
        model = LatentModel(decoders.Affine([[self.slope]]), likelihoods.Gaussian(scale=self.noise))
        return replace(Target.of(model, np.full((len(streams), 1), self.x), 0), streams=streams)


def linear_scenes(*, shifted: bool) -> SearchStrategy[LinearScene]:
    """Narrow and broad posteriors, and proposals beside them that are broader.

    The integrands are smooth enough for a lattice: without shift if the proposals are much broader,
    since the weights at the ends of the unit interval vanish as a high power.
    """
    half = strategies.fractions(-2, 2, 2) if shifted else st.just(0.0)
    return st.builds(
        LinearScene,
        strategies.nonzero_fractions(3, 2),
        st.sampled_from((1.0, 0.5, 2.0)),
        strategies.fractions(-4, 4, 2),
        half,
        st.sampled_from((1.25, 1.5) if shifted else (3.0, 4.0)),
    )


class GivenNumbers(Streams):
    """Streams that return given numbers for each purpose."""

    def __init__(self, numbers: dict[str, Array]) -> None:
        super().__init__(0, np.arange(len(next(iter(numbers.values())))))
        object.__setattr__(self, "numbers", numbers)

    def uniforms(self, purpose: str, *shape: int) -> Array:
        """The given numbers, or halves."""
        given: dict[str, Array] = self.numbers  # type: ignore[attr-defined]
        out: Array = np.broadcast_to(given.get(purpose, np.full(1, 0.5)), (len(self), *shape))
        return out


def mean_of_draws(found: Estimates) -> Array:
    """The estimate of the library."""
    return np.asarray(np.exp(found.log_mean[:, 0]))


def one_too_many(found: Estimates) -> Array:
    """The sample beside all draws, the sum divided by their number without it."""
    weights = np.exp(found.log_weights[:, 0])
    return np.asarray(weights.sum(axis=1) / (weights.shape[1] - 1))


def without_the_sample(found: Estimates) -> Array:
    """The mean of the other draws."""
    return np.asarray(np.exp(found.log_weights[:, 0, 1:]).mean(axis=1))


def reciprocal(
    scene: LinearScene,
    *,
    estimate: Callable[[Estimates], Array] = mean_of_draws,
    seen: bool = False,
    prior: bool = False,
) -> Comparison:
    """Compare the mean of 1 / estimate over a draw and an exact sample with 1 / p(x)."""
    mean, deviation = scene.posterior

    def integrand(points: Array) -> Array:
        numbers = np.stack([np.full(len(points), 0.5), ndtr(points[:, 1])], axis=1)
        z = mean + deviation * points[:, :1]
        q = scene.proposals(len(points))
        if seen:
            # The proposal moves half of the way to the sample.
            q = replace(q, means=0.5 * (q.means + z[:, None]))
        streams = GivenNumbers({"above": numbers[..., None]})
        target = scene.target(streams)
        found = through(target, q, z, count=2, purpose="above", points=INDEPENDENT)
        log_density = -0.5 * (points**2).sum(axis=1) - LOG_2PI
        if prior:
            # A sample of the proposal for one of the posterior.
            length = (z[:, 0] - q.means[:, 0, 0]) / q.roots[:, 0, 0, 0]
            log_density += 0.5 * points[:, 0] ** 2 - 0.5 * length**2 - np.log(scene.wide)
        return np.asarray((scene.evidence / estimate(found) * np.exp(log_density))[:, None])

    reach = np.array([_REACH * (scene.wide + abs(scene.shift) if prior else 1.0), _REACH])
    # Uniform numbers of 53 bits end at 8.2 deviations.
    reach[1] = 8.0
    value, error = lattice_integral(integrand, -reach, reach, step=0.125)
    return Comparison.identity(
        value, 1.0, scale=1.0, lattice=error, rounding=gamma(4000), tails=1e-13
    )


_LINEAR = ("a linear model", r"x = a z + \sigma\varepsilon,\ d = 1")

RECIPROCAL = Proposition(
    label="24a",
    title="One exact sample among the draws makes the estimate unbiased for the reciprocal",
    statement=(
        r"\mathbb E\Big[\Big(\tfrac1n\big(w(z^*) + \textstyle\sum_{i=2}^n w(z_i)\big)"
        r"\Big)^{-1}\Big]"
        r" = \frac1{p(x)},\quad w = \frac{p(x, z)}{q(z)},\ z^* \sim p(z|x),\ z_i \sim q"
    ),
    hypotheses=(
        ("exact sample", r"z^* \sim p(z|x), \text{ and } q \text{ does not depend on it}"),
        _LINEAR,
        ("two draws", r"n = 2,\ q \text{ normal}"),
    ),
    kind="identity",
    instances=linear_scenes(shifted=True),
    check=reciprocal,
    controls=wrong(
        reciprocal,
        {
            "the sample beside all draws": {"estimate": one_too_many},
            "the mean of the other draws": {"estimate": without_the_sample},
            "a proposal that has seen the sample": {"seen": True},
            "a sample of the proposal": {"prior": True},
        },
    ),
    figure="high-dimensional-evidence",
    examples=6,
)


_COUNT = 4


def shifted_rule(
    scene: LinearScene, *, moved: bool = True, others: bool = False, power: float = 1.0
) -> Comparison:
    """Compare the mean of 1 / estimate over all places and samples with 1 / p(x)."""
    mean, deviation = scene.posterior
    parts = []
    for points in (LATTICE, SOBOL):

        def integrand(nodes: Array, points: str = points) -> Array:
            z = np.repeat(mean + deviation * nodes, _COUNT, axis=0)
            place = np.tile((np.arange(_COUNT) + 0.5) / _COUNT, len(nodes))
            streams = _Scrambled({"above place": place}, moved)
            target, q = scene.target(streams), scene.proposals(len(z))
            found = through(target, q, z, count=_COUNT, purpose="above", points=points)
            estimate = without_the_sample(found) if others else mean_of_draws(found)
            ratio = (scene.evidence / estimate) ** power
            density = np.exp(-0.5 * (nodes[:, 0] ** 2 + LOG_2PI))
            return np.asarray((ratio.reshape(-1, _COUNT).mean(axis=1) * density)[:, None])

        reach = np.array([_REACH])
        value, error = lattice_integral(integrand, -reach, reach, step=2.0**-6)
        parts.append(
            Comparison.identity(
                value,
                1.0,
                scale=1.0,
                lattice=error,
                rounding=gamma(4000),
            )
        )
    return Comparison.all_of(*parts)


class _Scrambled(GivenNumbers):
    """Given numbers, and Sobol points without a scramble; the shift may be left out."""

    def __init__(self, numbers: dict[str, Array], moved: bool) -> None:
        super().__init__(numbers)
        object.__setattr__(self, "moved", moved)

    def words(self, purpose: str, *shape: int) -> np.ndarray:
        """No random bits."""
        return np.zeros((len(self), *shape), dtype=np.uint64)

    def sobol_through(self, purpose, count, place, point, coordinates):  # type: ignore[no-untyped-def]
        """The points of the library, or points that are not moved."""
        if self.moved:  # type: ignore[attr-defined]
            return super().sobol_through(purpose, count, place, point, coordinates)
        return super().sobol_through(purpose, count, place, 0.3 + 0 * point, coordinates)


SHIFTED_RULES = Proposition(
    label="24a-shift",
    title="So does a lattice or a Sobol net that is shifted through the sample",
    statement=(
        r"\mathbb E\big[\hat Z(u^* \ominus u_K)^{-1}\big] = \frac1{p(x)},\quad "
        r"\hat Z(\delta) = \tfrac1n\textstyle\sum_i w(T(u_i \oplus \delta)),\ T(u^*) = z^*"
    ),
    hypotheses=(
        ("exact sample", r"z^* \sim p(z|x),\ K \text{ uniform in } 1, \dots, n"),
        _LINEAR,
        ("four points", r"n = 4,\ \oplus \text{ modulo one, or bit by bit}"),
    ),
    kind="identity",
    instances=linear_scenes(shifted=False),
    check=shifted_rule,
    controls=wrong(
        shifted_rule,
        {
            "points that are not moved through the sample": {"moved": False},
            "the mean of the other points": {"others": True},
            "the square of the reciprocal": {"power": 2.0},
        },
    ),
    uses=("24a",),
    examples=6,
)
