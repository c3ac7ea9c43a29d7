"""A certificate is written in one way only, and whatever else a file holds is refused."""

import copy
import dataclasses
import json

import pytest
from certificate_cases import at, leaves, outcome, resealed, with_change

from vaetheory.certify import _certificate as files
from vaetheory.certify import _exact, _recheck, _runner
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.cli import main


def test_numbers_are_written_in_one_way_only(made, tmp_path):
    for other in ("0.30", "3e-1", "+0.3", "3/10", " 0.3", "0.3 "):
        forged = copy.deepcopy(made["2c"])
        forged["inputs"]["s"] = other
        found = outcome(resealed(forged, sentence=False), tmp_path)
        assert found.verdict == _recheck.REJECTED, f"{other!r} passed for 0.3"


def test_numbers_of_any_size_have_one_spelling(made, tmp_path):
    for other in ("1e9999", "1e-9999", "10e-4000"):
        forged = with_change(made["2c"], ("inputs", "z"), other)
        found = outcome(resealed(forged, sentence=True), tmp_path)
        assert found.verdict == _recheck.REJECTED, f"{other} passed"
        assert "at most 3000 digits" in found.message, found.message


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
        number = _exact.number("value", value)
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
    monkeypatch.setattr(_recheck, "compare", lambda *a: pytest.fail("it was read"))
    proposition = dataclasses.replace(PROPOSITIONS[label], prove=lambda *a: {})
    monkeypatch.setitem(PROPOSITIONS, label, proposition)
    document = made[label]
    for path in leaves(document):
        if path[0] not in ("inputs", "witness", "proved"):
            continue
        for other in spelled(at(document, path)):
            forged = with_change(document, path, other)
            found = outcome(resealed(forged), tmp_path)
            assert found.verdict == _recheck.REJECTED, f"{path}: {other!r} passed"


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
    files.write(tmp_path / "a.json", _runner.prove(proposition, proposition.instances[0]))
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not there"
    (tmp_path / "a.json").write_text(text.replace(old, new, 1), encoding="utf-8", newline="")
    found = _recheck.check(tmp_path / "a.json")
    # Blanks between the parts are free.
    wanted = (
        _recheck.ACCEPTED
        if not new.replace(old.strip(), "").strip(" \r\n\t")
        else _recheck.REJECTED
    )
    assert found.verdict == wanted, f"{new!r}: {found}"


def test_minus_nought_is_not_nought(tmp_path):
    proposition = PROPOSITIONS["3c"]
    document = _runner.prove(proposition, proposition.instances[0]).as_json()
    text = json.dumps(document)
    assert '["0", 0]' in text or "0" in text, "no nought"
    zero = with_change(document, ("proved", "gap"), {"count": 0})
    text = json.dumps(resealed(zero)).replace('{"count": 0}', '{"count": -0}')
    (tmp_path / "a.json").write_text(text)
    found = _recheck.check(tmp_path / "a.json")
    assert found.verdict == _recheck.REJECTED, "-0 passed"
    assert "spelled otherwise" in found.message, found.message


def test_versions_are_versions(made, tmp_path):
    for value in ({}, made["2c"]["versions"] | {"python": "a\nb"}, {"python": "3.11.1"}):
        found = outcome(resealed(with_change(made["2c"], ("versions",), value)), tmp_path)
        assert found.verdict == _recheck.REJECTED, f"{value} passed for versions"


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": 1, "a": 2}', "NaN", "\xff" * 9])
def test_what_is_no_certificate_is_rejected(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode("latin-1"))
    assert _recheck.check(path).verdict == _recheck.REJECTED, (
        "something else passed as a certificate"
    )


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
