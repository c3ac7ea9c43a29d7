"""Checks of 9c: with a learned sigma the ELBO has no upper bound, and with BAGGINS it has one."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.optimize import minimize_scalar

from vaetheory import _gaussians, decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds import baggins
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_LADDER = 1 / 2.0 ** np.arange(4)
# Presumed information of a datum, nats a dimension, in the bounded counterpart.
_PRESUMED = 2.0


def bounded_counterpart(
    decoder: Decoder, X: Array, posterior: Posterior, *, presumed: float = _PRESUMED
) -> tuple[float, float]:
    """BAGGINS less the divergence from the prior, nats a datum, and what it can never exceed.

    The expected residual is taken over a Gauss-Hermite rule of the posterior, each node of which
    stands for a datum with the node's weight.
    """
    d = posterior.latent_dim
    nodes, weights = hermite_rule(7, d)
    z = posterior.loc[:, None] + nodes @ np.swapaxes(np.linalg.cholesky(posterior.cov), -1, -2)
    fits = np.asarray(decoder(z)).reshape(-1, X.shape[1])
    shares = np.tile(weights, len(X))
    term = baggins(
        np.repeat(X, len(weights), axis=0), fits, information=presumed, weights=shares
    ).value
    kl = _gaussians.kl_divergence(posterior.loc, posterior.cov, np.zeros(d), np.eye(d)).mean()
    variances = X.var(axis=0)
    most = -0.5 * (1 + LOG_2PI + np.log(variances)).sum() + presumed * X.shape[1]
    return float(term) - float(kl), float(most)


def growth(
    values: Array, errors: Array, scales: Array, *, slope: float, constant: float
) -> Comparison:
    """Comparison that values = constant - slope log(scales) + even powers of a halving scale.

    `scales` may fall by any constant factor as long as what is left expands so.
    """
    reduced = values + slope * np.log(scales)
    rounding = gamma(100) * np.abs(slope * np.log(scales))
    limit, left, noise = extrapolate(reduced, errors + rounding)
    size = 1 + float(np.abs(values).max())
    ratio = np.log(scales[:-1] / scales[1:])
    local = (values[1:] - values[:-1]) / ratio
    measured, off, unsure = extrapolate(local, (errors[1:] + errors[:-1]) / ratio)
    return Comparison.all_of(
        Comparison.identity(
            limit,
            constant,
            scale=size,
            expansion=left,
            numerics=noise,
            predicted=gamma(100) * (1 + abs(constant)),
        ),
        Comparison.identity(measured, slope, scale=1.0, expansion=off, numerics=unsure),
    )


# Data on a manifold ------------------------------------------------------------------------------


@dataclass(frozen=True)
class ManifoldScene:
    """A polynomial decoder and codes: data on its image, and the coarsest sigma."""

    coefficients: tuple[Vector, ...]
    codes: tuple[Vector, ...]
    coarsest: float

    @property
    def decoder(self) -> Decoder:
        """Cubic for one latent dimension, quadratic for two."""
        powers = [[1], [2], [3]] if len(self.codes[0]) == 1 else [[1, 0], [0, 1], [1, 1]]
        return decoders.Polynomial(powers, np.array(self.coefficients))


@st.composite
def manifold_scenes(draw: DrawFn) -> ManifoldScene:
    """Curves in up to four dimensions and surfaces in three or four; D = d among them."""
    d = draw(st.sampled_from((1, 1, 2)))
    data_dim = draw(st.integers(d, 4))
    coefficients = draw(st.tuples(*[strategies.vectors(data_dim)] * 3))
    codes = draw(st.lists(strategies.vectors(d, -3, 3), min_size=2, max_size=3, unique=True))
    scene = ManifoldScene(coefficients, tuple(codes), draw(st.sampled_from((1.0, 1 / 64, 1 / 512))))
    z = np.array(codes)
    slopes = scene.decoder.jacobian(z)
    assume(np.linalg.svd(slopes, compute_uv=False).min() > 0.25)
    assume(scene.decoder(z).var(axis=0).min() > 0)
    return scene


def manifold_growth(scene: ManifoldScene, *, slope: str = "D - d") -> Comparison:
    """The ELBO of data on a d-dimensional set as sigma falls, beside its bounded counterpart."""
    decoder, z = scene.decoder, np.array(scene.codes)
    X, d = np.asarray(decoder(z)), z.shape[1]
    jacobian = decoder.jacobian(z)
    metric = np.swapaxes(jacobian, -1, -2) @ jacobian
    least = float(np.linalg.eigvalsh(metric).min()) ** 0.5
    bend = float(np.abs(decoder.hessian(z)).max())
    scales = scene.coarsest * least * min(1.0, least / max(bend, 1e-3)) / 32 * _LADDER
    values, errors, parts = [], [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), d)
        posterior = Posterior(z, cov=np.linalg.inv(metric / scale**2 + np.eye(d)))
        found = elbo(model, X, posterior)
        values.append(float(found.value.mean()))
        errors.append(float(found.error.mean()))
        parts.append(_below(*bounded_counterpart(decoder, X, posterior)))
    data_dim = X.shape[1]
    exponent = {"D - d": data_dim - d, "D": data_dim, "D + d": data_dim + d}[slope]
    constant = _gaussians.standard_log_prob(z) - 0.5 * _gaussians.log_det(metric)
    constant = constant.mean() - (data_dim - d) / 2 * LOG_2PI
    return Comparison.all_of(
        growth(
            np.array(values), np.array(errors), scales, slope=exponent, constant=float(constant)
        ),
        *parts,
    )


def _below(value: float, most: float) -> Comparison:
    size = 1 + abs(value) + abs(most)
    return Comparison.at_most(value, most, scale=size, rounding=gamma(1000) * size)


# Memorised data ---------------------------------------------------------------------------------

# Odd polynomials with p(1) = 1 and k - 1 vanishing derivatives there; p(1 + t) = 1 + c t^k + ...
_PLATEAUS: dict[int, tuple[Vector, float]] = {
    1: ((1.0, 0.0, 0.0), 1.0),
    2: ((1.5, -0.5, 0.0), -1.5),
    3: ((15 / 8, -10 / 8, 3 / 8), 2.5),
}


@dataclass(frozen=True)
class MemoryScene:
    """The data +-x, memorised at the codes +-1 by a decoder that is flat there to order k - 1."""

    x: Vector
    flatness: int
    coarsest: float

    @property
    def decoder(self) -> Decoder:
        """The decoder z -> x p(z), p an odd polynomial of degree 2 k - 1."""
        weights = np.array(_PLATEAUS[self.flatness][0])
        return decoders.Polynomial([[1], [3], [5]], weights[:, None] * np.array(self.x))


@st.composite
def memory_scenes(draw: DrawFn) -> MemoryScene:
    """Pairs of data in one to three dimensions."""
    data_dim = draw(st.integers(1, 3))
    x = draw(st.tuples(*[strategies.nonzero_fractions(4, 2)] * data_dim))
    coarsest = draw(st.sampled_from((1.0, 1 / 4, 1 / 16)))
    return MemoryScene(x, draw(st.sampled_from((1, 2, 3))), coarsest)


def memory_values(scene: MemoryScene) -> tuple[Array, Array, Array, list[Posterior]]:
    """Sigma, the best ELBO over one posterior deviation, its error, and the posteriors."""
    k, size = scene.flatness, float(np.linalg.norm(scene.x))
    bend = _PLATEAUS[k][1]
    # The k-th root of sigma is what halves: what is left of the ELBO expands in its square.
    scales = size * (scene.coarsest / 16 * _LADDER) ** k
    X = np.array([scene.x, tuple(-v for v in scene.x)])
    nodes, weights = hermite_rule(7, 1)
    values, errors, posteriors = [], [], []
    for scale in scales:
        # s at which 1/2 E[(c s^k eps^k |x| / sigma)^2] - log s is least.
        moment = float(np.prod(np.arange(1, 2 * k, 2)))
        start = np.log((scale**2 / (k * (bend * size) ** 2 * moment)) ** (1 / (2 * k)))

        def loss(log_s: float, scale: float = float(scale)) -> float:
            z = 1 + np.exp(log_s) * nodes
            square = ((scene.decoder(z) - X[0]) ** 2).sum(axis=-1)
            return float(weights @ square / (2 * scale**2) + np.exp(2 * log_s) / 2 - log_s)

        found = minimize_scalar(loss, bounds=(start - 1, start + 1), method="bounded")
        posterior = Posterior(
            np.array([[1.0], [-1.0]]), cov=np.full((2, 1, 1), np.exp(2 * found.x))
        )
        model = LatentModel(scene.decoder, likelihoods.Gaussian(scale=float(scale)), 1)
        value = elbo(model, X, posterior)
        values.append(float(value.value.mean()))
        # The minimum is flat: an error of the search counts squared.
        errors.append(float(value.error.mean()) + 4 * k**2 * 1e-5**2)
        posteriors.append(posterior)
    return scales, np.array(values), np.array(errors), posteriors


def memory_limit(scene: MemoryScene) -> float:
    """The ELBO's constant, beside -(D - 1 / k) log sigma."""
    k, size, bend = scene.flatness, float(np.linalg.norm(scene.x)), _PLATEAUS[scene.flatness][1]
    moment = factorial(2 * k) / (2**k * factorial(k))
    # At the best s the expected residual costs 1 / (2 k), and the code 1 of the prior 1/2.
    best = -np.log(k * (bend * size) ** 2 * moment) / (2 * k)
    return float(-0.5 * len(scene.x) * LOG_2PI - 1 / (2 * k) + 0.5 + best - 0.5)


