"""Claim 12: the linear VAE is probabilistic PCA, and finds the principal axes."""

from vaetheory.checking import Claim
from vaetheory.claims.linear_vae import (
    aggregate,
    best_encoder,
    critical_points,
    digits,
    latent_scale,
    learned_noise,
    local_maxima,
    principal_axes,
)

CLAIM = Claim(
    number=12,
    label="linear-vae",
    title="The linear VAE is probabilistic PCA, and finds the principal axes",
    source="arXiv:1911.02469, abstract; Tipping and Bishop 1999; our derivations",
    says=(
        "With a linear decoder the VAE is probabilistic PCA, has no spurious maxima, and "
        "finds the axes and not only their span."
    ),
    propositions=(
        best_encoder.BEST_ENCODER,
        principal_axes.PRINCIPAL_AXES,
        principal_axes.EQUAL_EIGENVALUES,
        critical_points.TURNS,
        critical_points.GRADIENTS,
        critical_points.CURVATURES,
        local_maxima.NO_SPURIOUS_MAXIMA,
        critical_points.SADDLES,
        learned_noise.LEARNED_NOISE,
        learned_noise.DEGENERATE_DATA,
        latent_scale.SCALE_OF_LATENTS,
        latent_scale.TRAINED_SCALE,
        aggregate.AGGREGATE_COVARIANCE,
        aggregate.NO_MATCH,
        digits.DIGITS,
    ),
)
