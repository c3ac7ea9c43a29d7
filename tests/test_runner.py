"""The runner: verdicts, shrinking, controls, seeds, executors."""

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import strategies as st

from vaetheory import verify
from vaetheory.checking import Claim, Comparison, Control, Proposition, wrong
from vaetheory.checking.runner import judge, run_proposition


def square_is_nonnegative(k):
    return Comparison.at_most(-(k**2), 0.0, scale=1.0, rounding=0.0)


def cube_is_nonnegative(k):
    return Comparison.at_most(-(k**3), 0.0, scale=1.0, rounding=0.0)


THE_CUBE = Control("the cube", cube_is_nonnegative)


def toy(check=square_is_nonnegative, controls=(THE_CUBE,), **more):
    options = {
        "label": "0a",
        "title": "A square is not negative",
        "statement": r"k^2 \ge 0",
        "hypotheses": (("an integer", r"k \in \mathbb Z"),),
        "kind": "inequality",
        "instances": st.integers(-50, 50),
        "check": check,
        "controls": controls,
    }
    return Proposition(**(options | more))


def test_a_true_proposition_with_refuted_controls_is_confirmed():
    result = run_proposition(toy())
    assert result.verdict == "confirmed", result.message
    (control,) = result.controls
    assert control.refuted, "the cube survived"
    assert control.instance < 0, "the cube was refuted by a number that does not refute it"


def test_a_false_proposition_is_refuted_by_its_smallest_counterexample():
    result = run_proposition(toy(check=cube_is_nonnegative, controls=()))
    assert result.verdict == "refuted", "a false proposition passed"
    assert result.instance == -1, f"not shrunk: {result.instance}"
    assert result.residual == 1, "the residual is not that of the shrunk instance"
    assert "exceeds" in result.message, "the reason is not told"


def test_a_bound_above_the_resolution_is_inconclusive_not_a_pass():
    def vague(k):
        return Comparison.identity(k, k, scale=1.0, ignorance=1.0)

    result = run_proposition(toy(check=vague, controls=()))
    assert result.verdict == "inconclusive", "ignorance passed for knowledge"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_residual_that_is_no_number_is_never_a_pass(value):
    result = run_proposition(
        toy(check=lambda k: Comparison.identity(value, 0.0, scale=1.0, rounding=1e-9), controls=())
    )
    assert result.verdict == "inconclusive", f"{value} passed"


def test_nan_does_not_hide_behind_entries_that_agree():
    comparison = Comparison.identity([0.0, float("nan")], [0.0, 0.0], scale=1.0, rounding=1.0)
    assert judge(comparison, 10.0) == "inconclusive", "the NaN was overlooked"


def test_a_bound_that_is_no_number_does_not_hide_behind_two_sides_that_agree():
    # Without a residual the margin is zero, whatever the bound.
    comparison = Comparison.identity([0.0, 1.0], [0.0, 1.0], scale=1.0, lost=[0.1, float("nan")])
    assert judge(comparison, 10.0) == "inconclusive", "nothing is known of the second entry"


def test_the_worst_part_decides():
    good = Comparison.identity(0.0, 0.0, scale=1.0, rounding=1e-9)
    bad = Comparison.identity(1.0, 0.0, scale=1.0, rounding=1e-9)
    assert judge(Comparison.all_of(good, bad), 1e-6) == "refuted", "a refuted part was lost"


def test_a_check_that_raises_is_inconclusive_and_says_so():
    def broken(k):
        raise ValueError("no such thing")

    result = run_proposition(toy(check=broken, controls=()))
    assert result.verdict == "inconclusive", "an exception passed"
    assert "no such thing" in result.message, "the exception is not told"


def test_a_control_that_is_true_survives_and_fails_the_proposition():
    result = run_proposition(toy(controls=(Control("true as well", square_is_nonnegative),)))
    assert result.verdict == "control survived", "a control that is never refuted passed"
    assert "true as well" in result.message, "the survivor is not named"


def test_a_control_that_only_raises_survives():
    def broken(k):
        raise ValueError("no value")

    result = run_proposition(toy(controls=(Control("broken", broken),)))
    assert result.verdict == "control survived", "a control without a value counted as refuted"


def test_a_rare_control_is_hunted():
    rare = Control(
        "wrong at 37 only",
        lambda k: Comparison.identity(float(k == 37), 0.0, scale=1.0, rounding=0.5),
    )
    result = run_proposition(toy(controls=(rare,), examples=5))
    assert result.controls[0].instance == 37, "the control's counterexample was not found"


