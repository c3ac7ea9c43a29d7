"""The registry run as tests: one test a proposition."""

import pytest

from vaetheory import CLAIMS
from vaetheory.claims.runner import run_proposition

PROPOSITIONS = [(c, p) for c in CLAIMS for p in c.propositions]


@pytest.mark.parametrize(("claim", "proposition"), PROPOSITIONS, ids=lambda x: x.label)
def test_proposition(claim, proposition):
    result = run_proposition(proposition, claim=claim.label)
    assert result.confirmed, (
        f"{result.label}: {result.verdict}; {result.message}; {result.instance}"
    )
