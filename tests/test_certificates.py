"""Certificate files: proved again without FLINT, and refused whatever is changed in them."""

import copy
import dataclasses
import json
import re
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaetheory.certify import certificate as files
from vaetheory.certify import check, exact, proving, runner
from vaetheory.certify.arithmetic import NotProved, TooLong
from vaetheory.certify.checking import Checker
from vaetheory.certify.enclosure import Enclosure, Range, dyadic, power_below
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.cli import main

DEMANDED = ("1a", "2c", "3a", "3c", "3d", "3f", "3g", "5a", "5c", "6a", "8a", "10b")
# What takes long is made smaller here; the default set runs on the command line.
SMALLER = {"3f": {"f": [["0", "0"], ["1", "0"], ["0", "0.5"]], "z0": "1", "sigma_0": "0.02"}}
# An input of these says how far the statement reaches: another one makes another true statement.
REACH = {("8a", "sigma_0"), ("3f", "sigma_0")}


@pytest.fixture(scope="module")
def made():
    """One certificate a proposition, as documents."""
    out = {}
    for label, proposition in PROPOSITIONS.items():
        inputs = SMALLER.get(label, proposition.instances[0])
        if label == "3f":
            proposition = _with_pieces(proposition, "4")
        out[label] = runner.prove(proposition, inputs).as_json()
    return out


@pytest.fixture(scope="module")
def again(made):
    """What the checker's arithmetic proves of each, once."""
    return {
        label: PROPOSITIONS[label].prove(Checker(), document["inputs"], document["witness"])
        for label, document in made.items()
    }


def _with_pieces(proposition, pieces):
    return dataclasses.replace(proposition, prepare=lambda inputs: {"pieces": pieces})


def outcome(document, tmp_path):
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return check.check(path)


def resealed(document, *, sentence=False):
    """The document with a digest that fits, and a sentence too: what a clever forger would do."""
    document = copy.deepcopy(document)
    if sentence:
        proposition = PROPOSITIONS[document["label"]]
        proved = {k: files._read(k, v) for k, v in document["proved"].items()}
        document["sentence"] = proposition.sentence(document["inputs"], proved)
    document["digest"] = files.digest(document)
    return document


def test_every_proposition_that_was_asked_for_is_there():
    assert set(DEMANDED) <= set(PROPOSITIONS), "a certified proposition is missing"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_honest_certificates_are_accepted(label, made, again):
    check.compare(files.read(made[label]), again[label])


def test_the_outcome_says_what_was_proved(made, tmp_path):
    found = outcome(made["3g"], tmp_path)
    assert found.verdict == check.ACCEPTED, found.message
    assert found.message == made["3g"]["sentence"], "another sentence was proved"