@pytest.mark.parametrize("collects", [True, False])
def test_the_garbage_collector_pauses_only_while_instances_are_drawn(collects):
    seen = []

    def check(k):
        seen.append(gc.isenabled())
        return square_is_nonnegative(k)

    def drawn(k):
        seen.append(gc.isenabled())
        if k == -50:
            raise KeyError("of the user's")
        return k

    before = gc.isenabled()
    try:
        gc.enable() if collects else gc.disable()
        run_proposition(toy(check=check, instances=st.integers(0, 50).map(drawn)))
        states = set(seen)
        with pytest.raises(KeyError):
            run_proposition(toy(instances=st.just(-50).map(drawn)))
        after = gc.isenabled()
    finally:
        gc.enable() if before else gc.disable()
    assert states == {False, collects}, f"while drawing and while checking: {states}"
    assert after == collects, "what the user had set was not restored after an error"


def test_the_seed_determines_the_run():
    def fingerprint(seed):
        return [(r.instance, r.residual) for r in verify("1b", seed=seed)]

    assert fingerprint(3) == fingerprint(3), "two runs with one seed differ"


def test_results_do_not_depend_on_the_executor():
    labels = ["1b", "2a"]
    alone = list(verify(labels))
    with ThreadPoolExecutor(2) as pool:
        together = list(verify(labels, executor=pool))
    for a, b in zip(alone, together, strict=True):
        assert (a.label, a.verdict, a.residual, a.bound) == (
            b.label,
            b.verdict,
            b.residual,
            b.bound,
        ), f"{a.label}: another executor, another result"


def test_results_travel_between_processes():
    (result,) = verify("2a")
    copy = pickle.loads(pickle.dumps(result))
    assert copy.as_dict() == result.as_dict(), "a result changed on its way"


def test_profiles_draw_more_instances():
    claims = [Claim("toy", "A toy", "none", (toy(examples=2, instances=st.integers(-500, 500)),))]
    counts = {p: next(verify(profile=p, claims=claims)).instances for p in ("quick", "standard")}
    assert counts["quick"] < counts["standard"], f"profiles do not differ: {counts}"


def test_a_registry_of_ones_own():
    claims = [Claim("toy", "A toy", "none", (toy(),))]
    results = list(verify("toy", claims=claims))
    assert [r.claim for r in results] == ["toy"], "the claim asked for was not run"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "9z"}, "expected a claim or a proposition .*perhaps .*9a.*; got .9z."),
        ({"labels": ["1a", "nonsense"]}, "nonsense"),
        ({"profile": "slow"}, "profile: expected one of quick"),
        ({"seed": -1}, "seed: expected an integer of at least 0, got"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_bad_requests_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        verify(**arguments)


def test_duplicate_labels_are_refused():
    with pytest.raises(ValueError, match="different labels"):
        Claim("toy", "A toy", "none", (toy(), toy()))


def test_a_loose_entry_does_not_hide_behind_a_sharp_one():
    comparison = Comparison.identity([1e-9, 0.0], [0.0, 0.0], scale=1.0, error=[2e-9, 0.5])
    assert judge(comparison, 1e-6) == "inconclusive", "an entry that decides nothing was overlooked"


def test_a_refutation_does_not_shrink_into_ignorance():
    def check(k):
        if k >= 50:
            return Comparison.identity(1.0, 0.0, scale=1.0, rounding=1e-9)
        return Comparison.identity(0.0, 0.0, scale=1.0, ignorance=1.0 if k >= 10 else 0.0)

    false = toy(check=check, controls=(), instances=st.integers(0, 99), examples=50)
    for seed in range(4):
        result = run_proposition(false, seed=seed)
        assert result.verdict == "refuted", f"seed {seed}: came out {result.verdict}"
        assert result.instance >= 50, f"seed {seed}: the instance {result.instance} refutes nothing"


def test_a_strategy_without_instances_is_inconclusive():
    result = run_proposition(toy(instances=st.integers().filter(lambda k: False), controls=()))
    assert result.verdict == "inconclusive", "nothing was checked and it passed"
    assert "no instance" in result.message, result.message


def compared(k, *, factor=1.0, power=2):
    return Comparison.identity(factor * float(k) ** power, float(k * k), scale=1.0, rounding=1e-9)


def test_wrong_versions_are_the_check_with_keywords_changed():
    half, other = wrong(compared, {"half": {"factor": 0.5}, "another check": cube_is_nonnegative})
    assert half.name == "half", "the name was lost"
    assert half.check(2).residual == 2.0, "the keyword was not changed"
    assert other.check is cube_is_nonnegative, "a check in place of keywords is taken as it is"


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ({"none": {}}, "expected the keywords that it changes"),
        ({"none": 0.5}, "expected the keywords that it changes"),
        ({"same": {"factor": 1.0}}, "expected another value of factor"),
        ({"same": compared}, "expected another check"),
        ({"unknown": {"scale": 2.0}}, r"expected keywords of the check \(factor, power\)"),
    ],
)
def test_wrong_versions_that_change_nothing_are_refused(versions, words):
    with pytest.raises(ValueError, match=words):
        wrong(compared, versions)


