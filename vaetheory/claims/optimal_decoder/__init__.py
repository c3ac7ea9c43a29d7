"""Claim 1: the ELBO-optimal decoder has a closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import gaussian_expectation, hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.lattice import aggregate_expectation, agree
from vaetheory.checking.strategies import Covariance, EncodedData, Vector
from vaetheory.optimal_decoder import OptimalDecoder, optimal_parameters
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Wave:
    """The smooth function z -> offset + amplitude sin(frequency . z)."""

    offset: Vector
    amplitude: Vector
    frequency: Vector

    def __call__(self, z: Array) -> Array:
        """Values `(..., D)` at z `(..., d)`."""
        wave = np.sin(z @ np.array(self.frequency))
        return np.array(self.offset) + wave[..., None] * np.array(self.amplitude)


def waves(dim: int, data_dim: int) -> SearchStrategy[Wave]:
    """Functions from the latent space to the data space."""
    return st.builds(
        Wave,
        strategies.vectors(data_dim),
        strategies.vectors(data_dim),
        strategies.vectors(dim),
    )


def _mean_over_data(
    integrand: Callable[[Array, Array], Array], scene: EncodedData
) -> tuple[float, float]:
    """Data average of E_{q(z|x_n)}[g(x_n, z)], datum by datum, with its error estimate."""
    X, encoder = scene.data, scene.encoder
    result = gaussian_expectation(
        lambda z, rows: integrand(X[rows, None], z), encoder.loc, encoder.cov, rtol=1e-11
    )
    return float(result.value.mean()), float(result.error.mean())


# 1a ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PerturbedDecoder:
    """Data with their encoder, a Gaussian likelihood, and a perturbation of the decoder."""

    scene: EncodedData
    cov: Covariance
    h: Wave


@st.composite
def perturbed_decoders(draw: DrawFn) -> PerturbedDecoder:
    """Any data, encoder, likelihood covariance and perturbation, in one or two dimensions."""
    dim, data_dim = draw(st.sampled_from((1, 1, 1, 2))), draw(st.integers(1, 3))
    scene = draw(strategies.encoded_data(dim, strategies.data_sets(data_dim)))
    cov = draw(strategies.covariances(data_dim))
    return PerturbedDecoder(scene, cov, draw(waves(dim, data_dim)))


def pythagoras(
    instance: PerturbedDecoder,
    *,
    decoder: Callable[[EncodedData], Callable[[Array], Array]] | None = None,
    factor: float = 0.5,
    metric: Callable[[Array], Array] = np.linalg.inv,
) -> Comparison:
    """ELBO[f* + h] - ELBO[f*] against -1/2 E_{q(z)}[h^T Lambda^-1 h]."""
    scene, h = instance.scene, instance.h
    f = OptimalDecoder(scene.data, scene.encoder) if decoder is None else decoder(scene)
    likelihood = likelihoods.Gaussian(cov=instance.cov.matrix)
    precision = metric(instance.cov.matrix)

    def change(x: Array, z: Array) -> Array:
        mean = f(z)
        return likelihood.log_prob(x, mean + h(z)) - likelihood.log_prob(x, mean)

    def loss(z: Array) -> Array:
        return -factor * np.einsum("mi,ij,mj->m", h(z), precision, h(z))

    # The two log densities cancel down to their difference.
    spread = np.ptp(scene.data, axis=0) + np.abs(h.offset) + np.abs(h.amplitude)
    size = 0.5 * spread @ np.abs(np.linalg.inv(instance.cov.matrix)) @ spread
    return agree(
        _mean_over_data(change, scene),
        aggregate_expectation(loss, scene.encoder),
        size=float(size),
        rounding=gamma(60) * float(size),
    )


def _unweighted(scene: EncodedData) -> Callable[[Array], Array]:
    return lambda z: np.broadcast_to(scene.data.mean(axis=0), (*z.shape[:-1], len(scene.X[0])))


def _without_normaliser(scene: EncodedData) -> Callable[[Array], Array]:
    """The decoder whose weights forget det S(x): wrong unless all covariances are equal."""

    def decode(z: Array) -> Array:
        away = z[..., None, :] - scene.encoder.loc
        solved = np.linalg.solve(scene.encoder.cov, away[..., None])[..., 0]
        weights = np.exp(-0.5 * (away * solved).sum(axis=-1))
        return (weights / weights.sum(axis=-1, keepdims=True)) @ scene.data

    return decode


def _nearest(scene: EncodedData) -> Callable[[Array], Array]:
    return lambda z: scene.data[scene.encoder.component_log_prob(z).argmax(axis=-1)]


# 1b ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FreeCovariance:
    """Data with their encoder, and another decoder with a covariance (1 + sin^2 z) Lambda."""

    scene: EncodedData
    f: Wave
    cov: Covariance


@st.composite
def free_covariances(draw: DrawFn) -> FreeCovariance:
    """Affinely independent data under overlapping encoders, so that Cov[x|z] is never singular."""
    data_dim = draw(st.integers(1, 2))
    X = draw(strategies.data_sets(data_dim, data_dim + 1, data_dim + 3))
    volumes = [v for _, v in _simplices(np.array(X))]
    assume(max(volumes) > 0.2)
    scene = draw(
        strategies.encoded_data(1, st.just(X), shared=True, reach=2, variances=(1.0, 2.0, 0.5))
    )
    return FreeCovariance(scene, draw(waves(1, data_dim)), draw(strategies.covariances(data_dim)))


def _simplices(X: Array) -> list[tuple[tuple[int, ...], float]]:
    """Each choice of D + 1 data with the squared volume that their differences span."""
    size = X.shape[1] + 1
    chosen = list(combinations(range(len(X)), size))
    return [(c, float(np.linalg.det(X[list(c[1:])] - X[c[0]]) ** 2)) for c in chosen]


def _log_det_by_simplices(scene: EncodedData, z: Array) -> Array:
    """Log det Cov_{q(x|z)}[x] by Cauchy-Binet: a sum of positive terms, where nothing cancels."""
    logs = scene.encoder.log_responsibilities(z)
    terms = [
        logs[..., list(c)].sum(axis=-1) + np.log(v) for c, v in _simplices(scene.data) if v > 1e-20
    ]
    return np.asarray(np.logaddexp.reduce(terms, axis=0))


def _gaussian_log_prob(x: Array, mean: Array, cov: Array) -> Array:
    solved = np.linalg.solve(cov, (x - mean)[..., None])[..., 0]
    square = ((x - mean) * solved).sum(axis=-1)
    return -0.5 * (square + np.linalg.slogdet(cov)[1] + x.shape[-1] * LOG_2PI)


def _swelling(z: Array) -> Array:
    """A factor that makes the rival's covariance depend on z, `(..., 1, 1)`."""
    return 1 + np.sin(z[..., :1, None]) ** 2


