"""Claim 24: brackets of the evidence in any latent dimension."""

from vaetheory.checking import Claim
from vaetheory.claims.high_dimensional_evidence import (
    annealed_runs,
    brackets,
    exact_sample,
    linear,
    separate_streams,
    slack,
    wagers,
)

CLAIM = Claim(
    number=24,
    label="high-dimensional-evidence",
    title="Evidence in high dimensions: brackets that hold",
    source="our derivation, from particle MCMC and betting",
    says=(
        "In any latent dimension, brackets of the mean evidence of simulated data hold at a "
        "stated confidence; usual estimates are no bounds."
    ),
    propositions=(
        exact_sample.RECIPROCAL,
        exact_sample.SHIFTED_RULES,
        wagers.WEALTH,
        wagers.LOWER_BOUND,
        slack.SLACK,
        separate_streams.DRAWN_APART,
        linear.LINEAR_MODELS,
        brackets.BRACKETS_HOLD,
        annealed_runs.FROZEN_RUNS,
    ),
)