def test_labels_begin_with_the_number_of_their_claim():
    Claim("toy", "A toy", "none", (toy(label="1a"),), number=1)
    with pytest.raises(ValueError, match="expected labels that begin with its number, 1, got '10a"):
        Claim("toy", "A toy", "none", (toy(label="10a"),), number=1)


def test_the_old_name_of_a_comparison_works_and_warns():
    from vaetheory.claims import claim

    with pytest.warns(DeprecationWarning, match=r"vaetheory.checking.Comparison"):
        assert claim.Certificate is Comparison, "the old name is of something else"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": 99}, "label: expected a str, got int 99"),
        ({"check": None}, "proposition 0a: check: expected a callable instance -> Comparison"),
        ({"instances": [1, 2]}, "instances: expected a Hypothesis strategy, got list"),
        ({"controls": THE_CUBE}, "controls: expected a list or a tuple, got Control"),
        ({"controls": (cube_is_nonnegative,)}, "controls: expected objects of class Control"),
        ({"controls": {"the cube": {}}}, "controls: expected a list or a tuple, got dict"),
        ({"examples": 0}, "examples: expected an integer of at least 1, got int 0"),
        # Nothing exceeds NaN: every comparison would be sharp enough.
        ({"resolution": float("nan")}, "resolution: expected finite numbers, got nan"),
        ({"resolution": 0.0}, "resolution: expected positive numbers, got 0.0"),
        ({"resolution": "sharp"}, "resolution: expected an array of real numbers, got str"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_a_proposition_says_what_it_expects(changed, message):
    with pytest.raises(ValueError, match=message):
        toy(**changed)


def test_a_control_and_a_claim_say_what_they_expect():
    with pytest.raises(ValueError, match="control 'a': expected a callable instance"):
        Control("a", 3)
    with pytest.raises(ValueError, match="claim toy: propositions: expected a list or a tuple"):
        Claim("toy", "Toys", "here", toy())
    with pytest.raises(ValueError, match="claim toy: propositions: expected objects of class Prop"):
        Claim("toy", "Toys", "here", (THE_CUBE,))


@pytest.mark.parametrize("claims", [Claim("toy", "Toys", "here", (toy(),)), [toy()], "toy", 3])
def test_a_registry_is_a_sequence_of_claims(claims):
    with pytest.raises(ValueError, match="claims: expected"):
        verify(claims=claims)


def test_labels_that_are_none():
    with pytest.raises(ValueError, match="labels: expected a label or several labels, got int 3"):
        verify(3)


@pytest.mark.parametrize("found", [True, None, 0.0])
def test_a_check_that_returns_no_comparison_ends_the_run(found):
    with pytest.raises(TypeError, match="its check: expected a Comparison"):
        run_proposition(toy(lambda k: found))
    with pytest.raises(TypeError, match="control 'number': expected a Comparison"):
        run_proposition(toy(controls=(Control("number", lambda k: found),)))


def test_the_instance_is_no_keyword_of_a_wrong_version():
    with pytest.raises(ValueError, match=r"expected keywords of the check \(\), got 'k'"):
        wrong(square_is_nonnegative, {"another instance": {"k": 2}})
    with pytest.raises(ValueError, match="check: expected a callable instance -> Comparison"):
        wrong(3, {})
    with pytest.raises(ValueError, match="versions: expected a mapping of names"):
        wrong(square_is_nonnegative, [("twice", {})])
