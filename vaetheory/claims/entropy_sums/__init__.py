"""Claim 23: the ELBO at stationary points as a sum of entropies, for other likelihoods."""

from vaetheory.checking import Claim
from vaetheory.claims.entropy_sums import counts, layers, stationary_sums, whole

CLAIM = Claim(
    number=23,
    label="entropy-sums",
    title="Entropy sums: the ELBO at stationary points, for any exponential family",
    source="arXiv:2209.03077; our derivations",
    says=(
        "Where training has converged the ELBO is a sum of entropies, and the exact remainder "
        "tells how far it is from there."
    ),
    propositions=(
        stationary_sums.ENTROPIES,
        layers.OWN_DIRECTION,
        stationary_sums.PSEUDO_ENTROPIES,
        counts.TRUE_ENTROPY,
        layers.FIXED_OFFSET,
        layers.OTHER_CHART,
        whole.WHOLE,
    ),
)
