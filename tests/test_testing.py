"""The laws themselves: correct instances of users pass for any seed, false ones by name do not."""

import doctest
import inspect
import sys
import types
import unittest

import autograd.numpy as anp
import numpy as np
import pytest
from false_families import FALSE_FAMILIES
from false_maps import FALSE_DECODERS, FALSE_FLOWS, Bowl, Shear
from user_families import Logistic, Weibull, ZeroInflatedPoisson

from vaetheory import decoders, flows, likelihoods
from vaetheory.testing import (
    LawError,
    check_decoder,
    check_flow,
    check_likelihood,
    parametrize_with_checks,
)

SEEDS = range(30)


def refused(call):
    """The laws that fail, and what is said of it."""
    try:
        call()
    except LawError as error:
        return {failure.law for failure in error.failures}, str(error)
    return set(), ""


def named(case):
    return type(case).__name__ if not isinstance(case, set) else None


@pytest.mark.parametrize(
    "family",
    [Logistic(0.5), Logistic(3.0), Weibull(1.7), Weibull(0.6), ZeroInflatedPoisson(0.3)],
    ids=str,
)
def test_correct_families_pass_for_any_seed(family):
    for seed in SEEDS:
        laws, message = refused(lambda seed=seed: check_likelihood(family, rng=seed))
        assert not laws, f"seed {seed}: {message}"


def test_a_correct_decoder_and_a_correct_flow_pass_for_any_seed():
    for seed in SEEDS:
        for call in (
            lambda seed=seed: check_decoder(Bowl(), 2, rng=seed),
            lambda seed=seed: check_flow(Shear(), rng=seed),
        ):
            laws, message = refused(call)
            assert not laws, f"seed {seed}: {message}"


@pytest.mark.parametrize(("family", "laws"), FALSE_FAMILIES, ids=named)
def test_false_families_are_refused_by_name(family, laws):
    for seed in range(2):
        found, message = refused(lambda seed=seed: check_likelihood(family, rng=seed))
        assert found == laws, f"seed {seed}: expected {laws} to fail, got {found}: {message}"
        assert all("expected" in line and "got" in line for line in message.splitlines()), message


@pytest.mark.parametrize(("decoder", "laws"), FALSE_DECODERS, ids=named)
def test_false_decoders_are_refused_by_name(decoder, laws):
    for seed in range(3):
        found, message = refused(lambda seed=seed: check_decoder(decoder, 2, rng=seed))
        assert found == laws, f"seed {seed}: expected {laws} to fail, got {found}: {message}"


@pytest.mark.parametrize(("flow", "laws"), FALSE_FLOWS, ids=named)
def test_false_flows_are_refused_by_name(flow, laws):
    for seed in range(3):
        found, message = refused(lambda seed=seed: check_flow(flow, rng=seed))
        assert found == laws, f"seed {seed}: expected {laws} to fail, got {found}: {message}"


def test_every_law_refuses_something():
    for table, check in (
        (FALSE_FAMILIES, lambda: check_likelihood(likelihoods.Poisson())),
        (FALSE_DECODERS, lambda: check_decoder(Bowl(), 2)),
        (FALSE_FLOWS, lambda: check_flow(Shear())),
    ):
        refusing = set().union(*(laws for _, laws in table), *(laws for _, laws in FALSE_DECODERS))
        # Autograd judges what the differences passed.
        missing = {outcome.law for outcome in check()} - refusing - {"autograd"}
        assert not missing, f"laws that nothing false was shown to: {missing}"


def test_an_expected_failure_is_one():
    family, _ = FALSE_FAMILIES[0]
    outcomes = check_likelihood(family, expected_failures={"score": "off by a thousandth"})
    (score,) = (outcome for outcome in outcomes if outcome.law == "score")
    assert (score.status, score.reason) == ("xfailed", "off by a thousandth"), f"{score}"
    below = {o.law: o.message for o in outcomes if o.status == "skipped"}
    assert below["fisher_information"] == "it depends on score, which fails", f"{below}"


def test_what_holds_although_it_should_fail_is_said():
    known = {"score": "a rumour"}
    laws, message = refused(lambda: check_likelihood(Logistic(1.0), expected_failures=known))
    assert laws == {"score"}, f"failures {laws}"
    assert "score: expected to fail (a rumour), but it holds" in message, message
    outcomes = check_likelihood(Logistic(1.0), expected_failures=known, strict=False)
    statuses = {outcome.law: outcome.status for outcome in outcomes}
    assert statuses["score"] == "xpassed", f"{statuses}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: check_likelihood(anp.sin), "family: expected a .*Likelihood, got"),
        (
            lambda: check_likelihood(Logistic(1.0), expected_failures={"scor": "x"}),
            "expected_failures: expected names of laws .*, perhaps score; got 'scor'",
        ),
        (
            lambda: check_flow(Shear(), expected_failures={"inverses": "x"}),
            "perhaps inverse; got 'inverses'",
        ),
        (
            lambda: check_likelihood(Logistic(1.0), expected_failures={"score": ""}),
            "expected a reason why score fails",
        ),
        (
            lambda: check_likelihood(Logistic(1.0), expected_failures=["score"]),
            "expected_failures: expected a mapping",
        ),
        (lambda: check_likelihood(Logistic(1.0), rng=-1), "rng: expected an integer of at least 0"),
        (lambda: check_likelihood(Logistic(1.0), params=[[np.nan]]), "params: expected finite"),
        (lambda: check_likelihood(Weibull(1.0), x=[[-1.0]]), "x: expected positive numbers"),
        (
            lambda: check_likelihood(likelihoods.Gaussian(scale=[1.0, 2.0]), data_dim=3),
            "data_dim: expected 2, the family's own, got 3",
        ),
        (
            lambda: check_likelihood(Logistic(1.0), params=[[1.0]], x=[[1.0, 2.0]]),
            r"x: expected shape \(..., 1\)",
        ),
        (lambda: check_decoder("sine", 1), "decoder: expected a callable"),
        (lambda: check_decoder(anp.sin, 0), "latent_dim: expected an integer of at least 1"),
        (lambda: check_decoder(anp.sin, 1, z=[[1.0, 2.0]]), r"z: expected shape \(..., 1\)"),
        (lambda: check_flow(decoders.Circle(1.0)), "flow: expected a .*Flow or Embedding, got"),
        (lambda: parametrize_with_checks([decoders.Circle(1.0)]), "latent_dim: expected"),
        (
            lambda: parametrize_with_checks([(Logistic(1.0), {"latent_dim": 1})]),
            "instances: expected options among params, x, data_dim, rng, got latent_dim",
        ),
    ],
)
def test_bad_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_seed_decides_all_draws():
    said = [
        refused(lambda rng=rng: check_likelihood(FALSE_FAMILIES[0][0], rng=rng))[1]
        for rng in (3, 3, np.random.default_rng(3), np.random.default_rng(3), 4)
    ]
    assert said[0] == said[1], "a seed gives two reports"
    assert said[2] == said[3], "a generator gives two reports"
    assert said[0] != said[4], "another seed tries the same params"