def memory_growth(scene: MemoryScene, *, flatness: str = "D - 1 / k") -> Comparison:
    """The ELBO of two memorised data grows as -(D - 1 / k) log sigma, D = 1 included."""
    scales, values, errors, posteriors = memory_values(scene)
    data_dim, k = len(scene.x), scene.flatness
    slopes = {"D - 1 / k": data_dim - 1 / k, "D - 1": data_dim - 1.0, "D": float(data_dim)}
    X = np.array([scene.x, tuple(-v for v in scene.x)])
    counterparts = [
        _below(*bounded_counterpart(scene.decoder, X, posterior)) for posterior in posteriors
    ]
    return Comparison.all_of(
        growth(values, errors, scales, slope=slopes[flatness], constant=memory_limit(scene)),
        *counterparts,
    )


# Where it has a bound ----------------------------------------------------------------------------


@dataclass(frozen=True)
class FullScene:
    """As many latent as data dimensions: centred data of a given covariance, a linear decoder."""

    cov: Covariance
    weight: tuple[Vector, ...]
    loc: Vector
    scale: float

    @property
    def data(self) -> Array:
        """2 D data with that covariance and mean zero."""
        root = np.linalg.cholesky(self.cov.matrix)
        root = root.T * np.sqrt(len(root))
        return np.concatenate([root, -root])


