"""Checks of many instances at once, and results that a check shares with its wrong versions."""

import pickle
import random

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from vaetheory.checking import Comparison, Control, Proposition, once, together, wrong
from vaetheory.checking.runner import _draw, run_proposition
from vaetheory.claims import CLAIMS

ASKED: list[list[int]] = []


def of_squares(k, power):
    return Comparison.identity(float(k) ** power, float(k * k), scale=1.0, rounding=1e-9)


@together
def squares(instances, *, power=2):
    """Each square twice; what was asked for is written down."""
    ASKED.append(list(instances))
    return [of_squares(k, power) for k in instances]


def alone(instance, *, power=2):
    return of_squares(instance, power)


def toy(check, controls=None, **more):
    options = {
        "label": "0a",
        "title": "Squares",
        "statement": "k^2",
        "hypotheses": (),
        "kind": "identity",
        "instances": st.integers(0, 500),
        "check": check,
        "controls": wrong(check, {"the cube": {"power": 3}}) if controls is None else controls,
    }
    return Proposition(**(options | more))


def told(result):
    return {k: v for k, v in result.as_dict().items() if k != "seconds"}


@pytest.fixture(autouse=True)
def _nothing_asked():
    ASKED.clear()


def test_all_instances_of_a_profile_are_examined_in_one_call():
    result = run_proposition(toy(squares, examples=20))
    assert result.verdict == "confirmed", result.message
    assert len(ASKED[0]) == result.instances == 20, f"{len(ASKED[0])} of {result.instances} at once"
    assert ASKED[1] == ASKED[0], "a wrong version was not tried on the same instances at once"
    assert len(ASKED) == 2, f"examined {len(ASKED)} times"


@pytest.mark.parametrize("seed", range(3))
def test_together_or_alone_the_result_is_the_same(seed):
    both = [run_proposition(toy(check), seed=seed) for check in (squares, alone)]
    assert told(both[0]) == told(both[1]), "how the check is written changes the result"


def _drawn_one_at_a_time(proposition, seed):
    """What Hypothesis draws if a check is called between the draws."""
    seen = []

    def body(instance):
        seen.append(instance)
        proposition.check(instance)

    _draw(proposition, body, examples=proposition.examples, seed=seed, shrink=True)
    return seen


@pytest.mark.parametrize("label", ["1b", "2d", "5c", "7e", "10b", "11a"])
def test_instances_do_not_depend_on_when_they_are_examined(label):
    (proposition,) = (p for c in CLAIMS for p in c.propositions if p.label == label)
    drawn = []
    _draw(proposition, drawn.append, examples=proposition.examples, seed=5, shrink=False)
    assert [repr(i) for i in drawn] == [repr(i) for i in _drawn_one_at_a_time(proposition, 5)], (
        "an instance that is drawn before others are checked is another one"
    )


def test_a_refuted_instance_is_shrunk_one_at_a_time():
    @together
    def small(instances):
        ASKED.append(list(instances))
        return [Comparison.at_most(k, 9.0, scale=1.0, rounding=0.0) for k in instances]

    result = run_proposition(toy(small, controls=()))
    assert (result.verdict, result.instance) == ("refuted", 10), f"{result.verdict}: not shrunk"
    assert all(len(some) == 1 for some in ASKED[1:]), "shrinking examined several at once"


def test_an_instance_that_cannot_be_decided_is_shrunk():
    @together
    def vague(instances):
        return [
            Comparison.identity(0.0, 0.0, scale=1.0, ignorance=float(k >= 7)) for k in instances
        ]

    result = run_proposition(toy(vague, controls=()))
    assert (result.verdict, result.instance) == ("inconclusive", 7), result.message


def test_an_error_of_one_instance_is_that_of_this_instance():
    @together
    def broken(instances):
        if max(instances) >= 100:
            raise ValueError("too large")
        return [of_squares(k, 2) for k in instances]

    result = run_proposition(toy(broken, controls=()))
    assert (result.verdict, result.instance) == ("inconclusive", 100), result.message
    assert "too large" in result.message, "the exception is not told"


def test_another_verdict_together_than_alone_is_never_a_pass():
    @together
    def crowded(instances):
        off = float(len(instances) > 1)
        return [Comparison.identity(off, 0.0, scale=1.0, rounding=1e-9) for _ in instances]

    result = run_proposition(toy(crowded, controls=()))
    assert result.verdict == "inconclusive", "the instances disturb each other, and it passed"
    assert "not with others" in result.message, result.message


def test_a_wrong_version_without_a_value_at_some_instance_is_tried_on_the_others():
    @together
    def fails_at_small_ones(instances):
        if min(instances) < 100:
            raise ValueError("no value")
        return [of_squares(k, 3) for k in instances]

    controls = (Control("no value below 100", fails_at_small_ones),)
    result = run_proposition(toy(squares, controls=controls))
    assert result.controls[0].refuted, "one instance without a value hid the others"
    assert result.controls[0].instance >= 100, "it was refuted where it has no value"


