"""Checks of 7c: the posterior of a datum that is observed again and again."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import autograd.numpy as anp
import numpy as np
from autograd import grad
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import ArrayLike

from vaetheory import likelihoods
from vaetheory._validation import Array, as_array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import strategies
from vaetheory.checking.claim import Certificate
from vaetheory.checking.rates import extrapolate, power_law
from vaetheory.checking.strategies import Vector
from vaetheory.encoders import Posterior
from vaetheory.geometry import pullback_metric
from vaetheory.likelihoods import ExponentialFamily, Likelihood, Support
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


class Repeated(Likelihood):
    """n independent observations under the same parameters, told by the mean of their statistics.

    `x` is any vector, in the support or not, with T(x) equal to that mean: all that a likelihood
    function of an exponential family depends on.
    """

    def __init__(self, inner: Likelihood, count: float) -> None:
        self.inner, self.count, self.data_dim = _of_statistics(inner), count, inner.data_dim
        self.concave = inner.concave

    def check_data(self, x: ArrayLike) -> Array:
        """Any numbers will do."""
        return as_array("x", x, min_ndim=1)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Log density of all observations, but for a term without params."""
        if not self.inner.exponential:
            return self.count * self.inner.log_prob(x, params)
        # As a function of T: the families' own log densities take x to be in the support.
        return self.count * ExponentialFamily.log_prob(
            cast(ExponentialFamily, self.inner), x, params
        )

    def score(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Score of all observations."""
        if self.inner.exponential and self.inner.natural:
            mean = cast(ExponentialFamily, self.inner).mean(np.asarray(params))
            return self.count * (np.asarray(x) - mean)
        return self.count * self.inner.score(x, params)

    def observed_information(self, x: ArrayLike, params: ArrayLike, jacobian: Array) -> Array:
        """Observed information of all observations."""
        return self.count * self.inner.observed_information(x, params, jacobian)

    def fisher_information(self, params: ArrayLike) -> Array:
        """Fisher information of all observations."""
        return self.count * self.inner.fisher_information(params)

    def greatest_log_prob(self, x: Array) -> Array:
        """Greatest log density."""
        return self.count * self.inner.greatest_log_prob(x)

    def sample(self, params: ArrayLike, rng: np.random.Generator) -> Array:
        """Not offered: the observations are known by their mean only."""
        raise NotImplementedError("Repeated observations are known by their mean only")


def _of_statistics(inner: Likelihood) -> Likelihood:
    """A copy of a family whose data may be any numbers."""
    out = copy(inner)
    anywhere = type(type(inner).__name__, (type(inner),), {"support": Support.REAL})
    object.__setattr__(out, "__class__", anywhere)
    return out


# Log partitions of one observation in its natural parameter, written for autograd.
_NATURAL: dict[str, tuple[Callable[[], ExponentialFamily], Callable[[Any], Any]]] = {
    "Gaussian": (lambda: likelihoods.Gaussian(scale=1.0), lambda t: t**2 / 2),
    "Bernoulli": (likelihoods.Bernoulli, lambda t: anp.log(1 + anp.exp(t))),
    "Poisson": (likelihoods.Poisson, anp.exp),
}


@dataclass(frozen=True)
class RepeatedScene:
    """A curve of natural parameters z -> slope z + bend z^2 and the point whose datum it is."""

    family: str
    slope: Vector
    bend: Vector
    z: float

    def curve(self, z: Any) -> Any:
        """Natural parameters, `(..., 1) -> (..., D)`."""
        return z * np.array(self.slope) + z**2 * np.array(self.bend)

    @property
    def likelihood(self) -> ExponentialFamily:
        """One observation."""
        return _NATURAL[self.family][0]()


@st.composite
def repeated_scenes(draw: DrawFn) -> RepeatedScene:
    """Curves that are injective and immersions: their first output is linear."""
    slope = draw(strategies.nonzero_fractions(2)), draw(strategies.fractions(-2, 2, 2))
    bend = 0.0, draw(strategies.fractions(-2, 2, 4))
    z = draw(strategies.fractions(-2, 2, 4))
    scene = RepeatedScene(draw(st.sampled_from(tuple(_NATURAL))), slope, bend, z)
    # A constant too close to nought has no exponent that could be measured.
    assume(abs(next_order(scene)) > 0.1)
    return scene


def _derivatives(scene: RepeatedScene) -> list[float]:
    """First four derivatives of the mean negative log likelihood at z, at matching means."""
    partition = _NATURAL[scene.family][1]
    z = np.array([scene.z])
    mean = scene.likelihood.mean(scene.curve(z))

    def height(t: Any) -> Any:
        params = scene.curve(t)
        return anp.sum(partition(params)) - anp.sum(mean * params)

    out: list[float] = []
    function: Callable[[Any], Any] = height
    for _ in range(4):
        function = _summed(grad(function))
        out.append(float(function(z)))
    return out


def _summed(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda t: anp.sum(function(t))


def next_order(scene: RepeatedScene) -> float:
    """The constant C of precision = n g + C + O(1/n)."""
    _, g, third, fourth = _derivatives(scene)
    shift = -(scene.z + third / (2 * g)) / g
    return 1 + third * shift + fourth / (2 * g)


def prior_alone(scene: RepeatedScene) -> float:
    """The constant that I + n g suggests."""
    return 1.0


def without_the_shift(scene: RepeatedScene) -> float:
    """As if the posterior's mean were the maximum-likelihood point."""
    _, g, _, fourth = _derivatives(scene)
    return 1 + fourth / (2 * g)


def measured_precisions(
    scene: RepeatedScene, counts: Array, *, off: float = 0.0
) -> tuple[Array, Array, float]:
    """Stationary posterior precision over n for each n, its error, and the metric g(z0)."""
    z, family = np.array([scene.z]), scene.likelihood
    params = scene.curve(z)
    x = family.mean(params) + off * np.array([0.0, 1.0])
    g = float(pullback_metric(LatentModel(scene.curve, family, 1), z)[0, 0])
    scaled, errors = [], []
    for n in counts:
        model = LatentModel(scene.curve, Repeated(family, n), 1)
        best: Posterior = Posterior(z, [[1 / (1 + n * g)]])
        # Twice: the deficit is squared by every step.
        for _ in range(2):
            best = found = stationary_posterior(model, x, start=best, rtol=1e-15)
        precision = 1 / float(found.cov[0, 0])
        scaled.append(precision / n)
        # A precision off by e, relative, leaves e^2 / 4 nats to gain.
        relative = 2 * np.sqrt(float(found.deficit)) + gamma(200) * (1 + np.abs(params).max())
        errors.append(relative * precision / n)
    return np.array(scaled), np.array(errors) + gamma(100) * g, g


def repeated_observations(
    scene: RepeatedScene,
    *,
    constant: Callable[[RepeatedScene], float] = next_order,
    metric: Callable[[float], float] = lambda g: g,
    exponent: float = 2.0,
    off: float = 0.0,
) -> Certificate:
    """Stationary precision over n against g, and what it is off by times n against the constant.

    `off` moves the datum off the curve of means, for a control.
    """
    counts = 256 * 4.0 ** np.arange(5)
    values, errors, g = measured_precisions(scene, counts, off=off)
    limit, left, noise = extrapolate(values, errors)
    coefficient = constant(scene)
    return Certificate.all_of(
        Certificate.identity(
            limit, metric(g), scale=g, expansion=left, numerics=noise, rounding=gamma(100) * g
        ),
        power_law(
            np.abs(values - g),
            errors,
            1 / np.sqrt(counts),
            exponent=exponent,
            coefficient=abs(coefficient),
            rounding=gamma(1000) * (1 + abs(coefficient)),
        ),
    )
