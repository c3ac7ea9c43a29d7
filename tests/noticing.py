"""Whether the registry notices a bug: what the tests of false claims share."""

import dataclasses

from vaetheory import CLAIMS
from vaetheory.claims.runner import run_proposition

PROPOSITIONS = {p.label: p for c in CLAIMS for p in c.propositions}


def assert_noticed(label, *, bug, **changes):
    """Demand that proposition `label` is refuted while `bug` is in the library."""
    proposition = dataclasses.replace(PROPOSITIONS[label], controls=(), **changes)
    # A small counterexample is for people; that there is one is all that is asked here.
    result = run_proposition(proposition, shrink=False)
    assert result.verdict == "refuted", f"{bug}: {label} came out {result.verdict}"
    assert result.residual > result.bound, f"{bug}: refuted without an excess"


def scale_result(monkeypatch, owner, name, factor):
    """Multiply what `owner.name` returns by `factor`."""
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: factor * original(*a, **k))
