"""Checks of 7d: claims 1, 3, 4 and 5 under every family, with A = I + g."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import strategies
from vaetheory.checking.claim import Certificate
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.scenes import ModelScene, curves
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES, FamilyScene
from vaetheory.claims.riemannian_likelihood.repeated_data import Repeated
from vaetheory.encoders import Posterior
from vaetheory.geometry import decoder_hessian, pullback_metric
from vaetheory.likelihoods import ExponentialFamily
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder, optimal_parameters
from vaetheory.rounding import gamma

#: Families of the form log p = T . phi - A + h with as many parameters as statistics.
EXPONENTIAL = tuple(name for name, family in FAMILIES.items() if family.full)
#: Those that the instances of claim 3 do not have and the evidence engine takes.
BEYOND_CLAIM_3 = (
    "Categorical",
    "Gamma",
    "Beta",
    "negative binomial",
    "exponential",
    "Student-t",
    "von Mises",
    "log-normal",
)
#: Those of any number of outputs.
MATCHED = tuple(name for name in EXPONENTIAL if not name.startswith("Gaussian, "))


@dataclass(frozen=True)
class EncodedFamily:
    """A data set of a family with its encoder, and a latent point."""

    family: str
    constants: Vector
    data: EncodedData
    z: Vector

    @property
    def likelihood(self) -> ExponentialFamily:
        """The likelihood."""
        return cast(ExponentialFamily, FAMILIES[self.family].build(*self.constants))

    @property
    def weights(self) -> Array:
        """q(x_n given z), `(N,)`."""
        return self.data.encoder.responsibilities(np.array(self.z))


@st.composite
def encoded_families(draw: DrawFn, names: Sequence[str] = EXPONENTIAL) -> EncodedFamily:
    """Data of a family, encoded in one dimension with one common variance."""
    name = draw(st.sampled_from(tuple(names)))
    family = FAMILIES[name]
    lists = st.lists(family.data, min_size=family.least, max_size=3, unique=True).map(tuple)
    data = draw(strategies.encoded_data(1, lists, shared=True, reach=3, variances=(1.0, 0.5, 2.0)))
    return EncodedFamily(name, draw(family.constants), data, draw(strategies.vectors(1, -2, 2, 2)))


Weights = Callable[[EncodedFamily], Array]


def responsibilities(scene: EncodedFamily) -> Array:
    """The weights of the theorem."""
    return scene.weights


def equal_weights(scene: EncodedFamily) -> Array:
    """The unweighted mean of the data."""
    return np.full(len(scene.data.X), 1 / len(scene.data.X))


# Claim 1 ----------------------------------------------------------------------------------------


def matched_means(
    scene: EncodedFamily, *, weights: Weights = responsibilities, reverse: bool = False
) -> Certificate:
    """Means of T under the optimal parameters, and what other parameters lose, over the support."""
    likelihood, X = scene.likelihood, scene.data.data
    z = np.array(scene.z)
    best = optimal_parameters(X, scene.data.encoder, likelihood, z)
    # A direction in which no family's parameters are all alike.
    other = best + 0.5 * (1 + np.arange(len(best)))
    statistics, w = likelihood.statistics(X), weights(scene)
    first, second = (other, best) if reverse else (best, other)

    def columns(x: Array) -> Array:
        ratio = likelihood.log_prob(x, first) - likelihood.log_prob(x, second)
        return np.concatenate([likelihood.statistics(x), ratio[:, None]], axis=-1)

    at = FamilyScene(scene.family, scene.constants, tuple(first.tolist()))
    value, error, size = at.expectation(columns)
    count = len(best)
    table = likelihood.log_prob(X[:, None], np.stack([best, other]))
    deficit = float(w @ (table[:, 0] - table[:, 1]))
    spread = float(w @ np.abs(table).sum(axis=-1))
    mean = value[:count] if not reverse else w @ statistics
    return Certificate.all_of(
        Certificate.identity(
            mean,
            w @ statistics,
            scale=size[:count] + w @ np.abs(statistics),
            support=error[:count],
            rounding=gamma(200)
            * (1 + np.abs(best).sum())
            * (w @ np.abs(statistics) + size[:count]),
        ),
        Certificate.identity(
            deficit,
            value[count],
            scale=spread + size[count],
            support=error[count],
            rounding=gamma(200) * (1 + np.abs(best).sum()) * (spread + size[count]),
        ),
    )


# Claim 4 ----------------------------------------------------------------------------------------

_STEPS = 2.0 ** -np.arange(3.0, 9.0)


def _optimal_slope(scene: EncodedFamily) -> tuple[Array, Array]:
    """Derivative of the optimal parameters in z by extrapolated differences, and its error."""
    z = np.array(scene.z)

    def at(points: Array) -> Array:
        return optimal_parameters(scene.data.data, scene.data.encoder, scene.likelihood, points)

    rungs = np.array([(at(z + h) - at(z - h)) / (2 * h) for h in _STEPS])
    size = 1 + np.abs(at(z))
    out = [extrapolate(rungs[:, i], gamma(50) * size[i] / _STEPS) for i in range(len(size))]
    return np.array([o[0] for o in out]), np.array([o[1] + o[2] for o in out])


def averaged_hessian(
    scene: EncodedFamily,
    *,
    weights: Weights = responsibilities,
    metric: Callable[[float, Array], float] = lambda g, jacobian: g,
) -> Certificate:
    """E_{q(x|z)}[-Hess_z log p(x given z)] at the optimal parameters against J^T F J.

    The left side by `decoder_hessian`, for a second derivative of the decoder that is made up,
    since it must not matter, and by differences of the weighted log likelihood along the true
    decoder; the right side by `pullback_metric` and as J_mu^T Cov(T)^-1 J_mu, the same metric in
    the mean parameters, with J_mu in closed form and Cov(T) over the support.
    """
    likelihood, X, z = scene.likelihood, scene.data.data, np.array(scene.z)
    encoder, w = scene.data.encoder, weights(scene)
    best = optimal_parameters(X, encoder, likelihood, z)
    slope, slope_error = _optimal_slope(scene)
    bend = np.where(np.arange(len(best)) % 2 == 0, 1.5, -1.0)
    model = LatentModel(
        decoders.Polynomial([[0], [1], [2]], np.stack([best, slope, bend])), likelihood, 1
    )
    origin = np.zeros(1)
    g = metric(float(pullback_metric(model, origin)[0, 0]), slope)
    each = decoder_hessian(model, X, np.zeros((len(X), 1))).full[:, 0, 0]
    fisher = np.abs(likelihood.fisher_information(best))
    drift = float(2 * np.abs(slope) @ fisher @ slope_error + slope_error @ fisher @ slope_error)

    means = OptimalDecoder(likelihood.statistics(X), encoder).jacobian(z)[:, 0]

    def columns(x: Array) -> Array:
        t = likelihood.statistics(x)
        return np.concatenate([t, (t[:, :, None] * t[:, None, :]).reshape(len(t), -1)], axis=-1)

    at = FamilyScene(scene.family, scene.constants, tuple(best.tolist()))
    value, error, size = at.expectation(columns)
    d = len(best)
    cov = value[d:].reshape(d, d) - np.outer(value[:d], value[:d])
    inverse = np.linalg.pinv(cov, rcond=1e-9)
    by_means = float(means @ inverse @ means)
    covector = np.abs(inverse @ means)
    off = error[d:].reshape(d, d) + 2 * np.outer(error[:d], np.abs(value[:d]))
    second = gamma(200) * size[d:].reshape(d, d)
    support = float(covector @ (off + second) @ covector)

    def height(points: Array) -> Array:
        params = optimal_parameters(X, encoder, likelihood, points)
        return likelihood.log_prob(X, params[..., None, :]) @ w

    rungs = np.array([-(height(z + h) + height(z - h) - 2 * height(z)) / h**2 for h in _STEPS])
    sizes = np.abs(likelihood.log_prob(X, best)) @ w + np.abs(best).sum() + 1
    limit, left, noise = extrapolate(rungs, gamma(100) * sizes / _STEPS**2)
    scale = abs(g) + float(w @ np.abs(each))
    rounding = gamma(500) * (scale + sizes)
    return Certificate.all_of(
        Certificate.identity(w @ each, g, scale=scale, slope=drift, rounding=rounding),
        Certificate.identity(
            g,
            by_means,
            scale=scale + abs(by_means),
            slope=drift,
            support=support,
            rounding=rounding,
        ),
        Certificate.identity(
            limit,
            by_means,
            scale=scale + abs(by_means),
            expansion=left,
            numerics=noise,
            support=support,
            rounding=rounding,
        ),
    )


@dataclass(frozen=True)
class CurvedPair:
    """Two data at +-spread of equal weight under a curved family, and a decoder's slope."""

    family: str
    constants: Vector
    spread: float
    slope: float