def covariance_deficit(
    instance: FreeCovariance, *, inflate: float = 0.0, reverse: bool = False, log_det: bool = True
) -> Comparison:
    """ELBO[f*, Lambda*] - ELBO[f, Lambda] against E_{q(z)} KL( N(f*, Lambda*) || N(f, Lambda) )."""
    scene = instance.scene
    best = OptimalDecoder(scene.data, scene.encoder)
    other = instance.cov.matrix
    data_dim = other.shape[0]
    count = len(scene.X)
    factor = 1 + inflate / (count - 1)

    def gain(x: Array, z: Array) -> Array:
        cov = factor * best.cov(z, allow_singular=True)
        rival = _gaussian_log_prob(x, instance.f(z), _swelling(z) * other)
        return _gaussian_log_prob(x, best(z), cov) - rival

    def divergence(z: Array) -> Array:
        cov = best.cov(z, allow_singular=True)
        shift = instance.f(z) - best(z)
        rival = _swelling(z) * other
        first, second = (rival, cov) if reverse else (cov, rival)
        trace = np.trace(np.linalg.solve(second, first), axis1=-2, axis2=-1)
        square = (shift * np.linalg.solve(second, shift[..., None])[..., 0]).sum(axis=-1)
        ratio = np.linalg.slogdet(rival)[1] - _log_det_by_simplices(scene, z)
        signed = -ratio if reverse else ratio
        return 0.5 * (trace + square - data_dim + (signed if log_det else 0.0))

    # Solving with Cov[x|z] loses its condition number, averaged as the ELBO averages it.
    nodes, weights = hermite_rule(40, 1)
    z = scene.encoder.loc[:, None] + nodes * np.sqrt(scene.encoder.cov[0])
    cov = best.cov(z, allow_singular=True)
    square = np.linalg.solve(cov, (scene.data[:, None] - best(z))[..., None])[..., 0]
    size = 1 + np.abs((scene.data[:, None] - best(z)) * square).sum(axis=-1)
    lost = gamma(40 * data_dim * count) * float((np.linalg.cond(cov) * size @ weights).mean())
    return agree(
        _mean_over_data(gain, scene),
        aggregate_expectation(divergence, scene.encoder),
        size=1.0,
        rounding=lost,
    )


