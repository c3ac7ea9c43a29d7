"""The figures: all of them drawn, the same every time, with their numbers beside them."""

import csv
import hashlib
import json
import re
from collections import defaultdict
from itertools import combinations, groupby

import checkout
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Annotation, Text

from vaetheory import CLAIMS, _plotting
from vaetheory.cli import main
from vaetheory.figures import overview
from vaetheory.figures._finish import finish
from vaetheory.figures._panels import (
    ErrorBars,
    draw_panels,
    draw_series,
    fitted,
    fitted_exponent,
    head,
)
from vaetheory.figures._plotted import HEADER, drawn, table
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
        if isinstance(collection, ErrorBars):
            middles = collection.points.get_xydata()
            check_bars(collection, middles)
            yield middles, collection.errors, collection.along
            continue
        ends = np.array(collection.get_segments())
        along = int(np.ptp(ends[:, :, 1], axis=1).any())
        yield ends.mean(axis=1), np.diff(ends[:, :, along], axis=1)[:, 0] / 2, "xy"[along]


def check_bars(bars, middles):
    """Bars of computed errors reach as far as the errors, to the rounding of their ends."""
    ends = np.array(bars.get_segments())
    along = "xy".index(bars.along)
    reach = np.abs(ends[:, :, along] - middles[:, None, along])
    rounding = 4 * np.finfo(float).eps * np.abs(ends[:, :, along])
    off = np.abs(reach - bars.errors[:, None]) - rounding
    assert off.max() <= 0, f"bars of {bars.points.get_label()!r} are off by {off.max()}"


# The figures that show the digits or the ladders of BAGGINS.
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
    check_filled(figure)
    # Only what the claim calls a rate has an exponent to be fitted.
    if any(p.kind == "rate" and p.figure == name for p in PROPOSITIONS):
        texts = [t.get_text() for t in figure.findobj(Text)]
        found = [text for text in texts if re.search(r"exponent \S+\s\(law", text)]
        assert found, "a rate without its exponent"
        assert any("exponent: fitted" in text for text in texts), "not said what an exponent is"


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


# A sentence has one of these verbs.
VERBS = {
    "are", "beats", "becomes", "converges", "costs", "falls", "flatter", "gains", "get", "gets",
    "grows", "has", "is", "loses", "lose", "measures", "moves", "reach", "remove", "shrinks",
    "stays", "stops", "tells", "vanishes", "varies",
}  # fmt: skip


def check_looks(figure):
    """Sentences as titles, legends off the panels, letters that can be read and do not collide."""
    figure.draw_without_rendering()
    frames = [axes.get_window_extent() for axes in figure.axes]
    for axes in figure.axes:
        assert axes.get_xlabel(), f"an axis without a name under {axes.get_title()!r}"
        title = axes.get_title()
        words = re.findall(r"[\w']+", title)
        assert title[0].isupper(), f"no sentence: {title!r}"
        assert VERBS & set(words), f"no verb in {title!r}"
        remarks = [t.get_text() for t in axes.texts]
        assert any(re.match(r"\d+[a-z]?\b|\d-digits", r) for r in remarks), f"no claim: {remarks}"
        for line in axes.lines:
            if "BAGGINS" in str(line.get_label()):
                assert line.get_color() == _plotting.BOUNDED, f"another colour: {line.get_label()}"
    for legend in figure.findobj(Legend):
        box = legend.get_window_extent()
        hidden = [f for f in frames if box.overlaps(f)]
        assert not hidden, f"a legend in a panel: {[t.get_text() for t in legend.get_texts()]}"
    scale = 830 / (72 * figure.get_figwidth())
    texts = list(shown_texts(figure))
    for text, box in texts:
        assert scale * text.get_fontsize() > 10, f"{text.get_text()!r} is too small in a README"
        inside = figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        inside &= figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        assert inside, f"{text.get_text()!r} leaves the picture: {box}"
    for (one, first), (other, second) in combinations(texts, 2):
        assert not first.overlaps(second), f"{one.get_text()!r} and {other.get_text()!r} collide"


def shown_texts(figure):
    """Every text of a figure with its box in pixels, without ticks outside of their panel."""
    ticks = {}
    for axes in figure.axes:
        for number, axis in enumerate((axes.xaxis, axes.yaxis)):
            for label in axis.get_ticklabels(which="both"):
                ticks[label] = axes.get_window_extent(), number
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text().strip():
            continue
        box = text.get_window_extent()
        if text in ticks:
            frame, number = ticks[text]
            middle = (box.min[number] + box.max[number]) / 2
            if not frame.min[number] - 2 < middle < frame.max[number] + 2:
                continue
        yield text, box


