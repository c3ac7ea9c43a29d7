"""Families, instances of them and oracles of their densities, for the tests of likelihoods.

`support` is an oracle by itself: it knows how wide each density is, and sums by rules of its own.
"""

import autograd.numpy as anp
import numpy as np
from autograd.scipy.special import gammaln as autograd_gammaln
from autograd.scipy.special import logsumexp as autograd_logsumexp
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import expit, softmax

from vaetheory.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    Exponential,
    Gamma,
    Gaussian,
    GaussianMeanScale,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    VonMises,
)

OPERATIONS = 200

#: Gauss's rule on [0, 1], which integrates exp(t x) to the last digit for |t| of a few units.
_LEGENDRE, _WEIGHTS = np.polynomial.legendre.leggauss(30)
UNIT_NODES, UNIT_WEIGHTS = (1 + _LEGENDRE) / 2, _WEIGHTS / 2


def integers(shape, low, high):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a.astype(float))


@st.composite
def gaussian(draw, size):
    form = draw(st.sampled_from(["number", "vector", "cov"]))
    if form == "number":
        return Gaussian(scale=draw(st.integers(1, 8)) / 4)
    if form == "vector":
        return Gaussian(scale=draw(integers(size, 1, 8)) / 4)
    factor = draw(integers((size, size), -2, 2))
    return Gaussian(cov=factor @ factor.T / 4 + np.eye(size) / 4)


#: A floor below all scales that are drawn.
FLOOR = 0.125


SHAPES, SCALES = (st.sampled_from(values) for values in ([0.5, 1.0, 2.5, 12.0], [0.5, 1.0, 3.0]))

#: By type: the strategy of a family with parameters of a given size, and its data, which are
#: integers from the first to the second number, divided by the third.
DRAWN = {
    Gaussian: (gaussian, (-8, 8, 2)),
    GaussianMeanScale: (
        lambda size: st.builds(
            GaussianMeanScale, st.sampled_from([FLOOR, [FLOOR / 2**k for k in range(size)]])
        ),
        (-8, 8, 2),
    ),
    Bernoulli: (lambda size: st.just(Bernoulli()), (0, 1, 1)),
    Poisson: (lambda size: st.just(Poisson()), (0, 9, 1)),
    Gamma: (lambda size: SHAPES.map(Gamma), (1, 12, 4)),
    Exponential: (lambda size: st.just(Exponential()), (1, 12, 4)),
    NegativeBinomial: (
        lambda size: st.sampled_from([1.0, 2.5, 12.0]).map(NegativeBinomial),
        (0, 9, 1),
    ),
    LogNormal: (lambda size: SCALES.map(LogNormal), (1, 12, 4)),
    VonMises: (lambda size: st.sampled_from([0.5, 2.0, 20.0]).map(VonMises), (-8, 8, 2)),
    Beta: (lambda size: st.sampled_from([12.0, 40.0]).map(Beta), (1, 11, 12)),
    ContinuousBernoulli: (lambda size: st.just(ContinuousBernoulli()), (0, 12, 12)),
    StudentT: (
        lambda size: st.builds(StudentT, st.sampled_from([1.0, 2.5, 30.0]), SCALES),
        (-8, 8, 2),
    ),
}


def families(size, exponential=False):
    """Every family with parameters of `size` entries (a categorical one has at least two)."""
    drawn = [
        strategy(size)
        for family, (strategy, _) in DRAWN.items()
        if family.exponential or not exponential
    ]
    return st.one_of(*drawn, *([st.just(Categorical())] if size > 1 else []))


@st.composite
def instances(draw, most=3, count=None, exponential=False):
    """A family, its parameters, other parameters `(..., P)`, and data in its support `(..., D)`."""
    size = draw(st.integers(1, most))
    family = draw(families(size, exponential))
    leading = () if count is None else (count,)
    shape = (*leading, size * family.params_each)
    params, other = (draw(integers(shape, -8, 8)) / 4 for _ in range(2))
    if isinstance(family, Categorical):
        x = np.eye(size)[draw(arrays(np.int64, leading, elements=st.integers(0, size - 1)))]
    else:
        low, high, scale = DRAWN[type(family)][1]
        x = draw(integers((*leading, size), low, high)) / scale
    return family, params, other, x


