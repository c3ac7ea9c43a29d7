"""Certificate files: what they say is what is proved, again and without FLINT."""

import copy
import re
from fractions import Fraction

import pytest
from certificate_cases import outcome
from hypothesis import given
from hypothesis import strategies as st

from vaetheory.certify import _certificate as files
from vaetheory.certify import _exact, _prover, _recheck, _runner
from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.enclosure import Enclosure, Range, power_below
from vaetheory.certify.propositions import PROPOSITIONS

DEMANDED = ["1a", "2c", "3a", "3c", "3d", "3f", "3g", "5a", "5c", "6a", "8a", "10b"]
DEMANDED += ["12a", "13d", "14d", "14f", "15a", "16d", "17d", "18c", "20b", "22a", "22d"]
DEMANDED += ["23b-true"]


def test_every_proposition_that_was_asked_for_is_there():
    assert set(DEMANDED) <= set(PROPOSITIONS), "a certified proposition is missing"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_honest_certificates_are_accepted(label, made, again):
    _recheck.compare(files.read(made[label]), again[label])


def test_the_outcome_says_what_was_proved(made, tmp_path):
    found = outcome(made["3g"], tmp_path)
    assert found.verdict == _recheck.ACCEPTED, found.message
    assert found.message == made["3g"]["sentence"], "another sentence was proved"


def test_a_fold_is_the_square_and_no_other_even_decoder():
    """The statement names z^2: 2 z^2 at the right datum has two maximisers, but is another."""
    proposition = PROPOSITIONS["3g"]
    inputs = copy.deepcopy(dict(proposition.instances[0]))
    inputs["model"]["decoder"]["coefficients"] = [["2"]]
    with pytest.raises(NotProved, match=r"z\^2"):
        _runner.prove(proposition, inputs)


def test_the_box_in_the_words_of_3f_is_the_box_that_is_proved(monkeypatch, made):
    """It said a quarter of sigma / |f'|, more than the rounded box that was proved."""
    from vaetheory.certify.propositions.stationary_evidence import gap_range

    seen = []
    right = gap_range.krawczyk
    monkeypatch.setattr(
        gap_range, "krawczyk", lambda F, t, box: (seen.append(box), right(F, t, box))[1]
    )
    proposition = PROPOSITIONS["3f"]
    proposition.prove(_prover.Prover(), proposition.instances[0], {"pieces": "64"})
    mean, spread = (_exact.text(r) for r in seen[0].radius)
    centre = _exact.text(seen[0].centre[1])
    sentence = made["3f"]["sentence"]
    assert f"|m - z0| < {mean} sigma" in sentence, sentence
    assert f"|v - {centre} sigma^2| < {spread} sigma^2" in sentence, sentence


@pytest.mark.parametrize("label", ["3f", "8a"])
def test_bounds_in_words_are_rounded_outwards(label, made):
    name = {"3f": "ratio", "8a": "remainder"}[label]
    bounds = files.read(made[label]).proved[name]
    shown = re.search(r"\[(-?[\d.]+), (-?[\d.]+)\]", made[label]["sentence"])
    assert Fraction(shown[1]) <= bounds.lower, f"{shown[1]} is above the lower bound"
    assert Fraction(shown[2]) >= bounds.upper, f"{shown[2]} is below the upper bound"
    low, high = Fraction(2, 3), Fraction(2000001, 3000000)
    low_shown, high_shown = str(Range(low, high - low))[1:-1].split(", ")
    assert Fraction(low_shown) <= low - (high - low), "a lower end was rounded up"
    assert Fraction(high_shown) >= high, "an upper end was rounded down"


@given(
    value=st.fractions(-(10**9), 10**9, max_denominator=10**9),
    radius=st.integers(1, 10**12).map(lambda n: Fraction(1, n)),
    sides=st.tuples(*[st.fractions(0, 1, max_denominator=1000)] * 4),
)
def test_narrow_enclosures_of_one_number_lead_to_one_ball(value, radius, sides):
    """Whatever the arithmetic; or one of them says that it cannot tell."""
    low, high, other_low, other_high = (
        value + s * w * radius / 64 for s, w in zip((-1, 1) * 2, sides, strict=True)
    )
    found = []
    for a, b in ((low, high), (other_low, other_high)):
        try:
            found.append(Enclosure((a + b) / 2, (b - a) / 2).canonical(radius))
        except NotProved:
            return
    assert found[0] == found[1], "two balls for one number"
    assert found[0].contains(value), "the number is outside"
    assert found[0].rad <= 8 * radius, "wider than was asked for"
    assert Enclosure.from_json("a", found[0].as_json()) == found[0], "not read back"


def test_a_number_between_two_midpoints_has_no_canonical_ball():
    rad = Enclosure(Fraction(0), Fraction(0)).canonical(Fraction(1, 1000)).rad
    grid = power_below(rad)
    with pytest.raises(NotProved, match="to which midpoint"):
        Enclosure(grid / 2, grid / 100).canonical(Fraction(1, 1000))


@given(low=st.fractions(-100, 100), width=st.fractions(Fraction(1, 1000), 100))
def test_published_ranges_hold_a_little_more(low, width):
    narrow = Range(low + width / 2, width / 2)
    wide = narrow.published()
    assert wide.lower < narrow.lower <= narrow.upper < wide.upper, "no room for who proves it again"
    assert wide.rad <= Fraction(3, 2) * narrow.rad, "much wider"
    ends = (wide.lower / wide.step, wide.upper / wide.step)
    assert all(end.denominator == 1 for end in ends), "ends of more digits than are published"
    assert Range.from_json("a", wide.as_json()) == wide, "not read back"


def _faulty(monkeypatch, owner, name, wrong):
    """A certificate of 3a-evidence made while `owner.name` is wrong."""
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: wrong(right(*a, **k)))
    proposition = PROPOSITIONS["3a-evidence"]
    document = _runner.prove(proposition, proposition.instances[0]).as_json()
    monkeypatch.undo()
    return document


def test_a_fault_of_the_prover_is_noticed_by_the_checker(monkeypatch, tmp_path):
    from vaetheory.certify import _balls, _prover, _workshop

    def slightly(value):
        return value * (1 + 1 / _balls.arb(10) ** 25)

    faults = {
        "the exponential": (_balls.Balls, "exp", slightly),
        "the integrator": (_prover, "body_on_line", slightly),
        "the tails": (_workshop, "assemble", lambda pair: (pair[0], pair[1] * 0)),
    }
    for name, (owner, attribute, wrong) in faults.items():
        document = _faulty(monkeypatch, owner, attribute, wrong)
        found = outcome(document, tmp_path)
        assert found.verdict == _recheck.REJECTED, f"a fault of {name} was not noticed"
