"""Whether the registry notices a bug: what the tests of false claims share."""

import dataclasses

from vaetheory import CLAIMS, LatentModel
from vaetheory.bounds import stationary
from vaetheory.checking.runner import run_proposition

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


def bend_by_gauss_newton(monkeypatch):
    """Let stationary posteriors take the Gauss-Newton part for the mean Hessian."""
    original = stationary.moments

    def without_residual(model, X, loc, root, rule):
        found = original(model, X, loc, root, rule)
        bend = stationary.gauss_newton(model, X, loc, root, rule)
        return dataclasses.replace(found, bend=bend)

    monkeypatch.setattr(stationary, "moments", without_residual)


def count_prior(monkeypatch, times):
    """Let log joints have the log prior so many times."""
    original = LatentModel.log_joint

    def counted(self, X, z):
        return original(self, X, z) - 0.5 * (times - 1) * (z**2).sum(axis=-1)

    monkeypatch.setattr(LatentModel, "log_joint", counted)