def leaves(value, path=()):
    """Paths of all that is not a container."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from leaves(v, (*path, k))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from leaves(v, (*path, i))
    else:
        yield path


def at(document, path):
    for step in path:
        document = document[step]
    return document


def with_change(document, path, value):
    document = copy.deepcopy(document)
    at(document, path[:-1])[path[-1]] = value
    return document


def changed(value):
    """Something else of the same type, as small a change as there is."""
    if isinstance(value, int):
        return value + 1
    try:
        return exact.text(exact.number("value", value) + Fraction(1, 10**21))
    except ValueError:
        return value + "x"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_any_field_that_is_changed_is_noticed(label, made, tmp_path):
    document = made[label]
    for path in leaves(document):
        forged = with_change(document, path, changed(at(document, path)))
        assert outcome(forged, tmp_path).verdict == check.REJECTED, f"{label}: {path}"


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
            assert outcome(forged, tmp_path).verdict == check.REJECTED, f"{label}: {path}"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_words_cannot_be_changed(label, made, tmp_path):
    for key in ("label", "title", "statement", "sentence", "verdict", "format"):
        forged = resealed(with_change(made[label], (key,), made[label][key] + "."))
        assert outcome(forged, tmp_path).verdict == check.REJECTED, f"{label}: {key}"
    other = next(x for x in PROPOSITIONS if x != label)
    forged = resealed(with_change(made[label], ("label",), other))
    assert outcome(forged, tmp_path).verdict == check.REJECTED, f"{label} passed as {other}"


def numbers_among(value):
    for path in leaves(value):
        leaf = at(value, path)
        if isinstance(leaf, str):
            try:
                exact.number("leaf", leaf)
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
        old = exact.number("input", at(document["inputs"], path))
        new = exact.text(old + Fraction(1, 10**21))
        forged = resealed(with_change(document, ("inputs", *path), new), sentence=True)
        found = outcome(forged, tmp_path)
        assert found.verdict == check.REJECTED, f"{label}: {path} {found.message}"


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_an_enclosure_moved_by_its_own_radius_is_refuted(label, made, again):
    document = made[label]
    for name, value in document["proved"].items():
        kind, content = next(iter(value.items()))
        if kind == "exact":
            moved = {kind: exact.text(exact.number(name, content) + Fraction(1, 10**21))}
        elif kind == "count":
            moved = {kind: content + 1}
        else:
            ball = Enclosure.from_json(name, content)
            moved = {kind: Enclosure(ball.mid - ball.rad, ball.rad).as_json()}
        forged = with_change(document, ("proved", name), moved)
        with pytest.raises(NotProved, match=name):
            check.compare(files.read(resealed(forged, sentence=True)), again[label])


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
                check.compare(files.read(resealed(forged, sentence=True)), again[label])


def test_a_dropped_tail_is_refuted(made, tmp_path):
    document = made["3a-evidence"]
    nothing = Enclosure(Fraction(0), Fraction(0)).as_json()
    forged = with_change(document, ("proved", "tail"), {"ball": nothing})
    assert outcome(resealed(forged), tmp_path).verdict == check.REJECTED, "a tail was dropped"
    # A domain that leaves much outside: the tails are then too wide for the radius.
    short = with_change(document, ("witness", "domain", "reach"), "2")
    assert outcome(resealed(short), tmp_path).verdict == check.REJECTED, "a domain was cut"


def test_swapped_boxes_are_refuted(made, tmp_path):
    document = copy.deepcopy(made["3g"])
    document["witness"]["points"].reverse()
    assert outcome(resealed(document), tmp_path).verdict == check.REJECTED, "the order was changed"
    document = copy.deepcopy(made["3g"])
    for point in document["witness"]["points"]:
        point["tight"], point["wide"] = point["wide"], point["tight"]
    assert outcome(resealed(document), tmp_path).verdict == check.REJECTED, "narrow and wide"
    document = copy.deepcopy(made["3g"])
    del document["witness"]["points"][0]
    assert outcome(resealed(document), tmp_path).verdict == check.REJECTED, "one was left out"
    document = copy.deepcopy(made["3b"])
    document["witness"]["point"]["centre"].reverse()
    assert outcome(resealed(document), tmp_path).verdict == check.REJECTED, "means for variances"
    document = copy.deepcopy(made["3b"])
    radius = document["witness"]["point"]["radius"]
    document["witness"]["point"]["radius"] = ["5"] * len(radius)
    assert outcome(resealed(document), tmp_path).verdict == check.REJECTED, "a box too wide"


def test_numbers_are_written_in_one_way_only(made, tmp_path):
    for other in ("0.30", "3e-1", "+0.3", "3/10", " 0.3", "0.3 "):
        forged = copy.deepcopy(made["2c"])
        forged["inputs"]["s"] = other
        found = outcome(resealed(forged, sentence=False), tmp_path)
        assert found.verdict == check.REJECTED, f"{other!r} passed for 0.3"


def test_what_a_file_says_is_shown_on_one_plain_line(made, tmp_path, capsys):
    """A lone surrogate, which no terminal encodes, ended the command before the next file."""
    strange = "a\nb\ud800\x1b[2J"
    forgeries = [
        with_change(made["2c"], ("inputs", strange), 1.5),
        with_change(made["2c"], ("label",), strange),
        with_change(made["2c"], ("proved", strange), {"exact": "1"}),
        with_change(made["2c"], ("versions", strange), "1"),
    ]
    paths = []
    for number, forged in enumerate([*forgeries, made["2c"]]):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(resealed(forged)), encoding="utf-8")
    assert main(["check-certificate", *map(str, paths)]) == 1, "not status 1"
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 2 * len(paths) + 1, shown
    assert shown.isascii(), shown
    assert "1 accepted, 4 rejected, 0 unchecked" in shown, shown


def test_versions_are_versions(made, tmp_path):
    for value in ({}, made["2c"]["versions"] | {"python": "a\nb"}, {"python": "3.11.1"}):
        found = outcome(resealed(with_change(made["2c"], ("versions",), value)), tmp_path)
        assert found.verdict == check.REJECTED, f"{value} passed for versions"


def test_numbers_of_any_size_have_one_spelling(made, tmp_path):
    for other in ("1e9999", "1e-9999", "10e-4000"):
        forged = with_change(made["2c"], ("inputs", "z"), other)
        found = outcome(resealed(forged, sentence=True), tmp_path)
        assert found.verdict == check.REJECTED, f"{other} passed"
        assert "at most 3000 digits" in found.message, found.message


def test_a_fold_is_the_square_and_no_other_even_decoder():
    """The statement names z^2: 2 z^2 at the right datum has two maximisers, but is another."""
    proposition = PROPOSITIONS["3g"]
    inputs = copy.deepcopy(dict(proposition.instances[0]))
    inputs["model"]["decoder"]["coefficients"] = [["2"]]
    with pytest.raises(NotProved, match=r"z\^2"):
        runner.prove(proposition, inputs)


def test_the_box_in_the_words_of_3f_is_the_box_that_is_proved(monkeypatch, made):
    """It said a quarter of sigma / |f'|, more than the rounded box that was proved."""
    from vaetheory.certify.propositions import gap_range

    seen = []
    right = gap_range.krawczyk
    monkeypatch.setattr(
        gap_range, "krawczyk", lambda F, t, box: (seen.append(box), right(F, t, box))[1]
    )
    proposition = PROPOSITIONS["3f"]
    proposition.prove(proving.Prover(), proposition.instances[0], {"pieces": "64"})
    mean, spread = (exact.text(r) for r in seen[0].radius)
    centre = exact.text(seen[0].centre[1])
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


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": 1, "a": 2}', "NaN", "\xff" * 9])
def test_what_is_no_certificate_is_rejected(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode("latin-1"))
    assert check.check(path).verdict == check.REJECTED, "something else passed as a certificate"