def terms(family, x, params):
    """Sum of the absolute values of the terms of the log density: what its rounding scales with."""
    size = x.shape[-1]
    if isinstance(family, Gaussian):
        cov = family.covariance(size)
        condition = np.linalg.cond(cov)
        square = ((x - params) ** 2).sum(-1) / np.linalg.eigvalsh(cov)[0]
        return condition * (square + size * 2 + np.abs(np.log(np.linalg.eigvalsh(cov))).sum())
    if isinstance(family, GaussianMeanScale):
        mean, log_scale = np.split(params, 2, axis=-1)
        square = (np.abs(x) + np.abs(mean)) ** 2 * np.exp(-2 * log_scale)
        return (2 + np.abs(log_scale) + square * (1 + np.abs(log_scale))).sum(-1)
    if isinstance(family, LogNormal):
        logs = np.log(x)
        square = (np.abs(logs) + np.abs(params)) ** 2 / family.scale**2
        return (1 + np.abs(np.log(family.scale)) + np.abs(logs) + square).sum(-1)
    if isinstance(family, StudentT):
        w = (x - params) / family.scale
        tails = (family.dof + 1) * (1 + np.log1p(family.dof) + np.log1p(w**2))
        return (1 + np.abs(np.log(family.scale)) + tails).sum(-1)
    if isinstance(family, VonMises):
        return (3 + family.concentration * (1 + np.abs(x) + np.abs(params))).sum(-1)
    if isinstance(family, Beta):
        c = family.concentration
        logs = np.abs(np.log(x)) + np.abs(np.log1p(-x))
        return ((1 + c) * (1 + np.log1p(c) + np.abs(params) + logs)).sum(-1)
    if isinstance(family, NegativeBinomial):
        r = family.shape
        logs = 1 + np.abs(np.log(r)) + np.log(2 + x) + np.abs(params)
        return ((1 + x + r) * logs).sum(-1)
    parts = np.abs(family.statistics(x) * family.natural_parameters(params)).sum(-1)
    shape = family.shape if isinstance(family, Gamma) else 1.0
    # log x and x! by themselves, and what cancels inside a log gamma or a log of the shape.
    inside = (shape * (1 + np.abs(np.log(shape))) + (1 + x) * np.log(2 + x)).sum(-1)
    if isinstance(family, Gamma):
        inside = inside + shape * np.abs(np.log(x)).sum(-1)
    size_of_params = 1 + np.abs(params).sum(-1)
    return (parts + np.abs(family.log_partition(params)) + inside) * size_of_params


class TiltedUniform:
    """The density exp(t x) / its integral on [0, 1], with the methods of SciPy's distributions."""

    dist = None

    def __init__(self, t):
        self.t = np.asarray(t, dtype=np.float64)[..., None]

    def logpdf(self, x):
        return x * self.t[..., 0] - np.log(np.exp(self.t * UNIT_NODES) @ UNIT_WEIGHTS)

    def expect(self, function, **options):
        density = np.exp(self.t * UNIT_NODES)
        return (density * function(UNIT_NODES)) @ UNIT_WEIGHTS / (density @ UNIT_WEIGHTS)


#: SciPy's distribution of each data dimension, given the family and its parameters.
SCIPY_LAWS = {
    Gaussian: lambda f, t: stats.norm(t, f.scale),
    GaussianMeanScale: lambda f, t: stats.norm(
        *np.split(t, 2, axis=-1)[:1], np.exp(np.split(t, 2, axis=-1)[1])
    ),
    Bernoulli: lambda f, t: stats.bernoulli(expit(t)),
    Poisson: lambda f, t: stats.poisson(np.exp(t)),
    Gamma: lambda f, t: stats.gamma(f.shape, scale=np.exp(t) / f.shape),
    Exponential: lambda f, t: stats.expon(scale=np.exp(t)),
    NegativeBinomial: lambda f, t: stats.nbinom(f.shape, f.shape / (f.shape + np.exp(t))),
    LogNormal: lambda f, t: stats.lognorm(f.scale, scale=np.exp(t)),
    StudentT: lambda f, t: stats.t(f.dof, t, f.scale),
    VonMises: lambda f, t: stats.vonmises(f.concentration, t),
    Beta: lambda f, t: stats.beta(f.concentration * expit(t), f.concentration * expit(-t)),
    ContinuousBernoulli: lambda f, t: TiltedUniform(t),
}


def scipy_law(family, params):
    """SciPy's distribution of the data dimensions, which are independent."""
    return SCIPY_LAWS[type(family)](family, params)


def scipy_log_prob(family, x, params):
    if isinstance(family, Categorical):
        return stats.multinomial(1, softmax(params)).logpmf(x)
    if isinstance(family, Gaussian) and family.cov is not None:
        return stats.multivariate_normal(params, family.cov).logpdf(x)
    law = scipy_law(family, params)
    return (law.logpmf if hasattr(law.dist, "pmf") else law.logpdf)(x).sum()


