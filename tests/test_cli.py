"""The command line as a user meets it."""

import json
import os
import subprocess
import sys

import pytest

import vaetheory
from vaetheory import LatentModel, likelihoods, log_evidence
from vaetheory._progress import listening
from vaetheory._quadrature import engine
from vaetheory.cli import main, verify


def run(*arguments):
    """Status and complaints of the program in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "vaetheory", *arguments], capture_output=True, text=True, check=False
    )
    return result.returncode, result.stderr


def test_list_names_every_claim(capsys):
    assert main(["list"]) == 0, "list failed"
    out = capsys.readouterr().out
    for label in ("optimal-decoder", "smooth-decoder", "stationary-evidence", "3g"):
        assert label in out, f"{label} is not listed"


def test_verify_one_proposition(capsys):
    assert main(["verify", "1b"]) == 0, "1b was not confirmed"
    captured = capsys.readouterr()
    heading, row, *rest = captured.out.splitlines()
    assert heading.startswith("verdict"), heading
    assert row.startswith("confirmed"), row
    assert len(rest) == 1, "more than a heading, one line a proposition and a summary"
    assert captured.err == "", "progress was printed where there is no terminal"


def test_verify_a_claim_by_name(capsys, tmp_path):
    target = tmp_path / "out.json"
    assert main(["verify", "2a", "1b", "--json", str(target), "--seed", "4"]) == 0, "not confirmed"
    document = json.loads(target.read_text())
    wanted = {"results", "claims", "environment", "profile", "seed", "digest"}
    assert set(document) == wanted, "unexpected keys"
    assert [r["label"] for r in document["results"]] == ["2a", "1b"], "not in the order asked for"
    assert document["seed"] == 4, "the seed was lost"
    wanted = {
        "label", "claim", "title", "kind", "verdict", "residual", "bound", "instances",
        "worst_instance", "controls", "seconds",
    }  # fmt: skip
    for result in document["results"]:
        assert wanted <= set(result), f"missing {wanted - set(result)}"
        assert all(c["refuted"] for c in result["controls"]), "a control survived"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"], "a temporary file was left"


def test_json_is_not_damaged_by_a_refused_request(capsys, tmp_path):
    target = tmp_path / "out.json"
    target.write_text("precious")
    assert main(["verify", "9z", "--json", str(target)]) == 2, "an unknown label was accepted"
    assert target.read_text() == "precious", "a refused request overwrote the file"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["verify", "9z"], "got '9z'"),
        (["verify", "1b", "--jobs", "0"], "--jobs"),
        (["verify", "1b", "--seed", "-1"], "seed"),
        (["verify", "1b", "--json", "/nonexistent-folder/out.json"], "folder"),
        (["report", "--results", "/nonexistent-folder/run.json"], "expected the JSON of a run"),
    ],
)
def test_bad_requests_are_one_line_and_status_two(arguments, expected, capsys):
    assert main(arguments) == 2, "not refused with status 2"
    captured = capsys.readouterr()
    assert captured.out == "", "something was printed before the refusal"
    assert len(captured.err.splitlines()) == 1, f"not one line: {captured.err}"
    assert expected in captured.err, captured.err


def test_a_scheduler_needs_dask(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["verify", "1b", "--scheduler", "tcp://localhost:1"]) == 2, "not refused"
    told = capsys.readouterr().err
    assert "pip install 'vaetheory[distributed]'" in told, told
    with pytest.raises(SystemExit):
        main(["verify", "1b", "--scheduler", "tcp://localhost:1", "--jobs", "2"])


@pytest.mark.parametrize(
    "command", ["verify", "report", "figures", "verify --certify"], ids=lambda c: c.replace(" ", "")
)
@pytest.mark.parametrize(
    ("asked", "near"), [("9z", "9a"), ("3f-isometrc", "3f-isometric"), ("BAGGINS", "baggins")]
)
def test_an_unknown_label_is_told_its_neighbours_in_one_wording(command, asked, near, capsys):
    assert main([*command.split(), asked]) == 2, "not refused with status 2"
    told = capsys.readouterr().err
    assert told.startswith("vaetheory: label: expected a claim"), f"another wording: {told}"
    assert "see `vaetheory list`" in told, f"it is not said where labels are listed: {told}"
    assert near in told, f"{near} is not suggested: {told}"
    assert told.endswith(f"; got {asked!r}\n"), f"what came is not named: {told}"
    assert len(told) < 200, f"all the labels at once: {told}"


@pytest.mark.parametrize("arguments", [["list", "--json"], ["list"], ["verify", "1b"]])
def test_a_reader_that_goes_away_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "vaetheory", *arguments],
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert result.stderr == "", f"it complains: {result.stderr}"
    # What the shell says of any program that writes into a closed pipe.
    assert result.returncode == 128 + 13, f"status {result.returncode}"


def test_unknown_options_are_status_two(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--profile", "slow"])
    assert ended.value.code == 2, "an unknown profile was accepted"
    told = capsys.readouterr().err
    assert "slow" in told, "the message does not say what came"
    assert len(told.splitlines()) == 1, f"not one line: {told}"


def test_two_processes_find_the_same(tmp_path, capsys):
    found = []
    for jobs in (1, 2):
        target = tmp_path / f"{jobs}.json"
        arguments = ["verify", "1b", "2a", "--jobs", str(jobs), "--json", str(target)]
        # The pool's processes import the program's main module again, so it must be the real one.
        status, told = run(*arguments) if jobs > 1 else (main(arguments), capsys.readouterr().err)
        assert status == 0, told
        results = json.loads(target.read_text())["results"]
        found.append([(r["label"], r["residual"], r["worst_instance"]) for r in results])
    assert found[0] == found[1], "the results depend on the number of jobs"


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    target = tmp_path / "run.json"
    assert main(["verify", "1b", "--json", str(target)]) == 0, "the first half failed"
    first = json.loads(target.read_text())["results"][0]
    asked = []
    original = vaetheory.verify
    monkeypatch.setattr(
        "vaetheory.claims.verify.verify",
        lambda x, *a, **k: asked.extend(x) or original(x, *a, **k),
    )
    assert main(["verify", "1b", "2a", "--json", str(target), "--resume"]) == 0, "not resumed"
    assert asked == ["2a"], f"what was known was run again: {asked}"
    results = json.loads(target.read_text())["results"]
    assert [r["label"] for r in results] == ["1b", "2a"], "a result was lost"
    known = results[0]
    assert known["worst_instance"] == first["worst_instance"], "the kept result was changed"
    assert known["controls"][0]["residual"] == first["controls"][0]["residual"], "changed"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("not json", "expected the JSON"),
        ('{"results": []}', "expected the JSON"),
        ("[]", "expected"),
    ],
)
def test_a_damaged_run_is_refused_and_kept(content, expected, tmp_path, capsys):
    target = tmp_path / "run.json"
    target.write_text(content)
    assert main(["verify", "1b", "--json", str(target), "--resume"]) == 2, "a damaged run passed"
    assert expected in capsys.readouterr().err, "the message does not say what was expected"
    assert target.read_text() == content, "the damaged file was overwritten"


def test_a_run_of_another_seed_is_not_resumed(tmp_path, capsys):
    target = tmp_path / "run.json"
    assert main(["verify", "1b", "--json", str(target)]) == 0, "the first run failed"
    arguments = ["verify", "1b", "--json", str(target), "--resume", "--seed", "1"]
    assert main(arguments) == 2, "two seeds were mixed"
    assert "seed 1" in capsys.readouterr().err, "the message does not name the seed"


def test_failure_is_status_one(monkeypatch, capsys):
    import dataclasses

    from vaetheory.checking.comparison import Comparison
    from vaetheory.claims import CLAIMS

    false = dataclasses.replace(
        CLAIMS[0].propositions[0],
        check=lambda instance: Comparison.identity(1.0, 0.0, scale=1.0, rounding=1e-9),
    )
    claims = (dataclasses.replace(CLAIMS[0], propositions=(false,)),)
    monkeypatch.setattr("vaetheory.claims.CLAIMS", claims)
    monkeypatch.setattr("vaetheory.claims.verify.CLAIMS", claims)
    assert main(["verify"]) == 1, "a refuted proposition passed"
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("refuted"), out
    assert "instance: PerturbedDecoder" in out, "the counterexample is not shown"


def test_long_evidences_show_their_progress_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    # One datum a chunk, as if there were many.
    monkeypatch.setattr(engine, "_CHUNK", 1)
    model = LatentModel(lambda z: z, likelihoods.Gaussian(scale=1.0), 1)
    with listening(verify._share("3/19: 3a")):
        log_evidence(model, [[0.0], [1.0], [2.0], [3.0]])
    shown = capsys.readouterr().err
    expected = "".join(f"\r\x1b[K3/19: 3a: {done}%" for done in (25, 50, 75))
    assert shown == expected, f"got {shown!r}"
