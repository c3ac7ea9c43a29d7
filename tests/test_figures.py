"""The figures: all of them drawn, the same every time, with their numbers beside them."""

import csv
import hashlib
import json

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from vaetheory import CLAIMS, plotting
from vaetheory.cli import main
from vaetheory.figures.finish import covered, drawn_points, finish
from vaetheory.figures.plotted import completed
from vaetheory.figures.registry import FIGURES, MANIFEST, select

PROPOSITIONS = [p for c in CLAIMS for p in c.propositions]


def test_every_claim_has_a_figure():
    missing = [c.label for c in CLAIMS if c.label not in FIGURES]
    assert not missing, f"no figure for {missing}"


def test_every_figure_that_a_proposition_names_exists():
    named = {p.figure for p in PROPOSITIONS} - {None}
    assert named <= set(FIGURES), f"not drawn: {named - set(FIGURES)}"


def drawn_arrays(figure):
    """Coordinates of every line, marker, error bar and bar, by panel."""
    for number, axes in enumerate(figure.axes, 1):
        for line in axes.lines:
            x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
            # axhline and axvline have one coordinate in parts of the panel.
            if line.get_transform() != axes.get_yaxis_transform():
                yield f"panel {number}: x of {line.get_label()}", x[:1] if len(set(x)) == 1 else x
            if line.get_transform() != axes.get_xaxis_transform():
                yield f"panel {number}: y of {line.get_label()}", y[:1] if len(set(y)) == 1 else y
        for collection in axes.collections:
            if isinstance(collection, PathCollection):
                for k, name in enumerate("xy"):
                    yield f"panel {number}: {name} of points", collection.get_offsets()[:, k]
            elif isinstance(collection, LineCollection):
                ends = np.concatenate([np.zeros((0, 2)), *collection.get_segments()])
                for k, name in enumerate("xy"):
                    yield f"panel {number}: {name} of error bars", ends[:, k]
        if bars := list(axes.patches):
            yield f"panel {number}: bars", [bar.get_width() for bar in bars]


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_with_its_numbers(name, tmp_path, capsys, monkeypatch):
    figures = []
    save = plotting.save
    monkeypatch.setattr(plotting, "save", lambda f, path: figures.append(f) or save(f, path))
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
    columns = [[float(v) for v in column if v] for column in zip(*rows, strict=True)]
    assert sum(map(len, columns)) >= 10, "hardly a number plotted"
    assert all(np.isfinite(column).all() for column in columns), "plotted numbers are not finite"
    entry = json.loads((folder / MANIFEST).read_text())["figures"][name]
    for path, digest in entry["sha256"].items():
        found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert found == digest, f"the manifest has another hash for {path}"
    assert entry["seed"] == plotting.SEED, "the manifest has no seed"
    assert "matplotlib" in entry["environment"], "the manifest has no versions"

    (figure,) = figures
    for what, numbers in drawn_arrays(figure):
        told = any(np.array_equal(numbers, column[: len(numbers)]) for column in columns)
        assert told, f"the CSV has not what is drawn: {what}"
    for axes in figure.axes:
        assert axes.get_xlabel(), f"an axis without a name under {axes.get_title()!r}"
        assert axes.get_title(), "a panel without a title"
        if legend := axes.get_legend():
            hidden = covered(legend, drawn_points(axes))
            assert hidden < 5, f"the legend of {axes.get_title()!r} covers {hidden} points"
    small = {t.get_text() for t in figure.findobj(Text) if t.get_fontsize() < plotting.SMALLEST}
    assert not small - {""}, f"too small to read at half size: {small}"


def test_a_legend_over_the_data_finds_a_free_place():
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, 50), np.linspace(0, 1, 50), label="rising")
    # The diagonal and the noise leave no corner.
    axes.plot(np.linspace(0, 1, 50), np.linspace(1, 0, 50), label="falling, " * 3)
    axes.plot([0, 1], [0.9, 0.9], label="above")
    axes.legend(loc="upper left", fontsize=4)
    figure.draw_without_rendering()
    assert covered(axes.get_legend(), drawn_points(axes)), "nothing is covered"
    finish(figure)
    figure.draw_without_rendering()
    hidden = covered(axes.get_legend(), drawn_points(axes))
    assert hidden < 5, f"the legend still covers {hidden} points"


def test_whatever_is_drawn_is_in_the_columns():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [4, 5, 6], label="a, b")
    axes.axhline(7.5)
    axes.scatter([8, 9], [10, 11])
    axes.errorbar([12], [13], yerr=[0.5])
    axes.bar([20, 21], [22, 23])
    columns = completed(figure, {"own": [4.0, 5.0, 6.0]})
    numbers = {tuple(np.ravel(c).tolist()) for c in columns.values()}
    for wanted in ((1, 2, 3), (4, 5, 6), (7.5,), (8, 9), (10, 11), (12.5, 13.5), (22, 23)):
        assert wanted in numbers, f"{wanted} is drawn and not in {columns}"
    assert sum(tuple(np.ravel(c)) == (4, 5, 6) for c in columns.values()) == 1, "twice the same"


def test_columns_with_commas_in_their_names_are_read_back(tmp_path):
    plotting.save_csv(tmp_path / "a.csv", {'p(x, z) "joint"': [1.0, 2.0], "b": [3.0]})
    with (tmp_path / "a.csv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert rows == [['p(x, z) "joint"', "b"], ["1.0", "3.0"], ["2.0", ""]], rows


@pytest.mark.parametrize("formats", ["png,svg,pdf"])
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
        (["9z"], "got '9z'"),
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
