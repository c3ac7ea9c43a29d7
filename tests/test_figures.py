"""The figures: all of them drawn, the same every time, with their numbers beside them."""

import csv
import hashlib
import json

import numpy as np
import pytest

from vaetheory import CLAIMS
from vaetheory.cli import main
from vaetheory.figures.registry import FIGURES, MANIFEST, select

PROPOSITIONS = [p for c in CLAIMS for p in c.propositions]


def test_every_claim_has_a_figure():
    missing = [c.label for c in CLAIMS if c.label not in FIGURES]
    assert not missing, f"no figure for {missing}"


def test_every_figure_that_a_proposition_names_exists():
    named = {p.figure for p in PROPOSITIONS} - {None}
    assert named <= set(FIGURES), f"not drawn: {named - set(FIGURES)}"


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_with_its_numbers(name, tmp_path, capsys):
    assert main(["figures", name, "--out", str(tmp_path / "new")]) == 0, "not drawn"
    out = capsys.readouterr().out
    folder = tmp_path / "new"
    wanted = {f"{name}.png", f"{name}.csv", MANIFEST}
    assert {p.name for p in folder.iterdir()} == wanted, "other files than promised"
    assert all(n in out for n in wanted - {MANIFEST}), f"not said what was written: {out}"
    assert (folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG", "not a PNG"
    with (folder / f"{name}.csv").open(encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    assert len(set(header)) == len(header) >= 3, f"columns {header}"
    numbers = np.array([float(v) for row in rows for v in row if v])
    assert len(numbers) >= 10, "hardly a number plotted"
    assert np.isfinite(numbers).all(), "plotted numbers are not finite"
    entry = json.loads((folder / MANIFEST).read_text())["figures"][name]
    for path, digest in entry["sha256"].items():
        found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert found == digest, f"the manifest has another hash for {path}"


@pytest.mark.parametrize("formats", ["png", "svg,pdf"])
def test_two_runs_give_the_same_bytes(formats, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        assert main(["figures", "smooth-decoder", "--out", str(folder), "--format", formats]) == 0
    for path in folders[0].iterdir():
        same = path.read_bytes() == (folders[1] / path.name).read_bytes()
        assert same, f"{path.name} differs from run to run"


def test_a_second_figure_keeps_the_first_in_the_manifest(tmp_path):
    for name in ("smooth-decoder", "optimal-decoder"):
        main(["figures", name, "--out", str(tmp_path)])
    entries = json.loads((tmp_path / MANIFEST).read_text())["figures"]
    assert list(entries) == ["optimal-decoder", "smooth-decoder"], f"manifest of {list(entries)}"


def test_labels_of_propositions_name_their_figure():
    assert select(["2c", "smooth-decoder"]) == ["smooth-decoder"], "2c is shown elsewhere"
    assert select([]) == list(FIGURES), "nothing asked for is everything"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["9z"], "got str '9z'"),
        (["3h"], "that a figure shows, got '3h'"),
        (["1b", "--format", "gif"], "got str 'gif'"),
        (["--out", __file__], "expected a folder"),
    ],
)
def test_bad_requests_are_one_line_and_status_two(arguments, expected, capsys):
    assert main(["figures", *arguments]) == 2, "not refused with status 2"
    captured = capsys.readouterr()
    assert captured.out == "", "something was drawn before the refusal"
    assert len(captured.err.splitlines()) == 1, f"not one line: {captured.err}"
    assert expected in captured.err, captured.err
