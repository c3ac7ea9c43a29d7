"""The registry run as tests: one test a proposition."""

import pickle

import pytest

from vaetheory import CLAIMS
from vaetheory.checking.runner import run_proposition

# Those on digits share a model and all that is computed of it.
PROPOSITIONS = [
    pytest.param(c, p, marks=[pytest.mark.shared] if p.label.endswith("-digits") else [])
    for c in CLAIMS
    for p in c.propositions
]


@pytest.mark.parametrize(("claim", "proposition"), PROPOSITIONS, ids=lambda x: x.label)
def test_proposition(claim, proposition):
    result = run_proposition(proposition, claim=claim.label)
    assert result.confirmed, (
        f"{result.label}: {result.verdict}; {result.message}; {result.instance}"
    )
    # Other processes send their results here, with what the check kept in its instances.
    again = pickle.loads(pickle.dumps(result))
    assert again.label == result.label, "the result is another one after its journey"
