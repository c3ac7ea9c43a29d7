"""The check of 4e: the covariance of a stationary posterior inverts the smoothed Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import derivatives, likelihoods
from vaetheory._gaussians import log_prob
from vaetheory._quadrature.result import REACHED
from vaetheory._validation import Array
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.hessian_estimator.scenes import KINDS, WrittenDecoder, written_decoders
from vaetheory.claims.hessian_estimator.smooth_functions import by_lattice, flat
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_FAMILIES: dict[str, Likelihood] = {
    "Gaussian": likelihoods.Gaussian(scale=0.5),
    "Bernoulli": likelihoods.Bernoulli(),
    "Poisson": likelihoods.Poisson(),
}


@dataclass(frozen=True)
class TrainedPosterior:
    """A model with a decoder given twice, a datum, and the structure of its posterior."""

    decoder: WrittenDecoder
    family: str
    x: Vector
    structure: str

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder.decoder, _FAMILIES[self.family], self.decoder.latent_dim)

    @cached_property
    def posterior(self) -> StationaryPosterior:
        """The stationary posterior of the datum."""
        return stationary_posterior(self.model, np.array(self.x), structure=self.structure)

    @cached_property
    def smoothed_curvature(self) -> tuple[Array, Array]:
        """E_q[-Hess log p(x|z)] by a lattice along the axes, `(d, d)`, and its error."""
        loc, cov = self.posterior.loc, self.posterior.cov

        def columns(z: Array) -> Array:
            return flat(self.curvature(z)) * np.exp(log_prob(z, loc, cov))[:, None]

        value, error = by_lattice(columns, loc, cov)
        return value.reshape(cov.shape), error.reshape(cov.shape)

    def log_likelihood(self, z: Array) -> Array:
        """Log p(x|z) up to a constant, `(..., d) -> (...)`, as a formula for autograd."""
        params, x = self.decoder.formula(z), np.array(self.x)
        if self.family == "Gaussian":
            terms = -2.0 * (x - params) ** 2
        elif self.family == "Bernoulli":
            terms = x * params - anp.logaddexp(0.0, params)
        else:
            terms = x * params - anp.exp(params)
        return anp.sum(terms, axis=-1)

    def curvature(self, z: Array) -> Array:
        """-Hess_z log p(x|z), `(M, d) -> (M, d, d)`, by autograd."""
        return -derivatives.hessian(lambda y: self.log_likelihood(y)[..., None], z)[..., 0, :, :]


@st.composite
def _trained_posteriors(draw: DrawFn) -> TrainedPosterior:
    dim = draw(st.sampled_from((1, 2)))
    family = draw(st.sampled_from(tuple(_FAMILIES)))
    # A cubic log rate has no finite ELBO.
    kinds = KINDS if family != "Poisson" else ("tanh", "sine")
    entry = {
        "Gaussian": strategies.fractions(-3, 3, 2),
        "Bernoulli": st.sampled_from((0.0, 1.0)),
        "Poisson": strategies.fractions(0, 4),
    }[family]
    return TrainedPosterior(
        draw(written_decoders(dim, kinds)),
        family,
        draw(st.tuples(entry, entry)),
        "full" if dim == 1 else draw(st.sampled_from(("full", "diagonal"))),
    )


def trained_posteriors() -> SearchStrategy[TrainedPosterior]:
    """Three families, decoders of one or two latent dimensions, full and diagonal posteriors.

    Only those whose climb arrived at a stationary point: the claim is about such points.
    """
    return _trained_posteriors().filter(lambda t: bool(t.posterior.status == REACHED))


def variance_carries_hessian(
    instance: TrainedPosterior,
    *,
    prior: float = 1.0,
    smoothed: bool = True,
    residual: bool = True,
    marginal: bool = False,
    factor: float = 1.0,
) -> Comparison:
    """S (I + E_q[-Hess log p(x|z)]) = I in units of the posterior's width, or its diagonal."""
    q = instance.posterior
    dim = len(q.loc)
    curvature, error = instance.smoothed_curvature
    if not smoothed:
        curvature = instance.curvature(q.loc[None])[0]
    if not residual:
        _, gauss_newton = instance.model.gauss_newton(np.array(instance.x), q.loc)
        curvature = gauss_newton - np.eye(dim)
    precision = prior * np.eye(dim) + factor * curvature
    if instance.structure == "diagonal":
        precision = np.diag(
            1 / np.diag(np.linalg.inv(precision)) if marginal else np.diag(precision)
        )
        error = np.diag(np.diag(error))
    root = np.linalg.cholesky(q.cov)
    # If the ELBO can still gain e nats, the whitened precision moves by at most 2 sqrt(e).
    shift = 2 * np.sqrt(float(q.error))
    return Comparison.identity(
        root.T @ precision @ root,
        np.eye(dim),
        scale=1.0,
        stationarity=shift,
        lattice=np.abs(root.T) @ error @ np.abs(root),
        rounding=gamma(200) * float(np.linalg.cond(q.cov)) * (1 + np.abs(precision).max()),
    )


VARIANCE_CARRIES_HESSIAN = Proposition(
    label="4e",
    title="At a stationary point the variance carries the smoothed Hessian, nothing else",
    statement=(
        r"S\,(I + \mathbb E_q[-\nabla^2\log p(x|z)]) = I;\quad S \text{ diagonal: }"
        r" S_{jj}\,(1 + \mathbb E_q[-\partial_j^2\log p(x|z)]) = 1"
    ),
    hypotheses=(
        ("stationary", r"\nabla_{m,S}\mathrm{ELBO} = 0"),
        ("smooth", r"f \in C^2,\ \text{any likelihood smooth in its parameters}"),
    ),
    kind="identity",
    instances=trained_posteriors(),
    check=variance_carries_hessian,
    controls=wrong(
        variance_carries_hessian,
        {
            "no prior precision": {"prior": 0.0},
            "Gauss-Newton part": {"residual": False},
            "the Hessian at the mean": {"smoothed": False},
            "marginal variances for a diagonal S": {"marginal": True},
            "half the Hessian": {"factor": 0.5},
        },
    ),
    uses=("3b", "4a"),
    figure="hessian-estimator",
    resolution=1e-5,
    examples=12,
)