@st.composite
def curved_pairs(draw: DrawFn) -> CurvedPair:
    """Pairs whose optimal parameter is 0: it is stationary by symmetry, and a maximum if close."""
    name = draw(st.sampled_from(("Student-t", "von Mises")))
    constants = draw(FAMILIES[name].constants)
    spread = draw(strategies.fractions(1, 5, 4))
    return CurvedPair(name, constants, spread, draw(strategies.nonzero_fractions(4, 2)))


def curved_form(scene: CurvedPair) -> float:
    """The averaged Hessian at parameter 0, by hand, for a slope of 1."""
    if scene.family == "von Mises":
        return scene.constants[0] * float(np.cos(scene.spread))
    dof, scale = scene.constants
    square = (scene.spread / scale) ** 2
    return (dof + 1) * (dof - square) / (scale * (dof + square)) ** 2


def curved_metric(scene: CurvedPair) -> float:
    """The Fisher information at parameter 0: what the averaged Hessian is not."""
    family = FAMILIES[scene.family].build(*scene.constants)
    return float(family.fisher_information(np.zeros(1))[0, 0])


def information_at_the_mode(scene: CurvedPair) -> float:
    """The observed information of a datum at the parameter itself."""
    family = FAMILIES[scene.family].build(*scene.constants)
    return float(family.observed_information(np.zeros(1), np.zeros(1), np.eye(1))[0, 0])


