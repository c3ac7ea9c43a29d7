"""Certificates that say something else than what is proved are refused, even by little."""

import copy
from fractions import Fraction

import pytest
from certificate_cases import at, leaves, outcome, resealed, with_change

from vaetheory.certify import _certificate as files
from vaetheory.certify import _exact, _recheck
from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.enclosure import Enclosure, dyadic
from vaetheory.certify.propositions import PROPOSITIONS

# An input of these says how far the statement reaches: another one makes another true statement.
REACH = {("8a", "sigma_0"), ("3f", "sigma_0")}


def changed(value):
    """Something else of the same type, as small a change as there is."""
    if isinstance(value, int):
        return value + 1
    try:
        return _exact.text(_exact.number("value", value) + Fraction(1, 10**21))
    except ValueError:
        return value + "x"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_any_field_that_is_changed_is_noticed(label, made, tmp_path):
    document = made[label]
    for path in leaves(document):
        forged = with_change(document, path, changed(at(document, path)))
        assert outcome(forged, tmp_path).verdict == _recheck.REJECTED, f"{label}: {path}"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_missing_keys_and_wrong_types_are_noticed(label, made, tmp_path):
    document = made[label]
    for path in leaves(document):
        if path[0] in ("digest", "versions"):
            # Versions are no part of what is proved: only the digest guards them.
            continue
        gone = copy.deepcopy(document)
        del at(gone, path[:-1])[path[-1]]
        wrong = with_change(document, path, {"text": "none"})
        for forged in (resealed(gone), resealed(wrong)):
            assert outcome(forged, tmp_path).verdict == _recheck.REJECTED, f"{label}: {path}"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_words_cannot_be_changed(label, made, tmp_path):
    for key in ("label", "title", "statement", "sentence", "verdict", "format"):
        forged = resealed(with_change(made[label], (key,), made[label][key] + "."))
        assert outcome(forged, tmp_path).verdict == _recheck.REJECTED, f"{label}: {key}"
    other = next(x for x in PROPOSITIONS if x != label)
    forged = resealed(with_change(made[label], ("label",), other))
    assert outcome(forged, tmp_path).verdict == _recheck.REJECTED, f"{label} passed as {other}"


def numbers_among(value):
    for path in leaves(value):
        leaf = at(value, path)
        if isinstance(leaf, str):
            try:
                _exact.number("leaf", leaf)
            except ValueError:
                continue
            yield path


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_an_input_changed_by_1e_21_is_refuted_by_the_proof_itself(label, made, tmp_path):
    """The digest and the sentence are made to fit: only mathematics is left to notice."""
    document = made[label]
    paths = [p for p in numbers_among(document["inputs"]) if (label, p[0]) not in REACH]
    # Expensive ones try one input only.
    for path in paths[: {"1a": 1, "3f": 1, "8a": 1, "3c-converse": 2, "3g": 2}.get(label, 3)]:
        old = _exact.number("input", at(document["inputs"], path))
        new = _exact.text(old + Fraction(1, 10**21))
        forged = resealed(with_change(document, ("inputs", *path), new), sentence=True)
        found = outcome(forged, tmp_path)
        assert found.verdict == _recheck.REJECTED, f"{label}: {path} {found.message}"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_an_enclosure_moved_by_its_own_radius_is_refuted(label, made, again):
    document = made[label]
    for name, value in document["proved"].items():
        kind, content = next(iter(value.items()))
        if kind == "exact":
            moved = {kind: _exact.text(_exact.number(name, content) + Fraction(1, 10**21))}
        elif kind == "count":
            moved = {kind: content + 1}
        else:
            ball = Enclosure.from_json(name, content)
            moved = {kind: Enclosure(ball.mid - ball.rad, ball.rad).as_json()}
        forged = with_change(document, ("proved", name), moved)
        with pytest.raises(NotProved, match=name):
            _recheck.compare(files.read(resealed(forged, sentence=True)), again[label])


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_an_enclosure_of_twice_its_radius_is_refuted(label, made, again):
    document = made[label]
    for name, value in document["proved"].items():
        kind, content = next(iter(value.items()))
        if kind in ("ball", "range"):
            ball = Enclosure.from_json(name, content)
            wider = {kind: Enclosure(ball.mid, 2 * ball.rad).as_json()}
            forged = with_change(document, ("proved", name), wider)
            with pytest.raises(NotProved, match=name):
                _recheck.compare(files.read(resealed(forged, sentence=True)), again[label])


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_another_ball_is_refuted_however_close(label, made, again):
    """A forger makes digest and sentence fit: a ball within the inner half passed."""
    document = made[label]
    for name, value in document["proved"].items():
        kind, content = next(iter(value.items()))
        if kind not in ("ball", "range"):
            continue
        ball = Enclosure.from_json(name, content)
        step = max(ball.rad, Fraction(1, 2**2000))
        for mid, rad in (
            (ball.mid + step / 2, ball.rad),
            (ball.mid - step / 4, ball.rad),
            (ball.mid + step / 1000, ball.rad),
            (ball.mid - step / 2**40, ball.rad),
            (ball.mid, ball.rad + step / 1000),
            (ball.mid, ball.rad - step / 1000),
            (ball.mid, ball.rad / 2),
        ):
            moved = Enclosure(dyadic(mid, 3000), dyadic(abs(rad), 3000))
            forged = with_change(document, ("proved", name), {kind: moved.as_json()})
            with pytest.raises((NotProved, ValueError), match=name):
                _recheck.compare(files.read(resealed(forged, sentence=True)), again[label])


def test_a_dropped_tail_is_refuted(made, tmp_path):
    document = made["3a-evidence"]
    nothing = Enclosure(Fraction(0), Fraction(0)).as_json()
    forged = with_change(document, ("proved", "tail"), {"ball": nothing})
    assert outcome(resealed(forged), tmp_path).verdict == _recheck.REJECTED, "a tail was dropped"
    # A domain that leaves much outside: the tails are then too wide for the radius.
    short = with_change(document, ("witness", "domain", "reach"), "2")
    assert outcome(resealed(short), tmp_path).verdict == _recheck.REJECTED, "a domain was cut"


def test_swapped_boxes_are_refuted(made, tmp_path):
    document = copy.deepcopy(made["3g"])
    document["witness"]["points"].reverse()
    assert outcome(resealed(document), tmp_path).verdict == _recheck.REJECTED, (
        "the order was changed"
    )
    document = copy.deepcopy(made["3g"])
    for point in document["witness"]["points"]:
        point["tight"], point["wide"] = point["wide"], point["tight"]
    assert outcome(resealed(document), tmp_path).verdict == _recheck.REJECTED, "narrow and wide"
    document = copy.deepcopy(made["3g"])
    del document["witness"]["points"][0]
    assert outcome(resealed(document), tmp_path).verdict == _recheck.REJECTED, "one was left out"
    document = copy.deepcopy(made["3b"])
    document["witness"]["point"]["centre"].reverse()
    assert outcome(resealed(document), tmp_path).verdict == _recheck.REJECTED, "means for variances"
    document = copy.deepcopy(made["3b"])
    radius = document["witness"]["point"]["radius"]
    document["witness"]["point"]["radius"] = ["5"] * len(radius)
    assert outcome(resealed(document), tmp_path).verdict == _recheck.REJECTED, "a box too wide"
