"""The examples of README.md and of docs/*.md run and print what they say; the pages are whole."""

import ast
import dataclasses
import re
import sys
import types
from pathlib import Path

import checkout
import pytest
from frameworks import FRAMEWORKS, LIBRARIES, framework

import vaetheory
from vaetheory import CLAIMS
from vaetheory.report import read_document
from vaetheory.report._entries import entries
from vaetheory.report.mathematics import lines, parsed, untranslated

DOCS = checkout.part("docs")
generate = checkout.module("docs", "generate")
DOCUMENTS = [checkout.ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
# An example, and what it prints where the page says so.
BLOCK = re.compile(
    r"^```python\n(.*?)^```(?:\s*?\n+^```text\n(.*?)^```)?", re.DOTALL | re.MULTILINE
)
EXAMPLES = {
    path: found for path in DOCUMENTS if (found := BLOCK.findall(path.read_text(encoding="utf-8")))
}
WRITTEN = [*DOCUMENTS, *sorted((DOCS / "derivations").glob("*.md"))]


def name(value):
    """A path as the name of a test."""
    return str(value.relative_to(checkout.ROOT)) if isinstance(value, Path) else None


def test_there_are_examples():
    assert len(EXAMPLES[checkout.ROOT / "README.md"]) >= 1, "README.md has lost its examples"
    assert len(EXAMPLES[DOCS / "tutorial.md"]) >= 6, "the tutorial has lost its examples"


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_examples_run_in_order_and_print_what_is_said(path, capsys, monkeypatch):
    # Classes that an example makes are found in its module, as those of a script are.
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    space = vars(module)
    lost, absent = set(), None
    for number, (code, expected) in enumerate(EXAMPLES[path], 1):
        used, made = names_in(code)
        try:
            if used & lost:
                raise pytest.skip.Exception(absent.msg)
            for name in (*FRAMEWORKS, *LIBRARIES):
                if f"import {name}" in code:
                    framework(name)
        except pytest.skip.Exception as reason:
            # What needs this example is passed over with it; the others run.
            lost, absent = lost | made, reason
            continue
        lost -= made
        exec(compile(code, f"{path.name}, example {number}", "exec"), space)
        out = capsys.readouterr().out
        assert out.strip(), f"example {number} prints nothing"
        assert "nan" not in out, f"example {number} prints {out}"
        if expected:
            assert out.strip() == expected.strip(), f"example {number} prints\n{out}"
    if absent:
        raise pytest.skip.Exception(absent.msg)


def names_in(code):
    """The names that an example reads, and those that it makes."""
    nodes = list(ast.walk(ast.parse(code)))
    used = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    made = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    made |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for n in nodes:
        if isinstance(n, ast.Import | ast.ImportFrom):
            made |= {(a.asname or a.name).split(".")[0] for a in n.names}
    return used - made, made


def test_readme_has_five_examples_of_six_lines():
    text = (checkout.ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"^\*\*[^*]+\*\*.*?```python\n(.*?)```\s+```text\n(.+?)```", text, re.M | re.S
    )
    assert len(shown) == 5, f"{len(shown)} examples have a title and an output"
    for code, _ in shown:
        count = sum(bool(line.strip()) for line in code.splitlines())
        assert count <= 6, f"{count} lines:\n{code}"


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_links_within_the_documents_lead_somewhere(path):
    made = {DOCS / "claims" / f"{c.label}.md" for c in CLAIMS}
    made |= {DOCS / "claims" / f"{page}.md" for page in ("index", "pictures")}
    made |= {DOCS / "api" / f"{page}.md" for page in ("index", "tables")}
    made |= {DOCS / "gallery" / "index.rst"}
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|#", target):
            continue
        place = (path.parent / target.split("#")[0]).resolve()
        assert place.exists() or place in made, f"a link to nowhere: {target}"


def test_contributing_names_files_that_exist():
    checkout.part("vaetheory")
    text = (checkout.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:vaetheory|tests|docs)/[^`\s]*)`", text)
    fixed = [path for path in named if "<" not in path]
    assert len(fixed) >= 15, f"only {len(fixed)} paths are named"
    missing = [path for path in fixed if not (checkout.ROOT / path).exists()]
    assert not missing, f"CONTRIBUTING.md names {missing}, which do not exist"
    # A path with a placeholder names a file for each claim, family or flow.
    patterns = {path: re.sub(r"<[^>]+>", "*", path) for path in named if "<" in path}
    unknown = [path for path, pattern in patterns.items() if not list(checkout.ROOT.glob(pattern))]
    assert not unknown, f"CONTRIBUTING.md names {unknown}, and no file has such a path"


@pytest.mark.parametrize("path", WRITTEN, ids=name)
def test_formulas_can_be_shown(path):
    framework("latex2mathml")
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block, inline in re.findall(r"\$\$(.+?)\$\$|\$(?![\s\d])([^$]+?)\$", text, re.DOTALL):
        tex = block or inline
        assert parsed(tex) is not None, f"cannot be translated: {tex}"
        assert not untranslated(tex), f"{untranslated(tex)} is not known: {tex}"


def test_last_results_are_of_this_registry():
    document = read_document(DOCS / "results.json")
    known = {p.label: p for c in CLAIMS for p in c.propositions}
    missing = set(known) - {entry.label for entry in entries(document)}
    assert not missing, f"no results of {missing}: run `vaetheory verify --json docs/results.json`"
    for entry in entries(document):
        assert entry.label in known, f"{entry.label} is not in the registry any more"
        p = known[entry.label]
        assert entry.confirmed, f"the last results have {entry.label} {entry.verdict}"
        assert entry.statement == p.statement, f"the statement of {entry.label} was changed since"
        told = {control.name for control in entry.controls}
        assert told == {c.name for c in p.controls}, f"other controls of {entry.label} since"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.label)
def test_page_of_a_claim_says_all_of_it(claim):
    found = {e.label: e for e in entries(read_document(DOCS / "results.json"))}
    page = generate.claim_page(claim, found, "", DOCS)
    for p in claim.propositions:
        assert f"({generate.anchor(p.label)})=\n" in page, f"{p.label} has no place"
        for tex in lines(p.statement):
            assert f"\n{tex}\n" in page, f"{p.label} has not all of its statement"
        for _, tex in p.hypotheses:
            assert f"${tex}$" in page, f"{p.label} lacks a hypothesis"
        for control in p.controls:
            assert generate.plain(control.name) in page, f"{p.label} lacks {control.name}"
    top = page.split("\n## ")[0]
    assert f"**In short.** {generate.plain(claim.says)}" in top, "the page has no summary"
    headings = {h.lower().replace(" ", "-") for h in re.findall(r"^## ([\w ]+)$", page, re.M)}
    for target in re.findall(r"\]\(#([\w-]+)\)", top):
        known = target in headings or f"({target})=\n" in page
        assert known, f"the summary leads to #{target}, which is nowhere"
    count = len(claim.propositions)
    assert f"{count} of {count} propositions are confirmed" in page, (
        "not all are confirmed: `vaetheory verify --json docs/results.json` stores the results"
    )
    fails = page.split("## Where it fails\n")[1]
    for p in claim.propositions:
        said = f"(#{generate.anchor(p.label)})" in fails
        assert said or p.kind != "counterexample", f"that {p.label} is against it is not said"


def test_a_margin_next_to_one_is_not_said_to_be_one():
    claim = next(c for c in CLAIMS if c.label == "constant-variance")
    p = next(p for p in claim.propositions if p.label == "5f")
    found = {e.label: e for e in entries(read_document(DOCS / "results.json"))}
    close = dataclasses.replace(found["5f"], residual=2.08084e-11, bound=2.080926e-11)
    told = generate.sureness(p, close)
    for number in ("2.0808e-11", "2.0809e-11", "0.99996"):
        assert number in told, f"{number} is rounded too far: {told[:300]}"


def test_an_exact_comparison_is_said_to_be_exact():
    claim = next(c for c in CLAIMS if c.label == "half-network")
    p = next(p for p in claim.propositions if p.label == "11a")
    found = {e.label: e for e in entries(read_document(DOCS / "results.json"))}
    told = generate.sureness(p, found["11a"])
    assert "what is compared is exact" in told, f"why nothing is allowed is not said: {told[:200]}"
    assert "()" not in told, f"empty brackets: {told[:200]}"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.label)