def curved_average(
    scene: CurvedPair, *, closed: Callable[[CurvedPair], float] = curved_form
) -> Certificate:
    """The average of -Hess_z log p over the pair, where the average score vanishes."""
    family = FAMILIES[scene.family].build(*scene.constants)
    # Not by a linear decoder: the residual must average out as well.
    model = LatentModel(decoders.Polynomial([[1], [2]], [[scene.slope], [1.0]]), family, 1)
    data = scene.spread * np.array([[1.0], [-1.0]])
    average = float(decoder_hessian(model, data, np.zeros((2, 1))).full.mean())
    score = family.score(data, np.zeros((2, 1)))
    value = scene.slope**2 * closed(scene)
    size = scene.slope**2 * abs(information_at_the_mode(scene)) + float(np.abs(score).sum())
    return Certificate.all_of(
        Certificate.identity(score.sum(), 0.0, scale=size, rounding=gamma(50) * size),
        Certificate.identity(average, value, scale=size, rounding=gamma(200) * size),
    )


# Claim 3 ----------------------------------------------------------------------------------------


@st.composite
def family_models(draw: DrawFn, names: Sequence[str]) -> ModelScene:
    """Curves of two outputs under a family, a datum of it, and any posterior."""
    family = FAMILIES[draw(st.sampled_from(tuple(names)))]
    decoder = draw(curves().filter(lambda f: not isinstance(f, decoders.Polynomial)))
    if family.least > 2:
        x: Vector = draw(st.sampled_from(((1.0, 0.0), (0.0, 1.0))))
    else:
        x = draw(st.tuples(family.data, family.data).map(lambda pair: (pair[0][0], pair[1][0])))
    return ModelScene(
        decoder,
        family.build(*draw(family.constants)),
        x,
        draw(strategies.vectors(1, -3, 3, 2)),
        draw(strategies.covariances(1, (0.25, 0.5, 1.0, 0.0625))),
    )


# Claim 5 ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MatchedCodes:
    """A curve of parameters under a family, and latents whose data match their means."""

    family: str
    constants: Vector
    slope: Vector
    bend: Vector
    z: tuple[float, ...]

    @property
    def decoder(self) -> decoders.Polynomial:
        """Z -> slope z + bend z^2."""
        return decoders.Polynomial([[1], [2]], [self.slope, self.bend])


@st.composite
def matched_codes(draw: DrawFn, names: Sequence[str]) -> MatchedCodes:
    """Two to four latents on a bent curve of two outputs."""
    name = draw(st.sampled_from(tuple(names)))
    pair = strategies.vectors(2, -2, 2, 2)
    points = st.lists(strategies.fractions(-4, 4, 4), min_size=2, max_size=4, unique=True)
    constants = draw(FAMILIES[name].constants)
    return MatchedCodes(name, constants, draw(pair), draw(pair), tuple(draw(points)))


def constant_variance(
    scene: MatchedCodes,
    *,
    closed: Callable[[Array], float] | None = None,
    prior: float = 1.0,
    best: Callable[[Array], float] = lambda a: 1 / float(a.mean()),
) -> Certificate:
    """The second-order ELBO that one common variance loses, against 1/2 (log E[A] - E[log A]).

    The ELBO is the library's at the data whose statistics have the means at their latents, where
    the Hessian is A = I + g; no other variance loses less.
    """
    z = np.array(scene.z)[:, None]
    family = cast(ExponentialFamily, FAMILIES[scene.family].build(*scene.constants))
    model = LatentModel(scene.decoder, Repeated(family, 1.0), 1)
    one = LatentModel(scene.decoder, family, 1)
    precision = prior + pullback_metric(one, z)[:, 0, 0]
    data = FAMILIES[scene.family].from_statistic(family, family.mean(one.decode(z)))
    free = second_order_elbo(model, data, Posterior(z, 1 / precision[:, None, None]))

    def common(variance: float) -> Array:
        return second_order_elbo(model, data, Posterior(z, [[variance]]))

    variance = best(precision)
    penalty = float((free - common(variance)).mean())
    if closed is None:
        value = 0.5 * float(np.log(precision.mean()) - np.log(precision).mean())
    else:
        value = closed(precision)
    log_joint = np.abs(model.log_joint(data, z)).mean()
    carried = (np.abs(model.likelihood.score(data, one.decode(z))) * np.abs(one.decode(z))).sum()
    size = float(1 + log_joint + carried + np.abs(np.log(precision)).mean())
    rounding = gamma(300) * size * float(1 + (precision / precision.min()).max())
    others = [float((free - common(variance * t)).mean()) for t in (0.9, 1.1)]
    return Certificate.all_of(
        Certificate.identity(penalty, value, scale=size, rounding=rounding),
        *[Certificate.at_most(penalty, v, scale=size, rounding=rounding) for v in others],
    )
