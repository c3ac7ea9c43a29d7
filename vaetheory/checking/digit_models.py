"""Latent models fitted to the digits: their modes, and the Hessians of the potential there."""

from __future__ import annotations

from functools import lru_cache

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking.digits import fitted_decoder, load
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode


def digit_model(noise: float) -> LatentModel:
    """The model fitted to the digits, with its noise scaled by a factor."""
    decoder, scale = fitted_decoder()
    return LatentModel(decoder, likelihoods.Gaussian(scale=noise * scale), 2)


@lru_cache(maxsize=4)
def digit_hessians(noise: float) -> tuple[Array, Array]:
    """Mode of every digit and Hessian of the potential there, computed once a process."""
    model, X = digit_model(noise), load().images
    modes = posterior_mode(model, X)
    return modes, model.potential_derivatives(X, modes)[1]