def test_a_proof_that_takes_too_long_is_unchecked(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Checker, "most_cells", {1: 3, 2: 3})
    path = tmp_path / "long.json"
    path.write_text(json.dumps(made["3a-evidence"]), encoding="utf-8")
    found = check.check(path)
    assert found.verdict == check.UNCHECKED, "what was not proved again passed"
    assert "cells" in found.message, "it does not say why"
    assert main(["check-certificate", str(path)]) == 3, "an unchecked file is no success"
    assert "1 unchecked" in capsys.readouterr().out, "it is not listed"


def test_labels_choose_each_proposition_once():
    pairs = [("stationary-evidence", "3a"), ("stationary-evidence", "3g"), ("other", "9a")]
    assert runner.select(None) == list(PROPOSITIONS), "not everything by default"
    assert runner.select(["3c"]) == ["3c", "3c-converse"], "a label goes with its suffixes"
    assert runner.select(["3c-converse"]) == ["3c-converse"], "more than was asked for"
    assert runner.select(["stationary-evidence"], pairs) == ["3a-evidence", "3a", "3g"]
    with pytest.raises(ValueError, match="got 'other'"):
        runner.select(["other"], pairs)
    assert [a.number for a in runner.certify(["2c"])] == [0, 1], "not every instance once"


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


def test_a_number_between_two_midpoints_is_told_so():
    rad = Enclosure(Fraction(0), Fraction(0)).canonical(Fraction(1, 1000)).rad
    grid = power_below(rad)
    with pytest.raises(NotProved, match="both sides"):
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
                check.compare(files.read(resealed(forged, sentence=True)), again[label])