# 1c ---------------------------------------------------------------------------------------------

_FAMILIES: dict[str, likelihoods.ExponentialFamily] = {
    "Bernoulli": likelihoods.Bernoulli(),
    "Poisson": likelihoods.Poisson(),
    "Gamma": likelihoods.Gamma(shape=2.0),
    "Categorical": likelihoods.Categorical(),
    "Gaussian": likelihoods.Gaussian(scale=0.5),
}


@dataclass(frozen=True)
class FamilyScene:
    """Data of one exponential family with their encoder, and another decoder's parameters."""

    family: str
    scene: EncodedData
    params: Wave


def _family_data(draw: DrawFn, family: str, data_dim: int) -> tuple[Vector, ...]:
    """Data whose mean parameters stay inside their domain, so that an optimum exists."""
    if family == "Categorical":
        extra = draw(st.lists(st.integers(0, data_dim - 1), max_size=2))
        return tuple(tuple(row) for row in np.eye(data_dim)[[*range(data_dim), *extra]].tolist())
    entry = {
        "Bernoulli": st.sampled_from((0.0, 1.0)),
        "Poisson": strategies.fractions(0, 6),
        "Gamma": strategies.fractions(1, 12, 4),
        "Gaussian": strategies.fractions(-4, 4, 2),
    }[family]
    rows = draw(st.lists(st.tuples(*[entry] * data_dim), min_size=2, max_size=4))
    if family == "Bernoulli":
        rows = [*rows, (0.0,) * data_dim, (1.0,) * data_dim]
    elif family == "Poisson":
        rows = [*rows, (1.0,) * data_dim]
    return tuple(rows)


@st.composite
def family_scenes(draw: DrawFn, names: Sequence[str] = tuple(_FAMILIES)) -> FamilyScene:
    """Data of a family, their encoder, and the parameters of another decoder."""
    family = draw(st.sampled_from(names))
    dim = draw(st.sampled_from((1, 1, 1, 2)))
    data_dim = draw(st.integers(2, 3) if family == "Categorical" else st.integers(1, 2))
    X = _family_data(draw, family, data_dim)
    scene = draw(strategies.encoded_data(dim, st.just(X), reach=2))
    return FamilyScene(family, scene, draw(waves(dim, data_dim)))


