"""The commands that prove and check certificates, and what they need installed."""

import dataclasses
import json
import subprocess
import sys

import pytest

from vaetheory.certify import _recheck, _runner
from vaetheory.certify._checker import Checker
from vaetheory.certify.arithmetic import NotProved, TooLong
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.cli import main


def test_a_proof_that_takes_too_long_is_unchecked(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Checker, "most_cells", {1: 3, 2: 3})
    path = tmp_path / "long.json"
    path.write_text(json.dumps(made["3a-evidence"]), encoding="utf-8")
    found = _recheck.check(path)
    assert found.verdict == _recheck.UNCHECKED, "what was not proved again passed"
    assert "cells" in found.message, "it does not say why"
    assert main(["check-certificate", str(path)]) == 3, "an unchecked file is no success"
    assert "1 unchecked" in capsys.readouterr().out, "it is not listed"


def test_labels_choose_each_proposition_once():
    pairs = [("stationary-evidence", "3a"), ("stationary-evidence", "3g"), ("other", "9a")]
    assert _runner.select(None) == list(PROPOSITIONS), "not everything by default"
    assert _runner.select(["3c"]) == ["3c", "3c-converse"], "a label goes with its suffixes"
    assert _runner.select(["3c-converse"]) == ["3c-converse"], "more than was asked for"
    assert _runner.select(["stationary-evidence"], pairs) == ["3a-evidence", "3a", "3g"]
    with pytest.raises(ValueError, match="got 'other'"):
        _runner.select(["other"], pairs)
    assert [a.number for a in _runner.certify(["2c"])] == [0, 1], "not every instance once"


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
        _runner.prove(broken, broken.instances[0])


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
        (["check-certificate", "/nonexistent.json"], "which is not a file"),
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