def spelled(value):
    """Other spellings of a leaf that a reader could take for the same."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        yield from (str(value), float(value), [value])
        if value in (0, 1):
            yield bool(value)
        return
    yield from (
        f" {value}",
        f"{value} ",
        value.swapcase() if value.swapcase() != value else f"{value}\n",
    )
    try:
        number = exact.number("value", value)
    except ValueError:
        return
    if number.denominator == 1:
        yield from (
            int(number),
            float(number),
            f"{value}.0",
            f"{value}/1",
            f"+{value}",
            f"0{value}",
        )
    yield from (f"{value}e0", f"{value}e+0", "".join(chr(ord(c) + 0xFEE0) for c in value))
    if number == 0:
        yield from ("-0", "0.0", "00", "0e5")


@pytest.mark.parametrize("label", list(PROPOSITIONS))
def test_inputs_witness_and_numbers_have_one_spelling(label, made, tmp_path, monkeypatch):
    # Whatever is not refused as it is read would be proved anew: nothing may come to that.
    monkeypatch.setattr(check, "compare", lambda *a: pytest.fail("it was read"))
    proposition = dataclasses.replace(PROPOSITIONS[label], prove=lambda *a: {})
    monkeypatch.setitem(PROPOSITIONS, label, proposition)
    document = made[label]
    for path in leaves(document):
        if path[0] not in ("inputs", "witness", "proved"):
            continue
        for other in spelled(at(document, path)):
            forged = with_change(document, path, other)
            found = outcome(resealed(forged), tmp_path)
            assert found.verdict == check.REJECTED, f"{path}: {other!r} passed"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"2c"', '"\\u0032c"'),
        ('"2c"', '"2c", "label": "2c"'),
        ("[", "[ "),
        ('"rad": [\n', '"rad": [\r\n\t'),
        ("-", "\u2212"),
        ("}\n", "} more"),
        ("}\n", "},"),
        ("{", "\ufeff{"),
        ("\n", "\xa0\n"),
    ],
    ids=repr,
)
def test_a_file_is_plain_json(old, new, tmp_path):
    proposition = PROPOSITIONS["2c"]
    files.write(tmp_path / "a.json", runner.prove(proposition, proposition.instances[0]))
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not there"
    (tmp_path / "a.json").write_text(text.replace(old, new, 1), encoding="utf-8", newline="")
    found = check.check(tmp_path / "a.json")
    # Blanks between the parts are free.
    wanted = check.ACCEPTED if not new.replace(old.strip(), "").strip(" \r\n\t") else check.REJECTED
    assert found.verdict == wanted, f"{new!r}: {found}"


def test_minus_nought_is_not_nought(tmp_path):
    proposition = PROPOSITIONS["3c"]
    document = runner.prove(proposition, proposition.instances[0]).as_json()
    text = json.dumps(document)
    assert '["0", 0]' in text or "0" in text, "no nought"
    zero = with_change(document, ("proved", "gap"), {"count": 0})
    text = json.dumps(resealed(zero)).replace('{"count": 0}', '{"count": -0}')
    (tmp_path / "a.json").write_text(text)
    found = check.check(tmp_path / "a.json")
    assert found.verdict == check.REJECTED, "-0 passed"
    assert "spelled otherwise" in found.message, found.message


def test_a_proof_that_fails_is_inconclusive(monkeypatch, tmp_path, capsys):
    def refuse(work, inputs, witness):
        raise TooLong("an integral was not enclosed")

    broken = dataclasses.replace(PROPOSITIONS["5a"], prove=refuse)
    monkeypatch.setitem(PROPOSITIONS, "5a", broken)
    assert main(["verify", "--certify", "5a", "--out", str(tmp_path)]) == 1, "it passed"
    out = capsys.readouterr().out
    assert out.startswith("inconclusive"), out
    assert not list(tmp_path.iterdir()), "a certificate was written"
    with pytest.raises(NotProved):
        runner.prove(broken, broken.instances[0])


def test_the_command_line_proves_and_checks(tmp_path, capsys):
    assert main(["verify", "--certify", "2c", "constant-variance", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.count("certified  ") == 7, out
    written = sorted(p.name for p in tmp_path.iterdir())
    assert written == [
        "2c-0.json",
        "2c-1.json",
        *(f"5a-{i}.json" for i in range(3)),
        "5c-0.json",
        "5c-1.json",
    ]
    document = json.loads((tmp_path / "2c-0.json").read_text())
    assert set(document["proved"]["bound"]) == {"exact"}, "an exact number is not exact"
    assert set(document["proved"]["slope_at_z"]["ball"]) == {"mid", "rad"}, "no dyadic ball"
    paths = [str(tmp_path / name) for name in written]
    assert main(["check-certificate", *paths]) == 0, "an honest one was not accepted"
    assert "7 accepted, 0 rejected, 0 unchecked" in capsys.readouterr().out
    (tmp_path / "5a-0.json").write_text("{}")
    assert main(["check-certificate", *paths]) == 1, "a damaged one passed"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["verify", "--certify", "9z"], "got '9z'"),
        (["verify", "--certify", "2c", "--json", "a.json"], "--json"),
        (["verify", "2c", "--out", "a"], "--out"),
        (["check-certificate", "/nonexistent.json"], "no file"),
    ],
)
def test_bad_requests_are_one_line_and_status_two(arguments, expected, capsys):
    assert main(arguments) == 2, "not refused with status 2"
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1, captured.err
    assert expected in captured.err, captured.err


BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Blocker())
from vaetheory.cli import main
status = main({arguments!r})
assert not any(name.split(".")[0] in {blocked!r} for name in sys.modules), "it was imported"
sys.exit(status)
"""