def check_filled(figure):
    """Data fill at least half of the width and the height of each panel."""
    for axes in figure.axes:
        frame, places = axes.get_window_extent(), []
        for one in drawn(axes):
            if one.part in ("bound", "level", "text") or one.x is None or one.y is None:
                continue
            # Bars begin at the axis.
            x = np.append(one.x, axes.get_xlim()[0]) if one.part == "bars" else one.x
            y = np.append(one.y, one.y[-1]) if one.part == "bars" else one.y
            # Intervals on a linear axis are data; short bars of computed errors change nothing.
            wide = 0 if one.y_error is None or axes.get_yscale() == "log" else one.y_error
            for way in (-1, 1):
                places.append(axes.transData.transform(np.column_stack([x, y + way * wide])))
        found = np.concatenate(places)
        found = found[((found >= frame.min - 1) & (found <= frame.max + 1)).all(axis=1)]
        share = np.ptp(found, axis=0) / frame.size
        assert share.min() >= 0.5, f"data fill {share} of the panel {axes.get_title()!r}"


def test_the_overview_shows_four_results_of_four_claims(monkeypatch):
    shown = []
    monkeypatch.setattr(overview, "draw_panels", lambda figure, *panels: shown.extend(panels))
    overview.draw(Figure())
    modules = {panel.__module__ for panel in shown}
    assert len(shown) == len(modules) == 4, f"panels {shown}"
    drawn_by = {draw.__module__ for name, draw in FIGURES.items() if name != "overview"}
    assert modules <= drawn_by, f"not in a figure of their own: {modules - drawn_by}"


def long_legend(names=3):
    """A figure with a long legend over its data, a long title and a remark."""
    figure = Figure(figsize=_plotting.SIZE, layout="constrained")
    axes = figure.subplots()
    for k in range(names):
        axes.plot([0, 1], [k, 1 - k], label=f"line {k}, whose name is long {'and longer' * 6}")
    head(axes, "99a", "A title is long and " + "goes on " * 30)
    axes.legend(loc="center")
    return figure


def test_legends_move_off_the_data_and_titles_are_wrapped():
    figure = long_legend()
    finish(figure)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend, frame = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.y1 <= axes.xaxis.get_tightbbox().y0, "the legend covers the panel or its ticks"
    assert legend.x1 <= frame.x1, "the legend is wider than its panel"
    assert axes.title.get_window_extent().x1 <= frame.x1, "the title is wider than its panel"
    remark = axes.texts[0].get_window_extent()
    assert frame.y1 < remark.y0 < remark.y1 < axes.title.get_window_extent().y0, "no order of texts"


@pytest.mark.parametrize("height", [None, 7.0])
def test_the_height_of_a_figure_is_fitted_unless_its_author_chose_one(height):
    figure = long_legend()
    if height:
        figure.set_size_inches(6.0, height)
    finish(figure)
    found = figure.axes[0].get_window_extent().height / figure.dpi
    if height:
        assert figure.get_figheight() == height, "another height than its author's"
    else:
        assert found == pytest.approx(_plotting.PANEL, abs=0.02), "another height of the panel"


@pytest.mark.parametrize("places", ["none", "its own"])
def test_figures_without_a_grid_or_panels_have_no_strange_height(places):
    figure = Figure(figsize=_plotting.SIZE)
    if places == "its own":
        axes = figure.add_axes((0.1, 0.2, 0.8, 0.6))
        axes.plot([1, 2], [3, 4])
        axes.legend([], [])
    finish(figure)
    assert figure.get_figheight() == 2 * _plotting.PANEL, "as high as a page"


@pytest.mark.parametrize(
    ("scale", "errors", "expected"),
    [
        ("log", [1e-13, 0.0], "99a · errors ≤ 1e-12 of the value"),
        ("log", [1e-13, 0.5], "99a · bars: computed errors"),
        ("linear", [1e-13, 0.0], "99a · errors ≤ 1e-13"),
        ("linear", [1e-13, 0.5], "99a · bars: computed errors"),
        ("linear", None, "99a"),
    ],
)
def test_the_size_of_errors_is_said_or_seen(scale, errors, expected):
    def panel(axes):
        axes.set_yscale(scale)
        draw_series(axes, 0, "points", [1.0, 2.0], [0.1001, 3.0], errors=errors)
        head(axes, "99a", "A panel is drawn")
        return {}

    figure = Figure()
    draw_panels(figure, panel)
    found = figure.axes[0].texts[0].get_text().replace("\N{NO-BREAK SPACE}", " ")
    assert found == expected, "another remark"


