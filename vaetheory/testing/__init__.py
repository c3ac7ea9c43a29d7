"""Laws that every likelihood, decoder and flow must satisfy, also one of your own.

Each law has a name. If it fails, it says what was expected and what came. `check_likelihood`,
`check_decoder` and `check_flow` run all laws of an instance; `parametrize_with_checks` turns each
law into a pytest test. `check_vae` asserts that the loss of a VAE is its ELBO, and
`assert_evidence_between` that the mean log evidence of simulated data is in an interval.
"""

from vaetheory.testing._evidences import assert_evidence_between
from vaetheory.testing._losses import check_vae
from vaetheory.testing.checks import (
    check_decoder,
    check_flow,
    check_likelihood,
    parametrize_with_checks,
)
from vaetheory.testing.laws import LawError, Outcome

__all__ = [
    "LawError",
    "Outcome",
    "assert_evidence_between",
    "check_decoder",
    "check_flow",
    "check_likelihood",
    "check_vae",
    "parametrize_with_checks",
]