@pytest.mark.parametrize("returned", [[], [1.0], Comparison.identity(0, 0, scale=1), None, "ab"])
def test_one_comparison_is_expected_for_each_instance(returned):
    @together
    def check(instances):
        return returned

    with pytest.raises(TypeError, match="expected a list of 2 Comparisons, one for each instance"):
        check.many([1, 2])
    with pytest.raises(TypeError, match="Comparisons, one for each instance, got"):
        run_proposition(toy(check, controls=()))


def test_like_instances_are_examined_together_and_come_back_in_order():
    @together(alike=lambda k: k % 3)
    def check(instances):
        ASKED.append(list(instances))
        return [Comparison.identity(k, 0.0, scale=1.0, rounding=1e9) for k in instances]

    found = check.many([5, 3, 4, 8, 6])
    assert [c.residual for c in found] == [5, 3, 4, 8, 6], "the order of the instances was lost"
    assert ASKED == [[5, 8], [3, 6], [4]], f"not one call for each key: {ASKED}"


def test_no_function_is_refused():
    with pytest.raises(ValueError, match="expected a function or alike, got none"):
        together()
    with pytest.raises(ValueError, match="function: expected a callable instances -> Comparisons"):
        together(3)
    with pytest.raises(ValueError, match="alike: expected a callable instance -> key"):
        together(alike=3)


def test_a_check_of_many_is_pickled_by_its_name_and_keeps_its_docstring():
    assert pickle.loads(pickle.dumps(squares)) is squares, "another object came back"
    assert "twice" in squares.__doc__, "the docstring was lost"


def test_entries_are_compared_along_the_first_axis():
    left, right = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.5], [3.25, 4.0]])
    error = [[0.1, 1.0], [0.1, 1.0]]
    for many, one in (
        (Comparison.identities, Comparison.identity),
        (Comparison.each_at_most, Comparison.at_most),
    ):
        found = many(left, right, scale=[[1.0], [2.0]], error=error)
        each = [one(left[i], right[i], scale=i + 1.0, error=error[i]) for i in range(2)]
        assert found == each, f"{many.__name__} differs from {one.__name__} of each"


COUNTED: list[int] = []


@once
def costly(k, weights=None):
    COUNTED.append(k)
    return np.full(3, float(k))


def compared(k, *, factor=1.0):
    return Comparison.identity(factor * k, costly(k), scale=1.0, rounding=1e-9)


def test_what_wrong_versions_share_is_computed_once_for_each_instance():
    COUNTED.clear()
    controls = wrong(compared, {"half": {"factor": 0.5}, "twice": {"factor": 2.0}})
    result = run_proposition(toy(compared, controls=controls, examples=10))
    assert result.verdict == "confirmed", result.message
    assert len(COUNTED) == result.instances, f"{len(COUNTED)} times for {result.instances}"


def test_nothing_is_kept_outside_of_a_run():
    COUNTED.clear()
    first, second = costly(1), costly(1)
    assert first is not second, "a result was kept where no runner forgets it"
    first[0] = 2.0
    run_proposition(toy(compared, controls=()))
    before = len(COUNTED)
    run_proposition(toy(compared, controls=()))
    assert len(COUNTED) == 2 * before - 2, "a run was given results of another one"


def test_results_that_are_kept_cannot_be_changed():
    def careless(k):
        costly(k)[0] = -1.0
        return of_squares(k, 2)

    result = run_proposition(toy(careless, controls=()))
    assert result.verdict == "inconclusive", "a wrong version could change what others are given"
    assert "read-only" in result.message, result.message


def test_arrays_are_compared_by_their_entries():
    from vaetheory.checking._once import kept_results

    COUNTED.clear()
    with kept_results():
        for weights in ([1.0, 2.0], [1.0, 2.0], [1.0, 3.0]):
            costly(4, np.array(weights))
        costly(4, weights=np.array([1.0, 2.0]))
    assert len(COUNTED) == 3, f"computed {len(COUNTED)} times for two arrays and a keyword"


def test_the_global_generators_are_the_same_for_every_instance_and_restored():
    drawn = []

    def check(k):
        drawn.append((random.random(), np.random.random()))  # noqa: NPY002
        return of_squares(k, 2)

    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.Random(5).random(), np.random.RandomState(5).random()
    run_proposition(toy(check, controls=()))
    assert len(set(drawn)) == 1, "an instance's check depends on those before it"
    assert (random.random(), np.random.random()) == expected, (  # noqa: NPY002
        "the generators of the caller were moved"
    )


def test_a_check_that_draws_by_itself_is_examined_by_hypothesis():
    def check(k):
        assume(k % 2 == 0)
        return of_squares(k, 2)

    result = run_proposition(toy(check, controls=wrong(alone, {"the cube": {"power": 3}})))
    assert result.verdict == "confirmed", result.message
    assert result.controls[0].instance % 2 == 0, "a control was tried where the check assumes not"
