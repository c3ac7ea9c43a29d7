"""Claim 21: what the data say about the latents."""

from vaetheory.checking import Claim
from vaetheory.claims.identifiability import (
    encoders,
    environments,
    maps,
    one_latent,
    twists,
    variances,
)

CLAIM = Claim(
    number=21,
    label="identifiability",
    title="Identifiability: what the data say about the latents",
    source=(
        "Hyvarinen and Pajunen 1999; Locatello et al. 2019; arXiv:1907.04809, arXiv:2002.00041; "
        "our derivations"
    ),
    says=(
        "Which latents and decoders no data can tell apart, which environments determine them, "
        "and that the encoder's family chooses among the rest."
    ),
    propositions=(
        maps.MAPS,
        maps.EVIDENCE,
        maps.NARROW,
        encoders.FULL,
        encoders.DIAGONAL,
        encoders.AXES,
        twists.TWIST_COST,
        one_latent.DETERMINED,
        one_latent.FOLDED,
        one_latent.NOISE_COUNTS,
        one_latent.RADIAL,
        environments.DETERMINED,
        environments.RIGID,
        environments.HYPERPLANE,
        environments.WITH_NOISE,
        variances.INVISIBLE,
        variances.LENGTH,
        variances.AXES,
    ),
)