def blocked(names, *arguments):
    program = BLOCK.format(blocked=set(names), arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_the_checker_imports_no_flint(made, tmp_path):
    paths = []
    for label in ("3a-evidence", "3g", "8a", "3c", "6a"):
        path = tmp_path / f"{label}.json"
        path.write_text(json.dumps(made[label]), encoding="utf-8")
        paths.append(str(path))
    result = blocked(["flint"], "check-certificate", *paths)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 accepted" in result.stdout, result.stdout


def test_what_is_not_installed_is_said_in_one_line(made, tmp_path):
    result = blocked(["flint"], "verify", "--certify")
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "pip install 'vaetheory[certify]'" in result.stderr, result.stderr
    path = tmp_path / "a.json"
    path.write_text(json.dumps(made["2c"]), encoding="utf-8")
    result = blocked(["mpmath"], "check-certificate", str(path))
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert "mpmath" in result.stderr, result.stderr


def test_no_numerics_imports_certificates():
    program = (
        "import sys, vaetheory, vaetheory.figures.registry;"
        "bad = [n for n in sys.modules if n.startswith('vaetheory.certify') or n == 'flint'];"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def _faulty(monkeypatch, owner, name, wrong):
    """A certificate of 3a-evidence made while `owner.name` is wrong."""
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: wrong(right(*a, **k)))
    proposition = PROPOSITIONS["3a-evidence"]
    document = runner.prove(proposition, proposition.instances[0]).as_json()
    monkeypatch.undo()
    return document


def test_a_fault_of_the_prover_is_noticed_by_the_checker(monkeypatch, tmp_path):
    from vaetheory.certify import balls, proving, workshop

    def slightly(value):
        return value * (1 + 1 / balls.arb(10) ** 25)

    faults = {
        "the exponential": (balls.Balls, "exp", slightly),
        "the integrator": (proving, "body_on_line", slightly),
        "the tails": (workshop, "assemble", lambda pair: (pair[0], pair[1] * 0)),
    }
    for name, (owner, attribute, wrong) in faults.items():
        document = _faulty(monkeypatch, owner, attribute, wrong)
        found = outcome(document, tmp_path)
        assert found.verdict == check.REJECTED, f"a fault of {name} was not noticed"