def test_every_statement_says_how_two_things_compare(claim):
    relation = re.compile(
        r"[=<>]|\\(le|ge|to|sim|in|preceq|succeq|propto|approx|iff|Rightarrow)(?![a-zA-Z])"
    )
    for p in claim.propositions:
        assert relation.search(p.statement), f"{p.label} is no sentence: {p.statement}"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: c.label)
def test_every_proposition_has_a_derivation(claim):
    written = generate.derivations(DOCS, claim)
    missing = [p.label for p in claim.propositions if not written.get(p.label)]
    assert not missing, f"docs/derivations/{claim.label}.md has no section of {missing}"
    stray = set(written) - {p.label for p in claim.propositions}
    assert not stray, f"derivations of what is not in the registry: {stray}"


def test_numbers_stay_whole_and_code_stays_as_it_is():
    framework("sphinx")
    from unbroken import unbroken

    row, code = "| half | 42.49 ± 1.33 |", "tolerance = 1e-12  # ± 1"
    assert " ± " not in unbroken(row), "a number may be parted from its error"
    assert unbroken(code) == code, "code that a reader copies is changed"
    assert "5.3e-14" not in unbroken("allow 5.3e-14", code=False), "a number may be broken"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=name)
def test_a_page_of_more_than_three_screens_begins_with_a_summary(path):
    words = path.read_text(encoding="utf-8").split()
    if len(words) > 900:
        top = " ".join(words[:250])
        assert "**In short" in top or "Go to " in top, f"{len(words)} words without a summary"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=name)