def test_bars_do_not_stretch_the_axis_and_keep_the_digits_of_errors():
    figure = Figure()
    axes = figure.subplots()
    axes.set_yscale("log")
    draw_series(axes, 0, "points", [1.0, 2.0], [1.0, 2.0], errors=[1e-30, 1.999])
    low, high = axes.get_ylim()
    assert low > 0.5, f"the axis begins at {low}, below the points"
    assert high < 4, f"the axis ends at {high}, above the points"
    errors = [row[6] for row in table(figure, [{}])]
    assert errors == ["1e-30", "1.999"], f"errors in the table: {errors}"


def test_whatever_is_drawn_is_in_the_table():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3], [4, 5, 6], label="a, b:\nexponent 1.00 (law 1)")
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
        (-1e-9, 0, "exponent 0.00 (law 0)"),
        (-1.6667, -5 / 3, "exponent \N{MINUS SIGN}1.67 (law \N{MINUS SIGN}1.67)"),
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


def written(name):
    """x, y and errors of what the stored CSV of a figure tells, by panel and by series and part."""
    found = read_table(checkout.part("figures") / f"{name}.csv")
    return {n: {t["name"]: (t["x"], t["y"], t["x error"]) for t in found[n]} for n in found}


def test_the_titles_say_what_the_stored_numbers_say():
    for number, panel in written("instrument").items():
        for (series, part), (true, stated, _) in panel.items():
            assert part != "points" or (stated >= true).all(), f"{number}: {series} off by more"
    bilbo = written("bilbo")[1]
    for form in ("diagonal", "centred", "full"):
        below = bilbo[f"BILBO, {form}", "points"][1] < bilbo[form, "log evidence"][1]
        assert below.all(), f"BILBO, {form}: above the evidence at {np.flatnonzero(~below)}"
    fits, information, _, _, curvature, step = written("baggins").values()
    noisy = fits["log evidence, noisy data", "line"][1]
    assert (fits["BILBO + BAGGINS", "points"][1] < noisy).all(), "above the evidence"
    assert (fits["BAGGINS alone", "points"][1] > noisy).any(), "BAGGINS alone is below, too"
    for (series, part), (_, y, _) in information.items():
        if part == "points":
            h = float(series.split(",")[0].removeprefix("h = "))
            assert y.max() <= h * (1 + 1e-12), f"{series}: {y.max()} is more than h"
    for (series, part), (_, y, _) in curvature.items():
        most = curvature[series, "bound"][1].max() if (series, "bound") in curvature else np.inf
        assert part != "points" or y.max() <= most * (1 + 1e-12), f"{series}: above the bound"
    for h in ("0.5", "1", "2"):
        least = step[f"BAGGINS, h = {h}", "points"][1].min()
        assert least > 0.99 * step[f"h = {h}", "bound"][1].min(), f"h = {h}: the step vanishes"
    assert step["the best σ instead (9a)", "points"][1].min() < 1e-6, "the step stays"
    growth = written("instability")[3]
    most = growth["bound of BAGGINS (10b)", "line"][1].max()
    for k in (1, 2, 3):
        assert growth[f"ELBO, k = {k}", "points"][1].max() > most, f"k = {k}: the ELBO is bounded"
        assert growth[f"k = {k}", "BAGGINS - KL"][1].max() < most, f"k = {k}: not bounded"
    lead, _, scales = written("half-network").values()
    leads = {
        series: (x, error) for (series, part), (x, _, error) in lead.items() if part == "points"
    }
    for series in ("one learned σ", "half-network"):
        assert (np.add(*leads[series]) < 0).all(), f"{series}: ahead of the ordinary VAE"
    more = leads["half-network, varying variances"][0] - leads["half-network"][0]
    assert (more > 0).all(), f"varying variances lose: {more}"
    for (series, part), (_, y, _) in scales.items():
        if part != "level":
            still = series in ("half-network", "batch-optimal σ")
            assert (np.ptp(y) < 0.5) == still, f"{series}: differs by {np.ptp(y)} with the scale"
    worst = written("constant-variance")[1]
    for (series, part), (x, y, _) in worst.items():
        bound = np.exp(
            np.interp(np.log(x), *np.log(worst["Specht's bound ½ log S(h)", "line"][:2]))
        )
        assert part != "points" or (y <= bound * (1 + 1e-9)).all(), f"{series}: above the bound"


def test_stored_figures_are_those_of_the_manifest():
    folder = checkout.part("figures")
    entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["figures"]
    assert list(entries) == list(FIGURES), f"the manifest has {list(entries)}"
    named = {path: digest for entry in entries.values() for path, digest in entry["sha256"].items()}
    stored = {path.name for path in folder.iterdir()} - {MANIFEST}
    assert stored == set(named), f"files and manifest differ in {stored ^ set(named)}"
    for path, digest in named.items():
        found = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert found == digest, f"{path} is not the file of the manifest"