def test_a_user_says_where_the_family_is_tried():
    given = {"params": [[0.25], [3.0]], "x": [[0.5], [2.0]]}
    outcomes = check_likelihood(Weibull(1.7), **given)
    assert all(o.status in ("passed", "skipped") for o in outcomes), f"{outcomes}"
    _, message = refused(lambda: check_likelihood(type(FALSE_FAMILIES[0][0])(0.5), **given))
    assert "x = [0.5], params = [0.25]" in message, message


def test_what_cannot_be_judged_is_skipped_with_the_reason():
    outcomes = {o.law: o for o in check_likelihood(likelihoods.Gaussian(scale=[1.0] * 4))}
    assert "has too many terms" in outcomes["density"].message, f"{outcomes['density']}"
    outcomes = {o.law: o for o in check_likelihood(likelihoods.Uniform())}
    assert "not accurate" in outcomes["density"].message, f"{outcomes['density']}"


class Broken(Logistic):
    def _score(self, x, params):
        raise RuntimeError("no score today")


def test_errors_of_a_family_become_failures():
    laws, message = refused(lambda: check_likelihood(Broken(1.0)))
    assert "inputs" in laws, f"failures {laws}"
    assert "got RuntimeError: no score today" in message, message


def ids(marked):
    return [case.id for case in marked.args[1]]


def test_parametrising_names_instances_and_laws():
    marked = parametrize_with_checks(
        {"mine": Logistic(1.0), "bowl": (Bowl(), {"latent_dim": 2})}
    ).mark
    assert marked.args[0] == ("instance", "check"), f"{marked.args[0]}"
    assert {"mine-score", "bowl-jacobian"} <= set(ids(marked)), f"{ids(marked)}"
    plain = parametrize_with_checks([Logistic(1.0), Shear()]).mark
    assert {"Logistic(scale=1.0)-score", "Shear-inverse"} <= set(ids(plain)), f"{ids(plain)}"


def test_expected_failures_are_marked_and_checks_raise():
    family = FALSE_FAMILIES[0][0]
    reasons = {"score": "off by a thousandth"}
    marked = parametrize_with_checks([family], expected_failures=lambda instance: reasons).mark
    cases = {case.values[1].law.name: case for case in marked.args[1]}
    (mark,) = cases["score"].marks
    assert (mark.name, mark.kwargs["reason"]) == ("xfail", reasons["score"]), f"{mark}"
    assert mark.kwargs["strict"], "a law that holds although it should fail would pass"
    with pytest.raises(LawError, match="score: expected"):
        cases["score"].values[1](family)
    with pytest.raises(unittest.SkipTest, match="it depends on score"):
        cases["fisher_information"].values[1](family)
    cases["density"].values[1](family)
    with pytest.raises(ValueError, match=r"instance: expected .* for which this check was made"):
        cases["density"].values[1](Logistic(1.0))


@parametrize_with_checks([FALSE_FAMILIES[0][0]], expected_failures={"score": "off by a thousandth"})
def test_pytest_sees_expected_failures(instance, check):
    check(instance)


EXAMPLES = {
    "Logistic": (likelihoods.ElementwiseLikelihood, check_likelihood, (0.5,), {}),
    "UnitGaussian": (likelihoods.ElementwiseExponentialFamily, check_likelihood, (), {}),
    "Parabola": (decoders.Decoder, check_decoder, (0.5,), {"latent_dim": 1}),
    "Shear": (flows.Flow, check_flow, (), {}),
    "Stretch": (flows.Elementwise, check_flow, (2, 0.5), {}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_base_classes_keep_the_laws(name, monkeypatch):
    base, check, constants, options = EXAMPLES[name]
    module = types.ModuleType("example_of_a_base_class")
    # Its classes are found there, as those of a file are, so that instances can be pickled.
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for example in doctest.DocTestParser().get_examples(inspect.getdoc(base)):
        if not example.want:
            exec(example.source, vars(module))
    outcomes = check(getattr(module, name)(*constants), **options)
    assert len(outcomes) >= 10, f"only {len(outcomes)} laws were tried on {name}"
