"""The check of 7c: the posterior of a datum that is observed many times."""

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
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import extrapolate, power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.families import FULL_FAMILY
from vaetheory.encoders import Posterior
from vaetheory.geometry import pullback_metric
from vaetheory.likelihoods import ExponentialFamily, Likelihood, Support
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


class Repeated(Likelihood):
    """n independent observations under the same parameters, given by the mean of their statistics.

    `x` is any vector, in the support or not, with T(x) equal to that mean. The likelihood of an
    exponential family depends on nothing else.
    """

    def __init__(self, inner: Likelihood, count: float) -> None:
        self.inner, self.count, self.data_dim = _of_statistics(inner), count, inner.data_dim
        self.concave = inner.concave

    def check_data(self, x: ArrayLike) -> Array:
        """Any numbers are accepted."""
        return as_array("x", x, min_ndim=1)

    def log_prob(self, x: ArrayLike, params: ArrayLike) -> Array:
        """Log density of all observations, without a term that does not depend on params."""
        if not self.inner.exponential:
            return self.count * self.inner.log_prob(x, params)
        # As a function of T: the families' own log densities require x in the support.
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
        """Not available: only the mean of the observations is known."""
        raise NotImplementedError("Repeated: only the mean of the observations is known")


def _of_statistics(inner: Likelihood) -> Likelihood:
    """A copy of a family that accepts any numbers as data."""
    twin = copy(inner)
    anywhere = type(type(inner).__name__, (type(inner),), {"support": Support.REAL})
    object.__setattr__(twin, "__class__", anywhere)
    return twin


# Log partitions of one observation in its natural parameter, written for autograd.
_NATURAL: dict[str, tuple[Callable[[], ExponentialFamily], Callable[[Any], Any]]] = {
    "Gaussian": (lambda: likelihoods.Gaussian(scale=1.0), lambda t: t**2 / 2),
    "Bernoulli": (likelihoods.Bernoulli, lambda t: anp.log(1 + anp.exp(t))),
    "Poisson": (likelihoods.Poisson, anp.exp),
}


@dataclass(frozen=True)
class RepeatedScene:
    """A curve of natural parameters z -> slope z + bend z^2, and the point of its datum."""

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
    """Injective immersions: their first output is linear."""
    slope = draw(strategies.nonzero_fractions(2)), draw(strategies.fractions(-2, 2, 2))
    bend = 0.0, draw(strategies.fractions(-2, 2, 4))
    z = draw(strategies.fractions(-2, 2, 4))
    scene = RepeatedScene(draw(st.sampled_from(tuple(_NATURAL))), slope, bend, z)
    # If the constant is too close to zero, no exponent can be measured.
    assume(abs(next_order(scene)) > 0.1)
    return scene


@once
def _derivatives(scene: RepeatedScene) -> list[float]:
    """First four derivatives of the mean negative log likelihood at z, at matching means."""
    partition = _NATURAL[scene.family][1]
    z = np.array([scene.z])
    mean = scene.likelihood.mean(scene.curve(z))

    def height(t: Any) -> Any:
        params = scene.curve(t)
        return anp.sum(partition(params)) - anp.sum(mean * params)

    derivatives: list[float] = []
    function: Callable[[Any], Any] = height
    for _ in range(4):
        function = _summed(grad(function))
        derivatives.append(float(function(z)))
    return derivatives


def _summed(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda t: anp.sum(function(t))


def next_order(scene: RepeatedScene) -> float:
    """The constant C of precision = n g + C + O(1/n)."""
    _, g, third, fourth = _derivatives(scene)
    shift = -(scene.z + third / (2 * g)) / g
    return 1 + third * shift + fourth / (2 * g)


def prior_alone(scene: RepeatedScene) -> float:
    """The constant of I + n g."""
    return 1.0


def without_the_shift(scene: RepeatedScene) -> float:
    """The constant if the posterior's mean were the maximum-likelihood point."""
    _, g, _, fourth = _derivatives(scene)
    return 1 + fourth / (2 * g)


@once
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
        best: Posterior = Posterior(z, cov=[[1 / (1 + n * g)]])
        # Two times: each climb squares the deficit.
        for _ in range(2):
            best = climbed = stationary_posterior(model, x, start=best, rtol=1e-15)
        precision = 1 / float(climbed.cov[0, 0])
        scaled.append(precision / n)
        # With a relative error e of the precision, e^2 / 4 nats can still be gained.
        relative = 2 * np.sqrt(float(climbed.deficit)) + gamma(200) * (1 + np.abs(params).max())
        errors.append(relative * precision / n)
    return np.array(scaled), np.array(errors) + gamma(100) * g, g


def repeated_observations(
    scene: RepeatedScene,
    *,
    constant: Callable[[RepeatedScene], float] = next_order,
    metric: Callable[[float], float] = lambda g: g,
    exponent: float = 2.0,
    off: float = 0.0,
) -> Comparison:
    """Compare the stationary precision over n with g, and n times the difference with the constant.

    `off` moves the datum away from the curve of means, for a wrong version.
    """
    counts = 256 * 4.0 ** np.arange(5)
    values, errors, g = measured_precisions(scene, counts, off=off)
    limit, left, noise = extrapolate(values, errors)
    coefficient = constant(scene)
    return Comparison.all_of(
        Comparison.identity(
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


REPEATED_OBSERVATIONS = Proposition(
    label="7c",
    title="Of n observations that match z0 the posterior precision is n g(z0) + C + O(1/n)",
    statement=(
        r"S^{-1} = n\,g(z_0) + C + O(1/n),\quad "
        r"C = 1 + \ell'''\delta + \tfrac{\ell''''}{2g},\ "
        r"\delta = -\tfrac1g\big(z_0 + \tfrac{\ell'''}{2g}\big),\ "
        r"\ell(z) = -\tfrac1n\textstyle\sum_i\log p(x_i|f(z))"
    ),
    hypotheses=(
        FULL_FAMILY,
        ("matching data", r"\tfrac1n\sum_i T(x_i) = \mathbb E_{p(x|f(z_0))}[T]"),
        ("embedded curve", r"d = 1,\ f\text{ injective},\ g(z_0) > 0"),
    ),
    kind="rate",
    instances=repeated_scenes(),
    check=repeated_observations,
    controls=wrong(
        repeated_observations,
        {
            "I + n g, without the smoothing of the Hessian": {"constant": prior_alone},
            "the posterior's mean at z0": {"constant": without_the_shift},
            "2 n g": {"metric": lambda g: 2 * g},
            "order 1 / sqrt(n)": {"exponent": 1.0},
            "data that match no point of the curve": {"off": 0.5},
        },
    ),
    uses=("3b", "7a"),
    figure="riemannian-likelihood",
    resolution=5e-2,
    examples=6,
)