def second_writing(family, x):
    """The log density as a function of its parameters, up to a constant, for autograd."""
    if isinstance(family, Gaussian):
        precision = np.linalg.inv(family.covariance(len(x)))
        return lambda t: -0.5 * anp.sum(anp.dot(t - x, precision) * (t - x), -1, keepdims=True)
    if isinstance(family, GaussianMeanScale):
        d = len(x)
        return lambda t: (
            -anp.sum(
                0.5 * (x - t[..., :d]) ** 2 * anp.exp(-2 * t[..., d:]) + t[..., d:],
                -1,
                keepdims=True,
            )
        )
    if isinstance(family, Gamma):
        a = family.shape
        return lambda t: -a * anp.sum(t + x * anp.exp(-t), -1, keepdims=True)
    if isinstance(family, LogNormal):
        return lambda t: -0.5 * anp.sum(((np.log(x) - t) / family.scale) ** 2, -1, keepdims=True)
    if isinstance(family, NegativeBinomial):
        r = family.shape
        return lambda t: anp.sum(x * t - (x + r) * anp.log(r + anp.exp(t)), -1, keepdims=True)
    if isinstance(family, StudentT):
        spread = family.dof * family.scale**2
        excess = lambda t: anp.log(1 + (x - t) ** 2 / spread)  # noqa: E731
        return lambda t: -0.5 * (family.dof + 1) * anp.sum(excess(t), -1, keepdims=True)
    if isinstance(family, VonMises):
        return lambda t: family.concentration * anp.sum(anp.cos(x - t), -1, keepdims=True)
    if isinstance(family, Beta):
        c = family.concentration

        def each(t):
            alpha, beta = c / (1 + anp.exp(-t)), c / (1 + anp.exp(t))
            log_constant = autograd_gammaln(alpha) + autograd_gammaln(beta)
            return alpha * np.log(x) + beta * np.log1p(-x) - log_constant

        return lambda t: anp.sum(each(t), -1, keepdims=True)
    log_partition = {
        Bernoulli: lambda t: anp.sum(anp.logaddexp(0.0, t), -1, keepdims=True),
        Poisson: lambda t: anp.sum(anp.exp(t), -1, keepdims=True),
        Categorical: lambda t: autograd_logsumexp(t, axis=-1, keepdims=True),
        ContinuousBernoulli: lambda t: anp.sum(
            autograd_logsumexp(t[..., None] * UNIT_NODES + np.log(UNIT_WEIGHTS), axis=-1),
            -1,
            keepdims=True,
        ),
    }[type(family)]
    return lambda t: anp.sum(x * t, -1, keepdims=True) - log_partition(t)


def support(family, params):
    """Points `(M, D)` and weights `(M,)` of a sum over the support; less than 1e-18 is left out."""
    size = len(params)
    if isinstance(family, Categorical):
        return np.eye(size), np.ones(size)
    if isinstance(family, Gaussian):
        # Trapezoid in whitened coordinates: the error of step 1/2 is exp(-2 (2 pi)^2).
        t = np.arange(-22, 23) / 2
        chol = np.linalg.cholesky(family.covariance(size))
        grid = np.stack(np.meshgrid(*[t] * size, indexing="ij"), -1).reshape(-1, size)
        return params + grid @ chol.T, np.full(len(grid), 0.5**size * np.prod(np.diag(chol)))
    if isinstance(family, GaussianMeanScale):
        mean, scale = params[: size // 2], np.exp(params[size // 2 :])
        t = np.arange(-22, 23) / 2
        grid = np.stack(np.meshgrid(*[t] * len(mean), indexing="ij"), -1).reshape(-1, len(mean))
        return mean + grid * scale, np.full(len(grid), 0.5 ** len(mean) * scale.prod())
    axes, weights = [], []
    for t in params:
        if isinstance(family, Bernoulli):
            points, weight = np.array([0.0, 1.0]), np.ones(2)
        elif isinstance(family, NegativeBinomial):
            # The masses fall by m / (m + r) a count at last.
            m = np.exp(t)
            points = np.arange(np.ceil(60 + 50 / np.log1p(family.shape / m)))
            weight = np.ones(len(points))
        elif isinstance(family, LogNormal):
            u = np.arange(-22, 23) / 2
            points = np.exp(t + family.scale * u)
            weight = 0.5 * family.scale * points
        elif isinstance(family, StudentT):
            # Trapezoid in v, x = t + s sinh v: algebraic tails become exponential ones.
            # The poles at Im v = pi / 2 are of order five at most: an error of 1e-20 of the peak.
            v = np.arange(-252, 253) / 6
            points = t + family.scale * np.sinh(v)
            weight = family.scale * np.cosh(v) / 6
        elif isinstance(family, VonMises):
            points = np.arange(128) * np.pi / 64
            weight = np.full(128, np.pi / 64)
        elif isinstance(family, Beta):
            # Trapezoid in the logit, tails exp(alpha u) and exp(-beta u), alpha and beta above one;
            # analytic in a strip of half-width pi, where cos(Im u / 2)^-c is its growth.
            alpha, beta = family.concentration * expit([t, -t])
            u = np.arange(max(t - 50 / alpha - 2, -45.0), min(t + 50 / beta + 2, 36.0), 0.1)
            points = expit(u)
            weight = 0.1 * expit(u) * expit(-u)
        elif isinstance(family, ContinuousBernoulli):
            points, weight = UNIT_NODES, UNIT_WEIGHTS
        elif isinstance(family, Poisson):
            # Rates are at most e^2: 1 / 60! times that to the 60 is 1e-30.
            points, weight = np.arange(60.0), np.ones(60)
        else:
            # Trapezoid in u = log x, analytic in a strip of half-width pi / 2.
            u = np.arange(-50 / family.shape - 4, 6.0, 0.1) + t
            points, weight = np.exp(u), 0.1 * np.exp(u)
        axes.append(points)
        weights.append(weight)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, size)
    product = np.prod(np.stack(np.meshgrid(*weights, indexing="ij"), -1), -1).ravel()
    return grid, product
