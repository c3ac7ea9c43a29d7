"""The figures: all of them drawn, the same every time, with their numbers beside them."""

import csv
import hashlib
import json
import re
from collections import defaultdict
from itertools import groupby

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from vaetheory import CLAIMS, _plotting
from vaetheory.cli import main
from vaetheory.figures._finish import covered, drawn_points, finish
from vaetheory.figures._panels import fitted, fitted_exponent
from vaetheory.figures._plotted import HEADER, table
from vaetheory.figures.registry import FIGURES, MANIFEST, select

PROPOSITIONS = [p for c in CLAIMS for p in c.propositions]


def test_every_claim_has_a_figure():
    missing = [c.label for c in CLAIMS if c.label not in FIGURES]
    assert not missing, f"no figure for {missing}"


def test_every_figure_that_a_proposition_names_exists():
    named = {p.figure for p in PROPOSITIONS} - {None}
    assert named <= set(FIGURES), f"not drawn: {named - set(FIGURES)}"


def read_table(path):
    """What a CSV tells of each artist, by panel: runs of rows of one series and part."""
    with path.open(encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    assert header == list(HEADER), f"columns {header}"
    found = defaultdict(list)
    for (panel, series, part), run in groupby(rows, key=lambda row: tuple(row[:3])):
        cells = np.array([[float(v) if v else np.nan for v in row[3:]] for row in run])
        names = ("x", "y", "x error", "y error", "fitted", "law")
        found[int(panel)].append({"name": (series, part), **dict(zip(names, cells.T, strict=True))})
    return found


def same(one, other):
    """Whether two columns hold the same numbers; None stands for one that is left blank."""
    if one is None:
        return bool(np.isnan(other).all())
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-12, atol=0)


def drawn_lines(axes):
    """x and y of every line and set of markers, those of error bars among them."""
    for line in axes.lines:
        x, y = np.asarray(line.get_xdata(orig=False)), np.asarray(line.get_ydata(orig=False))
        if not x.size:
            continue
        # axhline and axvline have one coordinate in parts of the panel.
        if line.get_transform() == axes.get_yaxis_transform():
            yield None, y[:1]
        elif line.get_transform() == axes.get_xaxis_transform():
            yield x[:1], None
        else:
            yield x, y


def drawn_bars(axes):
    """Middles and half-lengths of every set of error bars, and along which axis they lie."""
    for collection in axes.collections:
        ends = np.array(collection.get_segments())
        along = int(np.ptp(ends[:, :, 1], axis=1).any())
        yield ends.mean(axis=1), np.diff(ends[:, :, along], axis=1)[:, 0] / 2, "xy"[along]


