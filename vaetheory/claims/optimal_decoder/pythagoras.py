"""The check of 1a: another decoder loses its mean squared distance from the optimal one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.lattice import aggregate_expectation, agree
from vaetheory.checking.strategies import Covariance, EncodedData
from vaetheory.claims.optimal_decoder.scenes import Wave, mean_over_data, waves
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


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
    """Compare ELBO[f* + h] - ELBO[f*] with -1/2 E_{q(z)}[h^T Lambda^-1 h]."""
    scene, h = instance.scene, instance.h
    f = OptimalDecoder(scene.data, scene.encoder) if decoder is None else decoder(scene)
    likelihood = likelihoods.Gaussian(cov=instance.cov.matrix)
    precision = metric(instance.cov.matrix)

    def change(x: Array, z: Array) -> Array:
        mean = f(z)
        return likelihood.log_prob(x, mean + h(z)) - likelihood.log_prob(x, mean)

    def loss(z: Array) -> Array:
        return -factor * np.einsum("mi,ij,mj->m", h(z), precision, h(z))

    # The two log densities cancel; their rounding stays.
    spread = np.ptp(scene.data, axis=0) + np.abs(h.offset) + np.abs(h.amplitude)
    size = 0.5 * spread @ np.abs(np.linalg.inv(instance.cov.matrix)) @ spread
    return agree(
        mean_over_data(change, scene),
        aggregate_expectation(loss, scene.encoder),
        size=float(size),
        rounding=gamma(60) * float(size),
    )


def _unweighted(scene: EncodedData) -> Callable[[Array], Array]:
    return lambda z: np.broadcast_to(scene.data.mean(axis=0), (*z.shape[:-1], len(scene.X[0])))


def _without_normaliser(scene: EncodedData) -> Callable[[Array], Array]:
    """The decoder whose weights lack det S(x): wrong unless all covariances are equal."""

    def decode(z: Array) -> Array:
        away = z[..., None, :] - scene.encoder.loc
        solved = np.linalg.solve(scene.encoder.cov, away[..., None])[..., 0]
        weights = np.exp(-0.5 * (away * solved).sum(axis=-1))
        return (weights / weights.sum(axis=-1, keepdims=True)) @ scene.data

    return decode


def _nearest(scene: EncodedData) -> Callable[[Array], Array]:
    return lambda z: scene.data[scene.encoder.component_log_prob(z).argmax(axis=-1)]


PYTHAGORAS = Proposition(
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
    controls=wrong(
        pythagoras,
        {
            "the unweighted mean of the data": {"decoder": _unweighted},
            "the nearest datum": {"decoder": _nearest},
            "weights without det S(x)": {"decoder": _without_normaliser},
            "no factor 1/2": {"factor": 1.0},
            "Lambda for its inverse": {"metric": np.asarray},
        },
    ),
    figure="optimal-decoder",
)