def family_deficit(
    instance: FamilyScene,
    *,
    optimum: Callable[[FamilyScene, Array], Array] | None = None,
    reverse: bool = False,
    factor: float = 1.0,
) -> Comparison:
    """ELBO[eta*] - ELBO[eta] against E_{q(z)} KL( p(. given eta*) || p(. given eta) )."""
    scene, likelihood = instance.scene, _FAMILIES[instance.family]
    choose = _matching if optimum is None else optimum

    def gain(x: Array, z: Array) -> Array:
        best = likelihood.log_prob(x, choose(instance, z))
        return best - likelihood.log_prob(x, instance.params(z))

    def divergence(z: Array) -> Array:
        best, other = _matching(instance, z), instance.params(z)
        pair = (other, best) if reverse else (best, other)
        return factor * likelihood.kl_divergence(*pair)

    left = _mean_over_data(gain, scene)
    right = aggregate_expectation(divergence, scene.encoder)
    # Each log density is formed from parts that cancel: T phi, A and h.
    reach = np.abs(scene.data).max() + 1
    swing = np.exp(np.abs(instance.params.offset).max() + np.abs(instance.params.amplitude).max())
    size = float(reach * swing * (1 + right[2]))
    deficit = agree(left, right, size=size, rounding=gamma(60) * size)
    return Comparison.all_of(deficit, *_by_summation(instance, choose))


def _support(family: str, params: Array) -> tuple[Array, Array]:
    """Points `(M, D)` and their weights that sum or integrate a density of one dimension."""
    if family == "Bernoulli":
        return np.array([[0.0], [1.0]]), np.ones(2)
    if family == "Categorical":
        return np.eye(params.shape[-1]), np.ones(params.shape[-1])
    if family == "Poisson":
        counts = np.arange(60 + 40 * np.ceil(np.exp(params.max())))
        return counts[:, None], np.ones(len(counts))
    if family == "Gamma":
        # In log x the integrand falls off on both sides, and a lattice is exact.
        log_x = np.arange(-30 + params.min(), 8 + params.max(), 1 / 32)
        return np.exp(log_x)[:, None], np.exp(log_x) / 32
    x = np.arange(params.min() - 6, params.max() + 6, 1 / 32)
    return x[:, None], np.full(len(x), 1 / 32)


def _by_summation(
    instance: FamilyScene, choose: Callable[[FamilyScene, Array], Array]
) -> list[Comparison]:
    """At the codes: densities sum to one, means match, and the KL is that of the densities."""
    scene, likelihood = instance.scene, _FAMILIES[instance.family]
    codes = scene.encoder.loc
    best, other = choose(instance, codes), instance.params(codes)
    weights = scene.encoder.responsibilities(codes)
    whole = instance.family == "Categorical"
    ones, means, divergences = [], [], []
    # Data dimensions are independent but for the categorical family, whose vector is one datum.
    for p, r in zip(*(v if whole else v.reshape(-1, 1) for v in (best, other)), strict=True):
        x, measure = _support(instance.family, np.stack([p, r]))
        density = measure * np.exp(likelihood.log_prob(x, p))
        ones.append(density.sum())
        means.append(density @ x)
        divergences.append(density @ (likelihood.log_prob(x, p) - likelihood.log_prob(x, r)))
    kl = np.reshape(divergences, (len(codes), -1)).sum(axis=-1)
    wanted = weights @ scene.data
    closed = likelihood.kl_divergence(best, other)
    # Each log density is of the size of the parameters; a KL or a mean can be larger.
    reach = 1 + float(np.abs(best).max() + np.abs(other).max())
    size = reach * (1 + float(np.abs(wanted).max()) + float(closed.max()))
    lost = gamma(2000) * size
    return [
        Comparison.identity(ones, np.ones(len(ones)), scale=size, summation=lost),
        Comparison.identity(np.reshape(means, wanted.shape), wanted, scale=size, summation=lost),
        Comparison.identity(closed, kl, scale=size, summation=lost),
    ]


def _matching(instance: FamilyScene, z: Array) -> Array:
    scene = instance.scene
    return optimal_parameters(scene.data, scene.encoder, _FAMILIES[instance.family], z)


def _unweighted_parameters(instance: FamilyScene, z: Array) -> Array:
    count = len(instance.scene.X)
    even = np.full((*z.shape[:-1], count), -np.log(count))
    return _FAMILIES[instance.family].fit(instance.scene.data, even)