# The figures that show the digits or the ladders of BAGGINS, and the overview of both.
SHARED = {"overview", "stationary-evidence", "baggins", "digits"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.shared] if n in SHARED else []) for n in FIGURES],
)
def test_figure_is_drawn_with_its_numbers(name, tmp_path, capsys, monkeypatch):
    figures = []
    save = _plotting.save
    monkeypatch.setattr(_plotting, "save", lambda f, path: figures.append(f) or save(f, path))
    assert main(["figures", name, "--out", str(tmp_path / "new")]) == 0, "not drawn"
    out = capsys.readouterr().out
    folder = tmp_path / "new"
    wanted = {f"{name}.png", f"{name}.csv", MANIFEST}
    assert {p.name for p in folder.iterdir()} == wanted, "other files than promised"
    assert all(n in out for n in wanted - {MANIFEST}), f"not said what was written: {out}"
    assert (folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG", "not a PNG"
    entry = json.loads((folder / MANIFEST).read_text())["figures"][name]
    for path, digest in entry["sha256"].items():
        found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert found == digest, f"the manifest has another hash for {path}"
    assert entry["seed"] == _plotting.SEED, "the manifest has no seed"
    assert "matplotlib" in entry["environment"], "the manifest has no versions"

    (figure,) = figures
    check_table(figure, read_table(folder / f"{name}.csv"))
    scales = [(p["x"]["scale"], p["y"]["scale"]) for p in entry["panels"]]
    shown = [(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes]
    assert scales == shown, "the manifest has other axes than the figure"
    check_looks(figure)
    if name == "overview":
        check_claims(figure)
    # Only what the claim calls a rate has an exponent to be fitted.
    if any(p.kind == "rate" and p.figure == name for p in PROPOSITIONS):
        texts = [t.get_text() for t in figure.findobj(Text)]
        assert any("fitted exponent" in text for text in texts), "a rate without its exponent"


def check_table(figure, table):
    """Everything that is drawn is in the table, and nothing else; exponents as written."""
    for number, axes in enumerate(figure.axes, 1):
        told = table[number]
        names = [t["name"] for t in told]
        assert len(set(names)) == len(names), f"two artists of one name: {names}"
        values = np.concatenate([c[~np.isnan(c)] for t in told for c in (t["x"], t["y"])])
        assert np.isfinite(values).all(), f"panel {number}: plotted numbers are not finite"
        artists = 0
        for x, y in drawn_lines(axes):
            artists += 1
            hit = [t for t in told if same(x, t["x"]) and same(y, t["y"])]
            assert hit, f"panel {number}: the CSV has not the line {x}, {y}"
        for middles, halves, axis in drawn_bars(axes):
            hit = [
                t for t in told
                if same(halves, t[f"{axis} error"])
                and np.allclose(np.stack([t["x"], t["y"]], axis=-1), middles, rtol=1e-6, atol=1e-9)
            ]  # fmt: skip
            assert hit, f"panel {number}: the CSV has not the error bars {halves}"
        if axes.patches:
            artists += 1
            widths = [bar.get_width() for bar in axes.patches]
            assert any(same(widths, t["x"]) for t in told), f"the CSV has not the bars {widths}"
        notes = {t.get_text().strip(): t.xy for t in axes.texts if isinstance(t, Annotation)}
        artists += len(notes)
        for text, place in notes.items():
            hit = [t for t in told if t["name"][0].split() == text.replace("$", "").split()]
            spots = [pair for t in hit for pair in zip(t["x"], t["y"], strict=True)]
            assert tuple(place) in spots, f"the CSV has not the text {text!r}"
        assert artists == len(told), f"panel {number}: {len(told)} in the CSV, {artists} drawn"
        for t in told:
            fitted, law = t["fitted"][0], t["law"][0]
            assert np.isnan(fitted) or abs(fitted - law) < 0.15, f"{t['name']}: {fitted}, not {law}"
        # Every exponent in a legend is one of these, rounded.
        exact = [f"{t['fitted'][0]:.2f}" for t in told]
        legend = axes.get_legend()
        for text in [t.get_text() for t in legend.findobj(Text)] if legend else []:
            for sign, digits in re.findall(r"(\N{MINUS SIGN}?)(\d+\.\d\d)\s\(", text):
                number_of = f"{'-' if sign else ''}{digits}"
                assert number_of in [e.replace("-0.00", "0.00") for e in exact], f"{text}: {exact}"


def check_looks(figure):
    """Axes have names, legends stand in their panel and off the data, no letter is too small."""
    for axes in figure.axes:
        assert axes.get_xlabel(), f"an axis without a name under {axes.get_title()!r}"
        title = axes.get_title()
        assert re.search(r"\b\d+[a-z]?\b|\d-digits", title), f"no claim named in {title!r}"
        if legend := axes.get_legend():
            hidden = covered(legend, drawn_points(axes))
            assert hidden < 5, f"the legend of {title!r} covers {hidden} points"
            frame, box = axes.get_window_extent(), legend.get_window_extent()
            over = max(frame.x0 - box.x0, box.x1 - frame.x1, frame.y0 - box.y0, box.y1 - frame.y1)
            assert over < 4, f"the legend of {title!r} is {over} pixels outside its panel"
    small = {t.get_text() for t in figure.findobj(Text) if t.get_fontsize() < _plotting.SMALLEST}
    assert not small - {""}, f"too small to read at half size: {small}"


def check_claims(figure):
    """Every claim of the theory has a panel of the overview, which names it."""
    titles = [axes.get_title() for axes in figure.axes]
    # The last is the instrument, which is no claim of the theory.
    assert CLAIMS[-1].label == "instrument", f"the last claim is {CLAIMS[-1].label}"
    for number, claim in enumerate(CLAIMS[:-1], 1):
        wanted = f"{number} {claim.label}\n{number}"
        assert any(t.startswith(wanted) for t in titles), f"no panel of {claim.label}: {titles}"


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


def test_whatever_is_drawn_is_in_the_table():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [4, 5, 6], label="a, b\nfitted exponent 1.00 (law 1)")
    axes.plot([1, 2], [3, 4], "o", label="_law: a, b")
    axes.axhline(7.5, label="_level: seven")
    axes.axvline(0.5, label="half")
    axes.scatter([8, 9], [10, 11], label="$x_{1}$")
    axes.errorbar([12], [13], yerr=[0.5], xerr=[0.25], fmt="o", label="measured")
    axes.annotate("2×", (3, 4))
    axes.plot([5, 6], [7, 8], "o-", label="joined")
    axes.bar([20, 21], [22, 23], yerr=[0.125, 0.25], label="bars")
    rows = [row[1:] for row in table(figure, [{"measured": (1.0625, 1.0)}])]
    numbers = {
        ("a, b", "line"): ["1.0 4.0", "2.0 5.0", "3.0 6.0"],
        ("a, b", "law"): ["1.0 3.0", "2.0 4.0"],
        ("seven", "level"): ["7.5"],
        ("half", "line"): ["0.5"],
        ("x_1", "points"): ["8.0 10.0", "9.0 11.0"],
        ("measured", "points"): ["12.0 13.0 0.25 0.5 1.0625 1.0"],
        ("2×", "text"): ["3.0 4.0"],
        ("joined", "points and line"): ["5.0 7.0", "6.0 8.0"],
        ("bars", "bars"): ["20.0 22.0 0.125", "21.0 23.0 0.25"],
    }
    for (series, part), wanted in numbers.items():
        found = [" ".join(filter(None, row[2:])) for row in rows if row[:2] == (series, part)]
        assert found == wanted, f"{series}, {part}: {found}"
    assert len(rows) == sum(map(len, numbers.values())), f"more than is drawn: {rows}"


@pytest.mark.parametrize(
    ("exponents", "label", "expected"),
    [
        ({}, None, "expected a name or '_part: series'"),
        ({"b": (1.0, 1.0)}, "a", "expected series of points"),
    ],
)
def test_what_has_no_name_and_what_belongs_nowhere_is_refused(exponents, label, expected):
    figure = Figure()
    figure.subplots().plot([1, 2], [3, 4], "o", label=label)
    with pytest.raises(ValueError, match=expected):
        list(table(figure, [exponents]))


def test_an_exponent_is_fitted_where_the_law_holds_and_the_points_are_resolved():
    x = 2.0 ** np.arange(8)
    y = x**-2 + x**-3
    errors = np.where(x == 128, y, 1e-6)
    steep = fitted_exponent(x, y, errors, limit=np.inf)
    wanted = np.polyfit(np.log(x[4:7]), np.log(y[4:7]), 1)[0]
    assert steep == pytest.approx(wanted, rel=1e-12), "not the last three resolved points"
    shallow = fitted_exponent(x, y, errors)
    wanted = np.polyfit(np.log(x[:3]), np.log(y[:3]), 1)[0]
    assert shallow == pytest.approx(wanted, rel=1e-12), "not the three of the smallest x"
    with pytest.raises(ValueError, match=r"expected 3 points .* got 0"):
        fitted_exponent(x, y, y)


@pytest.mark.parametrize(
    ("found", "law", "expected"),
    [
        (-1e-9, 0, "fitted exponent 0.00 (law 0)"),
        (-1.6667, -5 / 3, "fitted exponent \N{MINUS SIGN}1.67 (law \N{MINUS SIGN}1.67)"),
    ],
)
def test_exponents_are_written_in_one_form(found, law, expected):
    assert fitted(found, law) == expected, "another form"


def test_texts_with_commas_are_read_back(tmp_path):
    _plotting.save_csv(tmp_path / "a.csv", ['p(x, z) "joint"', "b"], [("1.0", "3.0"), ("2.0", "")])
    with (tmp_path / "a.csv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    assert rows == [['p(x, z) "joint"', "b"], ["1.0", "3.0"], ["2.0", ""]], rows


def test_bytes_depend_neither_on_the_run_nor_on_the_formats_saved_before(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, formats in zip(folders, ("png,svg,pdf", "pdf,svg,png"), strict=True):
        arguments = ["figures", "bilbo", "--out", str(folder), "--format", formats]
        assert main(arguments) == 0, "not drawn"
    names = {f"bilbo.{suffix}" for suffix in ("png", "svg", "pdf", "csv")} | {MANIFEST}
    assert {p.name for p in folders[0].iterdir()} == names, "other files than promised"
    for name in names - {MANIFEST}:
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other, f"{name} differs from run to run, or depends on those before it"
    entries = [json.loads((folder / MANIFEST).read_text())["figures"] for folder in folders]
    assert entries[0] == entries[1], "the manifest differs from run to run"
    panels = entries[1]["bilbo"]["panels"]
    named = [p[axis] for p in panels for axis in "xy" if "places" in p[axis]]
    assert not named, f"the powers of ten of an axis are taken for names: {named[:1]}"


def test_a_second_figure_keeps_the_first_in_the_manifest(tmp_path, monkeypatch):
    def draw(figure):
        figure.subplots().plot([1, 2], [3, 4], label="a line")
        return [{}]

    for name in ("smooth-decoder", "optimal-decoder"):
        monkeypatch.setitem(FIGURES, name, draw)
        assert main(["figures", name, "--out", str(tmp_path)]) == 0, "not drawn"
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