@st.composite
def full_scenes(draw: DrawFn) -> FullScene:
    """Data of one or two dimensions, and some other linear decoder and posterior."""
    dim = draw(st.integers(1, 2))
    return FullScene(
        draw(strategies.covariances(dim)),
        draw(st.tuples(*[strategies.vectors(dim)] * dim)),
        draw(strategies.vectors(dim)),
        draw(st.sampled_from((0.25, 1 / 16, 1 / 256))),
    )


def full_is_bounded(scene: FullScene, *, slope: float = 0.0, correlated: bool = True) -> Comparison:
    """With D = d and a linear decoder the best ELBO is the same for all sigma: the Gaussian's."""
    cov, X = scene.cov.matrix, scene.data
    most = -float(_gaussians.entropy(cov if correlated else np.diag(np.diagonal(cov))))
    values, vectors = np.linalg.eigh(cov)
    scales = scene.scale * _LADDER * np.sqrt(values[0])
    rounding = gamma(1000) * (1 + abs(most)) * float(np.linalg.cond(cov))
    parts = []
    for scale in scales:
        # Principal components: W W^T + sigma^2 I is the covariance.
        weight = vectors * np.sqrt(values - scale**2)
        loc, width = X @ weight / values, np.diag(scale**2 / values)
        found = _linear_elbo(weight, scale, X, Posterior(loc, cov=width))
        other = _linear_elbo(
            np.array(scene.weight), scale, X, Posterior(loc + np.array(scene.loc), cov=width)
        )
        limit = most - slope * np.log(scale)
        parts += [
            Comparison.identity(
                found[0], limit, scale=1 + abs(most), elbo=found[1], rounding=rounding
            ),
            Comparison.at_most(
                other[0], limit, scale=1 + abs(other[0]), elbo=other[1], rounding=rounding
            ),
        ]
    return Comparison.all_of(*parts)


def _linear_elbo(
    weight: Array, scale: float, X: Array, posterior: Posterior
) -> tuple[float, float]:
    """Mean ELBO of a linear decoder, and its error."""
    model = LatentModel(
        decoders.Affine(weight), likelihoods.Gaussian(scale=float(scale)), weight.shape[1]
    )
    found = elbo(model, X, posterior)
    return float(found.value.mean()), float(found.error.mean())
