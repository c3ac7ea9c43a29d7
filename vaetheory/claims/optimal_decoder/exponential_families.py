"""The check of 1c: in an exponential family the optimum matches mean parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.lattice import aggregate_expectation, agree
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.claims.optimal_decoder.scenes import Wave, mean_over_data, waves
from vaetheory.optimal_decoder import optimal_parameters
from vaetheory.rounding import gamma

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
    """Data whose mean parameters are in the interior of their domain: an optimum exists."""
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
    """Compare ELBO[eta*] - ELBO[eta] with E_{q(z)} KL( p(. given eta*) || p(. given eta) )."""
    scene, likelihood = instance.scene, _FAMILIES[instance.family]
    choose = _matching if optimum is None else optimum

    def gain(x: Array, z: Array) -> Array:
        best = likelihood.log_prob(x, choose(instance, z))
        return best - likelihood.log_prob(x, instance.params(z))

    def divergence(z: Array) -> Array:
        best, other = _matching(instance, z), instance.params(z)
        pair = (other, best) if reverse else (best, other)
        return factor * likelihood.kl_divergence(*pair)

    left = mean_over_data(gain, scene)
    right = aggregate_expectation(divergence, scene.encoder)
    # Each log density is a sum of terms that cancel: T phi, A and h.
    reach = np.abs(scene.data).max() + 1
    swing = np.exp(np.abs(instance.params.offset).max() + np.abs(instance.params.amplitude).max())
    size = float(reach * swing * (1 + right[2]))
    deficit = agree(left, right, size=size, rounding=gamma(60) * size)
    return Comparison.all_of(deficit, *_by_summation(instance, choose))


def _support(family: str, params: Array) -> tuple[Array, Array]:
    """Points `(M, D)` and weights with which a density of one dimension is summed or integrated."""
    if family == "Bernoulli":
        return np.array([[0.0], [1.0]]), np.ones(2)
    if family == "Categorical":
        return np.eye(params.shape[-1]), np.ones(params.shape[-1])
    if family == "Poisson":
        counts = np.arange(60 + 40 * np.ceil(np.exp(params.max())))
        return counts[:, None], np.ones(len(counts))
    if family == "Gamma":
        # As a function of log x the integrand decays on both sides, where a lattice is exact.
        log_x = np.arange(-30 + params.min(), 8 + params.max(), 1 / 32)
        return np.exp(log_x)[:, None], np.exp(log_x) / 32
    x = np.arange(params.min() - 6, params.max() + 6, 1 / 32)
    return x[:, None], np.full(len(x), 1 / 32)


def _by_summation(
    instance: FamilyScene, choose: Callable[[FamilyScene, Array], Array]
) -> list[Comparison]:
    """Check at the codes that densities sum to one, means match, and the KL is their sum."""
    scene, likelihood = instance.scene, _FAMILIES[instance.family]
    codes = scene.encoder.loc
    best, other = choose(instance, codes), instance.params(codes)
    weights = scene.encoder.responsibilities(codes)
    whole = instance.family == "Categorical"
    ones, means, divergences = [], [], []
    # Data dimensions are independent, except in the categorical family, whose vector is one datum.
    for p, r in zip(*(v if whole else v.reshape(-1, 1) for v in (best, other)), strict=True):
        x, measure = _support(instance.family, np.stack([p, r]))
        density = measure * np.exp(likelihood.log_prob(x, p))
        ones.append(density.sum())
        means.append(density @ x)
        divergences.append(density @ (likelihood.log_prob(x, p) - likelihood.log_prob(x, r)))
    kl = np.reshape(divergences, (len(codes), -1)).sum(axis=-1)
    expected = weights @ scene.data
    closed = likelihood.kl_divergence(best, other)
    # A log density has the size of the parameters; a KL or a mean can be larger.
    reach = 1 + float(np.abs(best).max() + np.abs(other).max())
    size = reach * (1 + float(np.abs(expected).max()) + float(closed.max()))
    lost = gamma(2000) * size
    return [
        Comparison.identity(ones, np.ones(len(ones)), scale=size, summation=lost),
        Comparison.identity(
            np.reshape(means, expected.shape), expected, scale=size, summation=lost
        ),
        Comparison.identity(closed, kl, scale=size, summation=lost),
    ]


@once
def _matching(instance: FamilyScene, z: Array) -> Array:
    scene = instance.scene
    return optimal_parameters(scene.data, scene.encoder, _FAMILIES[instance.family], z)


def _unweighted_parameters(instance: FamilyScene, z: Array) -> Array:
    count = len(instance.scene.X)
    even = np.full((*z.shape[:-1], count), -np.log(count))
    return _FAMILIES[instance.family].fit(instance.scene.data, even)


def _squared_weights(instance: FamilyScene, z: Array) -> Array:
    """Fit with weights q(x|z)^2, as if the encoder counted twice."""
    logs = 2 * instance.scene.encoder.log_responsibilities(z)
    logs = logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True)
    return _FAMILIES[instance.family].fit(instance.scene.data, logs)


MEANS_MATCH = Proposition(
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
    controls=wrong(
        family_deficit,
        {
            "the reversed KL": {"reverse": True},
            "the unweighted mean": {"optimum": _unweighted_parameters},
            "the encoder counted twice": {"optimum": _squared_weights},
            "half the divergence": {"factor": 0.5},
        },
    ),
    uses=("1a",),
    figure="optimal-decoder",
    examples=40,
)
