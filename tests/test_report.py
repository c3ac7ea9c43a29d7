"""The forms of a run: text, JSON, JUnit's XML and the page, without a browser."""

import base64
import dataclasses
import io
import json
import math
import re
from datetime import datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import CLAIMS
from vaetheory._documents import sealed
from vaetheory._files import write_json
from vaetheory._numbers_as_text import distinct_texts, margin
from vaetheory.checking.runner import CONTROL_SURVIVED, INCONCLUSIVE, REFUTED, ControlResult, Result
from vaetheory.cli import _colours, main
from vaetheory.figures.registry import FIGURES, caption
from vaetheory.report import as_json, read_results
from vaetheory.report._entries import entries
from vaetheory.report._graph import Node, dependency_graph, depths
from vaetheory.report._margins import Axis
from vaetheory.report._notation import unicode
from vaetheory.report.junit import as_junit, junit_text
from vaetheory.report.mathematics import mathml, untranslated
from vaetheory.report.page import Picture, page
from vaetheory.report.text import Table

PROPOSITIONS = {p.label: p for c in CLAIMS for p in c.propositions}
NOW = datetime(2020, 2, 29, 12, 0, 1)


def result(**changes):
    """A result by hand, as hostile as the test wants it."""
    plain = Result(
        label="1b", claim="optimal-decoder", title="A title", kind="identity",
        verdict="confirmed", residual=1e-16, bound=1e-14, terms={"rounding": 1e-14},
        instance="Scene(x=1)", instances=20,
        controls=(ControlResult("twice", True, 0.5, 1e-14, "Scene(x=2)"),),
        findings=(), message="", seconds=0.25,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


# -- text


@pytest.mark.parametrize("width", [48, 60, 80, 100, 140])
def test_table_fits_the_terminal_and_is_aligned(width):
    labels = list(PROPOSITIONS)
    table = Table(labels, width=width)
    results = [result(label=x, title=PROPOSITIONS[x].title) for x in labels]
    lines = [table.heading(), *map(table.row, results)]
    assert max(map(len, lines)) <= width, f"wider than {width}: {max(lines, key=len)}"
    start = lines[0].index("prop")
    for x, text in zip(labels, lines[1:], strict=True):
        assert text[start - 1] == " ", f"{x}: a column runs into the title: {text!r}"
        title = PROPOSITIONS[x].title
        assert title.startswith(text[start:].removesuffix("…").rstrip()), f"{x}: another title"


def test_nothing_is_cut_where_there_is_no_terminal():
    title = "A very long title " * 20
    assert title in Table(["1b"]).row(result(title=title)), "a title was cut in a pipe"


@pytest.mark.parametrize("verdict", ["confirmed", REFUTED, INCONCLUSIVE, CONTROL_SURVIVED])
def test_colour_is_never_the_only_sign(verdict):
    coloured = Table(["1b"], colour=True).row(result(verdict=verdict))
    plain = Table(["1b"]).row(result(verdict=verdict))
    assert "\x1b[" in coloured, "no colour where it was asked for"
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain, "colours change the text"
    assert plain.startswith(verdict), "the verdict is not said in words"


class Terminal(io.StringIO):
    """Text that says it goes to a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "wanted"),
    [
        (io.StringIO, {}, False),
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"NO_COLOR": ""}, True),
        (io.StringIO, {"FORCE_COLOR": "1"}, True),
        (Terminal, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_unless_the_environment_says_otherwise(
    stream, variables, wanted, monkeypatch
):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _colours.wanted(stream()) is wanted, f"{stream.__name__} under {variables}"


# -- JSON


def test_document_says_what_each_proposition_is():
    document = as_json([result(label="3f")], profile="quick", seed=0)
    (found,) = document["results"]
    p = PROPOSITIONS["3f"]
    assert found["statement"] == p.statement, "another statement"
    assert found["hypotheses"] == [list(h) for h in p.hypotheses], "other hypotheses"
    assert (found["uses"], found["figure"]) == (list(p.uses), p.figure), "other neighbours"
    assert found["resolution"] == p.resolution, "another resolution"


def test_a_document_without_statements_is_still_read(tmp_path):
    document = as_json([result()], profile="quick", seed=0)
    for key in ("statement", "hypotheses", "uses", "figure", "resolution"):
        del document["results"][0][key]
    del document["claims"]
    write_json(tmp_path / "old.json", sealed(document))
    known = read_results(tmp_path / "old.json", profile="quick", seed=0)
    assert known["1b"].residual == 1e-16, "an older run cannot be gone on with"
    assert "A title" in page(document), "an older run has no page"


def test_list_for_machines_is_the_registry(capsys):
    assert main(["list", "--json"]) == 0, "not listed"
    claims = json.loads(capsys.readouterr().out)
    labels = [p["label"] for c in claims for p in c["propositions"]]
    assert labels == list(PROPOSITIONS), "other propositions"
    assert claims[0]["propositions"][0]["controls"], "no wrong versions"


# -- JUnit


def check_junit(path, results):
    """What the schemas of Ant and of Jenkins ask of JUnit's XML."""
    suites = ElementTree.parse(path).getroot()
    assert suites.tag == "testsuites", suites.tag
    cases = []
    for suite in suites:
        assert suite.tag == "testsuite", suite.tag
        for name in (
            "name",
            "package",
            "id",
            "tests",
            "failures",
            "errors",
            "time",
            "timestamp",
            "hostname",
        ):
            assert suite.get(name) is not None, f"a suite without {name}"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp")), "timestamp"
        order = [child.tag for child in suite]
        inner = ["testcase"] * int(suite.get("tests"))
        assert order == ["properties", *inner, "system-out", "system-err"], order
        failures = suite.findall("testcase/failure")
        assert len(failures) == int(suite.get("failures")), "failures are counted wrongly"
        cases += suite.findall("testcase")
    for case in cases:
        assert case.get("name"), "a case without a name"
        assert case.get("classname"), "a case without a class"
        assert float(case.get("time")) >= 0, "a case without a time"
        order = [child.tag for child in case]
        assert order in ([], ["failure"]), order
    failed = [case for case in cases if case.find("failure") is not None]
    assert len(cases) == len(results), "a test case a proposition"
    assert len(failed) == sum(not r.confirmed for r in results), "a failure for each failure"
    for case in failed:
        assert case.find("failure").get("message"), "a failure without a message"
        assert case.find("failure").get("type"), "a failure without a type"
    return suites


def test_junit_has_a_case_a_proposition_and_says_why(tmp_path, capsys):
    path = tmp_path / "out.xml"
    assert main(["verify", "1b", "2a", "--junit", str(path)]) == 0, "not confirmed"
    suites = check_junit(path, [result(), result(label="2a")])
    assert [s.get("name") for s in suites] == ["optimal-decoder", "smooth-decoder"], "suites"


@settings(max_examples=40)
@given(st.text(), st.text(), st.sampled_from([REFUTED, INCONCLUSIVE, CONTROL_SURVIVED]))
def test_junit_holds_whatever_a_message_holds(message, instance, verdict):
    bad = result(verdict=verdict, message=message or "x", instance=instance, residual=float("nan"))
    suites = as_junit([bad, result()], profile="quick", seed=0, finished=NOW)
    again = ElementTree.fromstring(ElementTree.tostring(suites))
    failure = again.find("testsuite/testcase/failure")
    assert failure.get("type") == verdict, "the verdict is lost"


def test_junit_of_failures_keeps_to_the_schema(tmp_path):
    results = [result(verdict=REFUTED, message="a \x00 <b>"), result(label="2a", claim="c2")]
    suites = as_junit(results, profile="quick", seed=0, finished=NOW)
    (tmp_path / "out.xml").write_text(junit_text(suites), encoding="utf-8")
    check_junit(tmp_path / "out.xml", results)


# -- formulas


@pytest.mark.parametrize("label", PROPOSITIONS)
def test_every_formula_of_the_registry_is_translated(label):
    pytest.importorskip("latex2mathml", reason="formulas need the extra `report`")
    p = PROPOSITIONS[label]
    for tex in (p.statement, *(tex for _, tex in p.hypotheses)):
        assert mathml(tex).startswith("<math"), f"{label}: cannot be translated: {tex}"
        assert not untranslated(tex), f"{label}: not TeX: {untranslated(tex)}"


def test_formula_keeps_names_upright_and_alphabets_apart():
    pytest.importorskip("latex2mathml", reason="formulas need the extra `report`")
    found = mathml(r"\mathrm{ELBO} + \mathbb E_{q}[\mathcal N]")
    assert '<mi mathvariant="normal">ELBO</mi>' in found, found
    assert "𝔼" in found, found
    assert "𝒩" in found, found


@given(st.text(alphabet=st.sampled_from("<>&\"'\\{}$_^ab script/")))
def test_no_formula_becomes_markup(tex):
    found = mathml(tex)
    tree = ElementTree.fromstring(found)
    inside = {e.tag.split("}")[-1] for e in tree.iter()}
    assert not inside & {"script", "a", "b", "img"}, f"{tex!r} gives {found}"


def test_without_the_translator_the_tex_is_shown(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "latex2mathml.converter", None)
    assert mathml(r"a < \b") == r'<code class="tex">a &lt; \b</code>', mathml(r"a < \b")


# -- words and numbers


@given(st.floats(1e-300, 1e300), st.floats(0, 1e-12))
def test_a_margin_is_never_rounded_onto_one(bound, off):
    for value in (1 - off, 1 + off):
        shown = margin(value)
        assert (shown == "1") == (value == 1), f"{value!r} is shown as {shown}"
        assert (float(shown) < 1) == (value < 1), f"{shown} is on the other side of 1"
    residual = math.nextafter(bound, 0)
    assert len(set(distinct_texts(residual, bound))) == 2, f"{residual!r} looks like {bound!r}"


@pytest.mark.parametrize("label", PROPOSITIONS)
def test_notation_is_shown_as_readers_know_it(label):
    p = PROPOSITIONS[label]
    for text in (p.title, *(name for name, _ in p.hypotheses), *(c.name for c in p.controls)):
        shown = unicode(text)
        left = re.search(r"\^|<[-=]|[-=]>|>=|\bsigma\b|\bLambda\b|\bE\[", shown)
        assert not left, f"{text!r} is shown as {shown!r}"


def test_only_notation_is_changed():
    for text in ("A title", "the data's units", "half-network, 2 to 3", "log-normal", "Student-t"):
        assert unicode(text) == text, f"{text!r} became {unicode(text)!r}"


def test_page_tells_a_margin_next_to_one_from_one():
    close = result(residual=2.08084e-11, bound=2.080926e-11)
    html = page(as_json([close], profile="quick", seed=0))
    assert "0.99996" in html, "the margin is not shown"
    assert "residual 2.0808e-11, bound 2.0809e-11" in html, "the picture says that they are equal"


# -- pictures


def test_margins_put_refuted_residuals_to_the_right_of_their_bound():
    axis = Axis.around([1e-16, 1e-3, 0.0, float("inf")])
    assert axis.place(1e-16) < axis.place(1e-10) < axis.place(1e-3), "not in order"
    assert axis.place(0.0) < axis.place(1e-17), "zero is not at the left end"
    assert "within" in axis.row(1e-16, 1e-14), "a residual within its bound"
    assert "beyond" in axis.row(1e-3, 1e-14), "a residual beyond its bound"
    assert "zero" in axis.row(0.0, 1e-14), "no residual"
    nothing = axis.row(float("nan"), float("nan"))
    assert "circle" not in nothing, f"a dot for no number: {nothing}"


def test_graph_runs_from_what_is_used_to_what_uses_it():
    nodes = [Node(p.label, p.title, "", p.uses, "#") for p in PROPOSITIONS.values()]
    found = depths(nodes)
    for node in nodes:
        assert all(found[used] < found[node.label] for used in node.uses), node.label
    svg = dependency_graph(nodes, title="All")
    assert svg.count('class="edge"') == sum(len(n.uses) for n in nodes), "an arrow is missing"
    tree = ElementTree.fromstring(svg)
    assert len(tree.findall("a")) == len(nodes), "a node is missing"


def test_a_circle_of_uses_is_refused():
    nodes = [Node("a", "", "", ("b",), ""), Node("b", "", "", ("a",), "")]
    with pytest.raises(ValueError, match="expected no circle"):
        depths(nodes)


# -- the page


class Outline(HTMLParser):
    """Tags, ids, links and images of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.ids, self.links, self.sources, self.alternatives = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        """Collect one tag."""
        told = dict(attrs)
        self.tags.append(tag)
        self.ids += [told["id"]] if "id" in told else []
        self.links += [told["href"]] if "href" in told else []
        if tag == "img":
            self.sources.append(told["src"])
            self.alternatives.append(told.get("alt"))
        handlers = [name for name in told if name.startswith("on") or name == "style"]
        assert not handlers, f"<{tag}> has {handlers}, which the page's policy forbids"


def outline(html):
    """The outline of a page."""
    found = Outline()
    found.feed(html)
    return found


def test_page_is_self_contained_and_its_links_lead_somewhere():
    results = [result(), result(label="2c", claim="smooth-decoder")]
    picture = Picture(b"\x89PNG", "image/png", "What it shows")
    found = outline(page(as_json(results, profile="quick", seed=0), {"smooth-decoder": picture}))
    assert len(set(found.ids)) == len(found.ids), "an id stands for two things"
    for href in found.links:
        assert href.startswith("#"), f"a link leaves the page: {href}"
        assert href[1:] in found.ids, f"a link to nowhere: {href}"
    assert all(source.startswith("data:") for source in found.sources), "a picture elsewhere"
    assert all(found.alternatives), "a picture without words"


HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>&'


def test_nothing_that_a_run_holds_becomes_markup():
    text = HOSTILE
    bad = result(
        label=text, claim=text, title=text, kind=text, verdict=text, instance=text,
        controls=(ControlResult(text, True, 1.0, 0.1, text),), findings=(text,), message=text,
        terms={text: 1.0},
    )  # fmt: skip
    document = as_json([bad], profile="quick", seed=0)
    document["results"][0] |= {
        "statement": text, "hypotheses": [[text, text]], "uses": [text + text], "figure": text,
    }  # fmt: skip
    document["claims"] = [{"label": text, "title": text, "source": text}]
    document["environment"] = {text: text}
    clean = outline(page(as_json([result()], profile="quick", seed=0)))
    found = outline(page(document, {text: Picture(b"", text, text)}))
    assert found.tags.count("script") == clean.tags.count("script") == 1, "a script got in"
    assert found.tags.count("img") == 1, "an image got in"
    assert "x" not in found.sources, "an image got in"


def test_page_names_what_failed():
    bad = result(verdict=REFUTED, residual=1.0, message="residual 1 exceeds bound")
    html = page(as_json([bad, result(label="2a")], profile="quick", seed=0))
    assert "1 of 2 propositions is not confirmed" in html, "the failure is not counted"
    assert "residual 1 exceeds bound" in html, "the reason is missing"
    assert "Everything asked for is confirmed" not in html, "a failure passes"


def test_report_of_a_run_and_its_status(tmp_path, capsys):
    run, out = tmp_path / "run.json", tmp_path / "report.html"
    arguments = ["--out", str(out), "--no-figures"]
    assert main(["report", "1b", "--json", str(run), *arguments]) == 0, "not confirmed"
    assert "confirmed" in out.read_text(encoding="utf-8"), "no page"
    document = json.loads(run.read_text())
    document["results"][0]["verdict"] = REFUTED
    write_json(run, document)
    assert main(["report", "--results", str(run), *arguments]) == 2, "a changed result is believed"
    assert "its digest differs" in capsys.readouterr().err, "it is not said what is wrong"
    write_json(run, sealed(document))
    assert main(["report", "--results", str(run), *arguments]) == 1, "a failure passes"
    assert entries(document)[0].confirmed is False, "a refuted entry counts as good"


def test_figures_that_are_drawn_already_are_taken(tmp_path, capsys):
    run, out = tmp_path / "run.json", tmp_path / "report.html"
    write_json(run, as_json([result(label="2c")], profile="quick", seed=0))
    arguments = ["report", "--results", str(run), "--figures", str(tmp_path), "--out", str(out)]
    assert main(arguments) == 2, "figures that are not there are not missed"
    assert "expected a folder with overview.png" in capsys.readouterr().err, "the file is not named"
    for name in ("overview", "smooth-decoder"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    assert main(arguments) == 0, "not written"
    found = outline(out.read_text(encoding="utf-8"))
    wanted = [base64.b64encode(n.encode()).decode() for n in ("overview", "smooth-decoder")]
    assert [s.split("base64,")[1] for s in found.sources] == wanted, "other pictures"
    assert "#figure-p-smooth-decoder" in found.links, "no link from the proposition to its figure"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--results", "/nowhere/run.json"], "/nowhere/run.json"),
        (["--results", __file__], "expected the JSON"),
        (["--results", __file__, "1b"], "expected no labels"),
        (["--out", "/nowhere/report.html"], "expected a folder that exists"),
    ],
)
def test_bad_requests_are_one_line_and_status_two(arguments, expected, capsys, tmp_path):
    elsewhere = [] if "--out" in arguments else ["--out", str(tmp_path / "report.html")]
    assert main(["report", *arguments, *elsewhere]) == 2, "not refused with status 2"
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1, f"not one line: {captured.err}"
    assert expected in captured.err, captured.err
    assert not list(tmp_path.iterdir()), "something was written all the same"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_a_caption(name):
    text = caption(name)
    assert len(text) > 20, f"{name}: {text!r} says nothing"
    assert text.endswith("."), f"{name}: {text!r} is no sentence"