def _squared_weights(instance: FamilyScene, z: Array) -> Array:
    """Weights q(x|z)^2, the error of counting the encoder twice."""
    logs = 2 * instance.scene.encoder.log_responsibilities(z)
    logs = logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True)
    return _FAMILIES[instance.family].fit(instance.scene.data, logs)


CLAIM = Claim(
    number=1,
    label="optimal-decoder",
    title="The ELBO-optimal decoder has a closed form",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="1a",
            title="f*(z) = E_{q(x|z)}[x] is the global maximum, with an exact Pythagoras",
            statement=(
                r"\mathrm{ELBO}[f^*+h] = \mathrm{ELBO}[f^*]"
                r" - \tfrac12 \mathbb E_{q(z)}[h^\top \Lambda^{-1} h],\quad "
                r" f^*(z) = \mathbb E_{q(x|z)}[x]"
            ),
            hypotheses=(
                ("fixed encoder", r"q(z|x_n)"),
                ("Gaussian likelihood", r"\Lambda \succ 0 \text{ constant}"),
            ),
            kind="identity",
            instances=perturbed_decoders(),
            check=pythagoras,
            controls=(
                Control(
                    "the unweighted mean of the data", partial(pythagoras, decoder=_unweighted)
                ),
                Control("the nearest datum", partial(pythagoras, decoder=_nearest)),
                Control(
                    "weights without det S(x)", partial(pythagoras, decoder=_without_normaliser)
                ),
                Control("no factor 1/2", partial(pythagoras, factor=1.0)),
                Control("Lambda for its inverse", partial(pythagoras, metric=np.asarray)),
            ),
            figure="optimal-decoder",
        ),
        Proposition(
            label="1b",
            title="With a free covariance, Lambda*(z) = Cov_{q(x|z)}[x], and the deficit is a KL",
            statement=(
                r"\mathrm{ELBO}[f^*,\Lambda^*] - \mathrm{ELBO}[f,\Lambda] = \mathbb E_{q(z)}"
                r"\mathrm{KL}(\mathcal N(f^*,\Lambda^*)\,\|\,\mathcal N(f,\Lambda))"
            ),
            hypotheses=(
                ("fixed encoder", r"q(z|x_n)"),
                ("non-singular", r"\mathrm{Cov}_{q(x|z)}[x] \succ 0 \text{ for all } z"),
            ),
            kind="identity",
            instances=free_covariances(),
            check=covariance_deficit,
            controls=(
                Control("the N - 1 covariance", partial(covariance_deficit, inflate=1.0)),
                Control("the reversed KL", partial(covariance_deficit, reverse=True)),
                Control("no log determinant", partial(covariance_deficit, log_det=False)),
            ),
            uses=("1a",),
            figure="optimal-decoder",
        ),
        Proposition(
            label="1c",
            title="In an exponential family the optimum matches mean parameters",
            statement=(
                r"\mathbb E_{p(x|\eta^*)}[T] = \mathbb E_{q(x|z)}[T],\quad "
                r"\mathrm{ELBO}[\eta^*] - \mathrm{ELBO}[\eta]"
                r" = \mathbb E_{q(z)}\mathrm{KL}(p_{\eta^*}\|p_\eta)"
            ),
            hypotheses=(
                ("fixed encoder", r"q(z|x_n)"),
                ("exponential family", r"p(x|\eta) \propto h(x)\exp(T(x)\cdot\varphi(\eta))"),
                ("interior", r"\mathbb E_{q(x|z)}[T] \text{ is a mean of the family}"),
            ),
            kind="identity",
            instances=family_scenes(),
            check=family_deficit,
            controls=(
                Control("the reversed KL", partial(family_deficit, reverse=True)),
                Control(
                    "the unweighted mean", partial(family_deficit, optimum=_unweighted_parameters)
                ),
                Control(
                    "the encoder counted twice", partial(family_deficit, optimum=_squared_weights)
                ),
                Control("half the divergence", partial(family_deficit, factor=0.5)),
            ),
            uses=("1a",),
            figure="optimal-decoder",
            examples=40,
        ),
    ),
)
