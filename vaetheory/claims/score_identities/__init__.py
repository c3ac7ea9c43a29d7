"""Claim 19: what the exact posterior knows of parameters, data and steps."""

from vaetheory.checking import Claim
from vaetheory.claims.score_identities import (
    denoising,
    em,
    natural_gradient,
    parameters,
    pca_em,
    van_trees,
    wide_parameters,
)

CLAIM = Claim(
    number=19,
    label="score-identities",
    title="What the exact posterior knows: scores, denoising, information",
    source="Fisher; Louis 1982; Robbins; van Trees; Dempster, Laird and Rubin; our derivations",
    says=(
        "Scores, informations and the best denoiser are means under the exact posterior, which "
        "also sets the rate of EM and the natural gradient's step."
    ),
    propositions=(
        parameters.FISHER_IDENTITY,
        parameters.LOUIS,
        wide_parameters.WIDE,
        denoising.TWEEDIE,
        denoising.LINEAR,
        denoising.COUNTS,
        van_trees.VAN_TREES,
        van_trees.ATTAINED,
        van_trees.AVERAGED,
        van_trees.JUMP,
        natural_gradient.NATURAL,
        natural_gradient.MIXTURE,
        em.MISSING,
        pca_em.SPECTRUM,
        pca_em.COLLAPSED,
    ),
)
