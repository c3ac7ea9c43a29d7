"""The check of 3h: at stationary sigma and latent scale the ELBO is a sum of entropies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians, decoders, likelihoods
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.scenes import curves, surfaces
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class TrainedScene:
    """A decoder, a data set and its encoder, before sigma and the latent scale are optimised."""

    decoder: Decoder
    scene: strategies.EncodedData


@st.composite
def trained_scenes(draw: DrawFn) -> TrainedScene:
    """Any decoder, data and encoder, none of them optimal."""
    dim = draw(st.sampled_from((1, 1, 2)))
    decoder = draw(curves() if dim == 1 else surfaces())
    return TrainedScene(decoder, draw(strategies.encoded_data(dim, strategies.data_sets(2))))


def sum_of_entropies(
    instance: TrainedScene,
    *,
    stretch: float = 1.0,
    widen: float = 1.0,
    prior: float = 1.0,
    noise: float = 1.0,
) -> Comparison:
    """At stationary sigma and latent scale the ELBO is a sum of three entropies."""
    X, encoder = instance.scene.data, instance.scene.encoder
    dim, data_dim = encoder.latent_dim, X.shape[1]
    second_moment = (encoder.loc**2).sum(axis=-1) + np.trace(encoder.cov, axis1=-2, axis2=-1)
    scale = stretch * float(np.sqrt(dim / second_moment.mean()))
    squares = gaussian_expectation(
        lambda z, rows: ((X[rows, None] - instance.decoder(z)) ** 2).sum(axis=-1),
        encoder.loc,
        encoder.cov,
    )
    variance = float(squares.value.mean()) / data_dim
    sigma = widen * float(np.sqrt(variance))

    def at(log_scale: float, log_sigma: float) -> tuple[float, float, Posterior]:
        """Mean ELBO, its error and the posterior for stretched latents and another sigma."""
        a = scale * np.exp(log_scale)
        model = LatentModel(
            decoders.Reparametrised(instance.decoder, np.eye(dim) / a),
            likelihoods.Gaussian(scale=sigma * np.exp(log_sigma)),
            dim,
        )
        posterior = Posterior(a * encoder.loc, cov=a**2 * encoder.cov)
        bound = elbo(model, X, posterior)
        return float(bound.value.mean()), float(bound.error.mean()), posterior

    value, error, posterior = at(0.0, 0.0)
    entropies = (
        posterior.entropy().mean()
        - prior * _gaussians.entropy(np.eye(dim))
        - noise * _gaussians.entropy(sigma**2 * np.eye(data_dim))
    )
    relative = float(squares.error.mean() / squares.value.mean())
    size = abs(value) + data_dim + dim
    parts = [
        Comparison.identity(
            value,
            entropies,
            scale=size,
            elbo=error,
            stationarity=data_dim * relative,
            rounding=gamma(100) * size,
        )
    ]
    # The ELBO itself must be stationary there, by its differences.
    step = 2.0**-8
    for axis in np.eye(2):
        slopes = [(at(*(h * axis))[0] - at(*(-h * axis))[0]) / (2 * h) for h in (step, 2 * step)]
        parts.append(
            Comparison.identity(
                (4 * slopes[0] - slopes[1]) / 3,
                0.0,
                scale=size,
                difference=abs(slopes[1] - slopes[0]),
                numerics=2 * (error + gamma(100) * size) / step,
            )
        )
    return Comparison.all_of(*parts)


SUM_OF_ENTROPIES = Proposition(
    label="3h",
    title="Where sigma and the latent scale are stationary the ELBO is a sum of entropies",
    statement=(
        r"\mathrm{ELBO} = \tfrac1N\sum_n H[q(z|x_n)] - H[\mathcal N(0, I_d)]"
        r" - H[\mathcal N(0, \sigma^2 I_D)]"
    ),
    hypotheses=(
        ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)"),
        ("stationary sigma", r"\sigma^2 = \tfrac1{ND}\sum_n\mathbb E_q\|x_n - f(z)\|^2"),
        ("stationary latent scale", r"\tfrac1N\sum_n\mathbb E_q\|z\|^2 = d"),
    ),
    kind="identity",
    instances=trained_scenes(),
    check=sum_of_entropies,
    controls=wrong(
        sum_of_entropies,
        {
            "sigma off by half": {"widen": 1.5},
            "latents off by half": {"stretch": 1.5},
            "no prior entropy": {"prior": 0.0},
            "noise entropy added": {"noise": -1.0},
        },
    ),
    uses=("3b",),
    resolution=1e-2,
)
