"""Stationary Gaussian posteriors of flows and embeddings, and the size of their errors."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import once
from vaetheory.claims.flow_limit.scenes import Scene, embedded_scenes, flow_scenes
from vaetheory.encoders import Posterior
from vaetheory.flows import Embedding
from vaetheory.models import LatentModel


def any_scenes() -> SearchStrategy[Scene]:
    """Flows, and curves and surfaces in one more dimension or two."""
    return st.one_of(flow_scenes(), embedded_scenes())


@once
def best_posterior(
    flow: Embedding, z: Array, sigma: float, *, diagonal: bool = False
) -> StationaryPosterior:
    """The stationary Gaussian posterior of x = f(z), on the branch that begins at z."""
    model = LatentModel(flow, likelihoods.Gaussian(scale=sigma), flow.latent_dim)
    J = flow.jacobian(z)
    precision = J.T @ J / sigma**2 + np.eye(len(z))
    if diagonal:
        precision = np.diag(np.diagonal(precision))
    return stationary_posterior(
        model,
        flow.forward(z),
        start=Posterior(z, cov=np.linalg.inv(precision)),
        structure="diagonal" if diagonal else "full",
    )


def size_of(*values: float) -> float:
    """One plus the greatest absolute value."""
    return 1 + float(np.max(np.abs(values)))


def inverse_metric(flow: Embedding, z: Array) -> Array:
    """The inverse metric g^-1 at z."""
    J = flow.jacobian(z)
    return np.linalg.inv(J.T @ J)