def test_the_text_of_a_picture_is_one_line(path):
    text = path.read_text(encoding="utf-8")
    broken = re.findall(r"!\[([^\]]*\n[^\]]*)\]\(", text)
    assert not broken, f"MyST joins the lines without a space: {broken}"


def test_every_correction_stands_on_the_page_of_its_claim():
    told = {h for claim in CLAIMS for h in generate.corrections(DOCS, claim)}
    known = {claim.number for claim in CLAIMS}
    for heading in generate.sections(DOCS / "corrections.md"):
        labels = re.findall(r"\b(\d+)[a-z]", heading.split(":")[0])
        assert labels, f"the correction {heading!r} names no proposition"
        if known & {int(n) for n in labels}:
            assert heading in told, f"{heading!r} is on no page"


def test_a_missing_derivation_is_said_and_a_present_one_included(tmp_path):
    claim = CLAIMS[1]
    (tmp_path / "derivations").mkdir()
    text = "# Title\n\nLet $x$ be.\n\n## 2a\n\nBecause $x = x$.\n\n### A step\n\nMore.\n"
    (tmp_path / "derivations" / f"{claim.label}.md").write_text(text)
    page = generate.claim_page(claim, {}, "", tmp_path)
    assert "Let $x$ be." in page, "what stands before the derivations is lost"
    assert "Because $x = x$." in page, "the derivation is not included"
    assert "##### A step" in page, "its headings are not below the proposition's"
    assert "derivation of 2a is not written" not in page, "a derivation that is there is missed"
    assert "derivation of 2b is not written" in page, "a missing derivation is not said"
    assert "not run yet" in page, "results that are not there are not said to be missing"


def test_every_claim_stands_in_one_part_of_the_book_and_says_something():
    listed = generate.index_page({}, "", DOCS)
    for claim in CLAIMS:
        inside = [title for title, _, numbers in generate.PARTS if claim.number in numbers]
        assert len(inside) == 1, f"claim {claim.number} stands in {inside}"
        assert re.fullmatch(r"[A-Z][^$\\]+\.", claim.says), f"{claim.label} says {claim.says!r}"
        count, says = len(claim.propositions), generate.plain(claim.says)
        row = f"]({claim.label}.md), {count} propositions | {says}"
        assert row in listed, f"{claim.label} is not on the page of all claims"


def test_sources_name_every_claim():
    told = (DOCS / "sources.md").read_text(encoding="utf-8")
    for claim in CLAIMS:
        if claim.number:
            row = f"| [{claim.number}](claims/{claim.label}.md) |"
            assert told.count(row) == 1, f"claim {claim.number} has no row of its own"


def test_tables_of_the_pages_name_everything():
    page = generate.tables_page()
    for name in ("Gaussian", "VonMises", "TanhNetwork", "half", "control survived", "unresolved"):
        assert name in page, f"{name} is in no table"
    rows = [line for line in page.splitlines() if line.startswith("|")]
    cells = {len(re.split(r"(?<!\\)\|", row)) for row in rows}
    assert cells <= {4, 7, 8}, f"rows of {cells} cells: a sign is not escaped"


def test_page_of_questions_names_functions_that_exist():
    text = (DOCS / "functions.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    named = {n for line in lines for n in re.findall(r"`([A-Za-z_][\w.]*)[`(]", line)}
    named -= {"unresolved"}
    assert len(named) >= 50, f"only {len(named)} functions are named"
    for full in sorted(named):
        name = full.removeprefix("vaetheory.")
        # In a row the module is said once.
        places = ["", "bounds.", "testing.", "flows."]
        assert any(resolved(place + name) for place in places), f"there is no {full}"


def resolved(name):
    """Whether the package has a name, given with the modules in which it stands."""
    value = vaetheory
    for part in name.split("."):
        value = getattr(value, part, None)
    return value is not None
