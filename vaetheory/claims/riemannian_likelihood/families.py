"""Likelihood families for the checks of claim 7, with sums over their supports.

The sums are trapezoid sums of the density after a map of the line onto the support, or plain sums
over its points. They share only the log density with the families' closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy.special import expit

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.strategies import Vector
from vaetheory.likelihoods import Likelihood
from vaetheory.rounding import gamma

#: The hypothesis of several propositions.
FULL_FAMILY = (
    "full exponential family",
    r"\log p(x|\theta) = T(x)\cdot\phi(\theta) - A(\theta) + h(x)",
)

Integrand = Callable[[Array], Array]
Total = Callable[[Integrand], tuple[Array, Array]]
Support = Callable[[Likelihood, Array], Total]


def _mapped(
    place: Callable[[Array], Array], slope: Callable[[Array], Array], low: float, high: float
) -> Total:
    """Integral over the image of [low, high] under `place`, whose derivative is `slope`."""

    def integral(integrand: Integrand) -> tuple[Array, Array]:
        def columns(t: Array) -> Array:
            return integrand(place(t)) * slope(t)

        return lattice_integral(columns, np.array([low]), np.array([high]), step=1 / 24)

    return integral


def _points(x: Array, *, open_end: bool) -> Total:
    """Sum over the points `(M, D)`; beyond an open end the terms fall at least geometrically."""

    def total(integrand: Integrand) -> tuple[Array, Array]:
        terms = np.ascontiguousarray(integrand(x).T)
        value, size = terms.sum(axis=-1), np.abs(terms).sum(axis=-1)
        error = gamma(8 + np.log2(len(x))) * size
        if open_end:
            last, before = np.abs(terms[:, -1]), np.abs(terms[:, -2])
            ratio = np.where(before > 0, last / np.maximum(before, 1e-300), 0.0)
            rest = np.where(ratio < 1, last * ratio / (1 - np.minimum(ratio, 0.999)), np.inf)
            error = error + np.where(last > 0, rest, 0.0)
        return value, error

    return total


@dataclass(frozen=True)
class Family:
    """How to build a family from a few numbers, its parameters, and its support.

    Attributes
    ----------
    build : callable
        Maps the constants of the family to the likelihood.
    constants : strategy of tuples
    params : strategy of tuples
        Parameters of one observation, D numbers.
    support : callable
        `(likelihood, params) -> (integrand -> (value, error))`.
    data : strategy of tuples
        One datum; a set of `least` different ones has a finite maximum-likelihood fit.
    least : int
    full : bool
        Whether it is an exponential family with as many parameters as statistics.
    divergence : bool
        Whether the family has its divergence in closed form, `kl_divergence`.
    from_statistic : callable
        `(likelihood, t) -> x` with T(x) = t; by default T(x) = x.
    """

    build: Callable[..., Likelihood]
    constants: SearchStrategy[Vector]
    params: SearchStrategy[Vector]
    support: Support
    data: SearchStrategy[Vector]
    least: int = 2
    full: bool = True
    divergence: bool = True
    from_statistic: Callable[[Likelihood, Array], Array] = lambda likelihood, t: t


def _line(scale: Callable[[Likelihood], float], reach: float) -> Support:
    """The real line about the parameter, x = location + scale sinh t."""

    def support(likelihood: Likelihood, params: Array) -> Total:
        s, centre = scale(likelihood), params[0]
        return _mapped(lambda t: centre + s * np.sinh(t), lambda t: s * np.cosh(t), -reach, reach)

    return support


def _positive(below: float, above: float) -> Support:
    """The positive numbers about exp(parameter), x = exp(parameter + t)."""

    def support(likelihood: Likelihood, params: Array) -> Total:
        centre = params[0]
        return _mapped(lambda t: np.exp(centre + t), lambda t: np.exp(centre + t), -below, above)

    return support


def _plane(likelihood: Likelihood, params: Array) -> Total:
    """The plane in the frame of a Gaussian: x = mean + L y."""
    gaussian = cast(likelihoods.Gaussian, likelihood)
    root = np.linalg.cholesky(gaussian.covariance(len(params)))
    volume = float(np.prod(np.diagonal(root)))
    box = np.full(len(params), 9.5)

    def integral(integrand: Integrand) -> tuple[Array, Array]:
        return lattice_integral(
            lambda y: integrand(params + y @ root.T) * volume, -box, box, step=1 / 3
        )

    return integral


def _circle(likelihood: Likelihood, params: Array) -> Total:
    """The angles in (-pi, pi]: equally spaced sums of a periodic integrand."""
    count = 256

    def integral(integrand: Integrand) -> tuple[Array, Array]:
        step = 2 * np.pi / count
        starts = -np.pi + step * np.array([0.5, 1.0])
        both = [integrand((a + step * np.arange(count))[:, None]) * step for a in starts]
        sums = [np.ascontiguousarray(b.T).sum(axis=-1) for b in both]
        size = np.abs(both[0]).sum(axis=0)
        return (sums[0] + sums[1]) / 2, np.abs(sums[0] - sums[1]) + gamma(16) * size

    return integral


def _unit(likelihood: Likelihood, params: Array) -> Total:
    """The numbers between 0 and 1, x = expit t."""
    return _mapped(expit, lambda t: expit(t) * expit(-t), -34.0, 34.0)


def _counts(mean: Callable[[Likelihood, Array], float], spread: float) -> Support:
    def support(likelihood: Likelihood, params: Array) -> Total:
        most = int(80 + spread * mean(likelihood, params))
        return _points(np.arange(most + 1.0)[:, None], open_end=True)

    return support


_LOGIT = st.tuples(strategies.fractions(-6, 6, 2))


def _over_dispersed(likelihood: Likelihood, params: Array) -> float:
    """The count at which the tail of a negative binomial has fallen by a factor e."""
    mean = float(np.exp(params[0]))
    return 1 + mean + mean / float(likelihood.shape)  # type: ignore[attr-defined]


_REAL = strategies.vectors(1)
_COUNT = st.tuples(strategies.fractions(0, 6))
_ABOVE = st.tuples(strategies.fractions(1, 8, 2))
_NONE: SearchStrategy[Vector] = st.just(())

FAMILIES: dict[str, Family] = {
    "Gaussian": Family(
        lambda s: likelihoods.Gaussian(scale=s),
        st.tuples(st.sampled_from((1.0, 0.5, 0.125, 4.0))),
        strategies.vectors(1),
        _line(lambda g: float(g.scale), 5.0),  # type: ignore[attr-defined]
        _REAL,
        from_statistic=lambda g, t: g.scale * t,  # type: ignore[attr-defined]
    ),
    "Gaussian, diagonal": Family(
        lambda v, w: likelihoods.Gaussian(scale=[v, w]),
        st.tuples(*[st.sampled_from((1.0, 0.25, 2.0))] * 2),
        strategies.vectors(2),
        _plane,
        strategies.vectors(2),
    ),
    "Gaussian, full": Family(
        lambda v, w, a: likelihoods.Gaussian(cov=strategies.Covariance((v, w), (int(a),)).matrix),
        st.tuples(*[st.sampled_from((1.0, 0.25, 2.0))] * 2, st.sampled_from((30.0, 0.0, 45.0))),
        strategies.vectors(2),
        _plane,
        strategies.vectors(2),
    ),
    "Bernoulli": Family(
        likelihoods.Bernoulli,
        _NONE,
        _LOGIT,
        lambda likelihood, params: _points(np.array([[0.0], [1.0]]), open_end=False),
        st.tuples(st.sampled_from((0.0, 1.0))),
    ),
    "Categorical": Family(
        likelihoods.Categorical,
        _NONE,
        strategies.vectors(3),
        lambda likelihood, params: _points(np.eye(len(params)), open_end=False),
        st.sampled_from(tuple(tuple(row) for row in np.eye(3).tolist())),
        least=3,
    ),
    "Poisson": Family(
        likelihoods.Poisson,
        _NONE,
        st.tuples(strategies.fractions(-4, 6, 2)),
        _counts(lambda likelihood, params: float(np.exp(params[0])), 8.0),
        _COUNT,
    ),
    "Gamma": Family(
        lambda a: likelihoods.Gamma(shape=a),
        st.tuples(st.sampled_from((1.0, 2.0, 0.5, 4.0))),
        strategies.vectors(1),
        _positive(90.0, 6.0),
        _ABOVE,
    ),
    "Beta": Family(
        lambda c: likelihoods.Beta(concentration=c),
        # With smaller constants the density at the ends is too high for these sums.
        st.tuples(st.sampled_from((8.0, 16.0, 32.0))),
        st.tuples(strategies.fractions(-2, 2, 2)),
        _unit,
        st.tuples(strategies.fractions(2, 6, 8)),
        from_statistic=lambda likelihood, t: expit(t),
    ),
    "negative binomial": Family(
        lambda r: likelihoods.NegativeBinomial(shape=r),
        st.tuples(st.sampled_from((1.0, 2.0, 0.5, 4.0))),
        st.tuples(strategies.fractions(-4, 3, 2)),
        _counts(_over_dispersed, 60.0),
        _COUNT,
    ),
    "exponential": Family(
        likelihoods.Exponential,
        _NONE,
        strategies.vectors(1),
        _positive(45.0, 6.0),
        _ABOVE,
    ),
    "log-normal": Family(
        lambda s: likelihoods.LogNormal(scale=s),
        st.tuples(st.sampled_from((1.0, 0.5, 0.25))),
        strategies.vectors(1),
        _positive(10.0, 10.0),
        _ABOVE,
        from_statistic=lambda g, t: np.exp(g.scale * t),  # type: ignore[attr-defined]
    ),
    "Student-t": Family(
        lambda dof, s: likelihoods.StudentT(dof=dof, scale=s),
        st.tuples(st.sampled_from((3.0, 1.0, 2.0, 5.0)), st.sampled_from((1.0, 0.5, 2.0))),
        strategies.vectors(1),
        _line(lambda t: float(t.scale), 42.0),  # type: ignore[attr-defined]
        _REAL,
        full=False,
        divergence=False,
    ),
    "von Mises": Family(
        lambda k: likelihoods.VonMises(concentration=k),
        st.tuples(st.sampled_from((1.0, 0.5, 4.0))),
        strategies.vectors(1),
        _circle,
        _REAL,
        full=False,
    ),
}

#: Families with a proposition of their own: among the others they would change all draws.
LATER: dict[str, Family] = {
    "continuous Bernoulli": Family(
        likelihoods.ContinuousBernoulli,
        _NONE,
        _LOGIT,
        _unit,
        st.tuples(strategies.fractions(1, 7, 8)),
    ),
}


def _about_the_mean(likelihood: Likelihood, params: Array) -> Total:
    """The real line about the mean, in units of the scale."""
    mean, scale = params[0], np.exp(params[1])
    return _mapped(lambda t: mean + scale * np.sinh(t), lambda t: scale * np.cosh(t), -5.0, 5.0)


#: Families with two parameters of a data dimension, which have a proposition of their own.
OF_TWO_PARAMETERS: dict[str, Family] = {
    "Gaussian, mean and scale": Family(
        lambda: likelihoods.GaussianMeanScale(least_scale=2.0**-10),
        _NONE,
        st.tuples(strategies.fractions(-4, 4, 2), strategies.fractions(-8, 8, 4)),
        _about_the_mean,
        _REAL,
    ),
}


@dataclass(frozen=True)
class FamilyScene:
    """A member of a family: its constants, and the parameters of one observation."""

    family: str
    constants: Vector
    params: Vector

    @cached_property
    def likelihood(self) -> Likelihood:
        """The likelihood."""
        return _named(self.family).build(*self.constants)

    def expectation(self, h: Integrand) -> tuple[Array, Array, Array]:
        """E[h(x)] over the family's support, the estimate of its error, and E|h|.

        `h` maps `(M, D)` to `(M, K)`; all three are `(K,)`.
        """
        likelihood, params = self.likelihood, np.array(self.params)
        count = 0

        def weighted(x: Array) -> Array:
            nonlocal count
            values = h(x) * np.exp(likelihood.log_prob(x, params))[:, None]
            count = values.shape[-1]
            return np.concatenate([values, np.abs(values)], axis=-1)

        value, error = _named(self.family).support(likelihood, params)(weighted)
        # The log density is a sum of terms of up to some hundreds, so exp loses as many ULPs.
        rounding = gamma(1000) * value[count:]
        return value[:count], error[:count] + rounding, value[count:]


def _named(name: str) -> Family:
    return (FAMILIES | LATER | OF_TWO_PARAMETERS)[name]


@cache
def _members(name: str) -> SearchStrategy[FamilyScene]:
    family = _named(name)
    return st.builds(FamilyScene, st.just(name), family.constants, family.params)


def family_scenes(names: Sequence[str] = tuple(FAMILIES)) -> SearchStrategy[FamilyScene]:
    """Members of the named families."""
    return st.sampled_from(tuple(names)).flatmap(_members)
