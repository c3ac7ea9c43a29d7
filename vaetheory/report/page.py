"""The self-contained HTML page of a run, for readers who did not run it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaetheory._numbers_as_text import margin
from vaetheory.report import _detail
from vaetheory.report._entries import Entry, entries
from vaetheory.report._frame import frame, plain_table, tiles
from vaetheory.report._graph import Node, dependency_graph
from vaetheory.report._margins import Axis
from vaetheory.report._markup import Markup, anchor, element, joined
from vaetheory.report._notation import unicode


@dataclass(frozen=True)
class Picture:
    """A figure: its bytes, their type ("image/png"), and a sentence that describes it."""

    data: bytes
    kind: str
    caption: str


_READING = """\
The residual is the difference between the two sides of a proposition on the worst instance, or the
amount by which an inequality was violated. The bound is not chosen: it is computed from named error
terms of the computation. A residual above its bound refutes the proposition. The margin is the
residual divided by the bound, so a proposition is refuted if its margin is above 1. A margin just
below 1 is no reason for doubt: it occurs if a bracket is as tight as possible, or if an inequality
is nearly an equality. It is shown with enough digits to differ from 1. Each proposition has wrong
versions (a changed sign, a factor 2, a missing term); a run confirms a proposition only if it
refutes all of them. A proposition is confirmed in floating point on finitely many instances. That
is not a proof."""


def page(
    document: Mapping[str, Any],
    figures: Mapping[str, Picture] | None = None,
    *,
    title: str = "Report of a run",
) -> str:
    """The page of a run, from its JSON document.

    The page makes no network requests, and its content security policy forbids them. Scripts only
    sort, filter and switch the theme; the page is complete without them. All text from the document
    is escaped.

    Parameters
    ----------
    document : mapping
        The result of `as_json`.
    figures : mapping of str to Picture, optional
        Figures by the names that the propositions use.
    title : str

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> from vaetheory import verify
    >>> from vaetheory.report import as_json
    >>> html = page(as_json(list(verify("1b")), profile="quick", seed=0))
    >>> html.startswith("<!doctype html>"), "Everything asked for is confirmed" in html
    (True, True)
    """
    run = entries(document)
    parts = [
        ("results", "Results", _results(run)),
        ("rests", "Dependencies", _graph(run)),
        (
            "propositions",
            "The propositions one by one",
            _propositions(run, document, figures or {}),
        ),
    ]
    if figures:
        parts.append(("figures", "Figures", _figures(figures)))
    parts.append(("environment", "Environment", _environment(document)))
    return frame(
        title,
        [_banner(run), _tiles(run, document)],
        parts,
        first="results",
        version=str(document["environment"].get("vaetheory", "")),
    )


def _banner(run: Sequence[Entry]) -> Markup:
    """The overall verdict in one sentence."""
    bad = [entry for entry in run if not entry.confirmed]
    if not run:
        return element("p", "? Nothing was run", class_="banner bad")
    if not bad:
        return element("p", "✓ Everything asked for is confirmed", class_="banner good")
    links: list[str | Markup] = []
    for entry in bad:
        links += [", " if links else "", element("a", entry.label, href=f"#{anchor(entry.label)}")]
    are = "is" if len(bad) == 1 else "are"
    text = f"✗ {len(bad)} of {len(run)} propositions {are} not confirmed: "
    return element("p", text, *links, class_="banner bad")


def _tiles(run: Sequence[Entry], document: Mapping[str, Any]) -> Markup:
    """The run in numbers."""
    controls = sum(len(entry.controls) for entry in run)
    refuted = sum(entry.refuted for entry in run)
    worst = max(run, key=lambda entry: entry.margin, default=None)
    numbers = {
        "propositions confirmed": f"{sum(e.confirmed for e in run)} of {len(run)}",
        "wrong versions refuted": f"{refuted} of {controls}",
        "instances drawn": f"{sum(e.instances for e in run):,}",
        "largest margin": f"{margin(worst.margin)} ({worst.label})" if worst else "none",
        "profile and seed": f"{document['profile']}, {document['seed']}",
    }
    return tiles(numbers.items())


def _results(run: Sequence[Entry]) -> Markup:
    """The table of results, and its filters, which need the script."""
    axis = Axis.around([v for entry in run for v in (entry.residual, entry.bound)])
    headings = (
        ("Label", "order", None),
        ("Proposition", "text", None),
        ("Verdict", "text", None),
        ("Residual (●) within its bound (bar)", "number", axis.scale()),
        ("Margin", "number", None),
        ("Wrong versions refuted", "number", None),
        ("Instances", "number", None),
        ("Seconds", "number", None),
    )
    # Explicit roles, because narrow screens show the rows as cards and lose the implicit roles.
    titles = [
        element(
            "th",
            element("span", name),
            extra or "",
            scope="col",
            role="columnheader",
            data_sort=kind,
        )
        for name, kind, extra in headings
    ]
    head = element("tr", *titles, role="row")
    table = element(
        "table",
        element(
            "caption",
            "Every proposition of the run. A logarithmic axis has no zero: an arrow at the left "
            "end stands for it.",
        ),
        element("thead", head, role="rowgroup"),
        element("tbody", *[_row(entry, axis, n) for n, entry in enumerate(run)], role="rowgroup"),
        id="table",
        role="table",
    )
    scroll = element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Results")
    reading = element("details", element("summary", "How to read this"), element("p", _READING))
    return joined(reading, _filters(run), scroll)


def _filters(run: Sequence[Entry]) -> Markup:
    """The form with search, verdict, claim and kind, which the script makes visible."""

    def choice(key: str, name: str, values: Sequence[str]) -> Markup:
        options = [element("option", "all", value="")]
        options += [element("option", v, value=v) for v in dict.fromkeys(values)]
        picker = element("select", *options, id=f"by-{key}", data_filter=key)
        return element("label", f"{name} ", picker)

    search = element("input", type="search", id="search", autocomplete="off")
    return element(
        "form",
        element("label", "Search ", search),
        choice("verdict", "Verdict", [e.verdict for e in run]),
        choice("claim", "Claim", [e.claim for e in run]),
        choice("kind", "Kind", [e.kind for e in run]),
        element("button", "Show all", type="reset"),
        element("output", "", id="shown", role="status"),
        id="filters",
        class_="filters",
        role="search",
        hidden=True,
    )


def _row(entry: Entry, axis: Axis, number: int) -> Markup:
    """The table row of one proposition."""
    link = element("a", entry.label, href=f"#{anchor(entry.label)}")
    name = joined(
        unicode(entry.title), element("small", f"{entry.claim} · {entry.kind}", class_="of")
    )
    plot = axis.row(entry.residual, entry.bound)
    refuted = f"{entry.refuted} of {len(entry.controls)}"
    survived = entry.refuted - len(entry.controls)
    cells = (
        _cell(name, entry.title.lower(), "title"),
        _cell(_detail.verdict(entry.verdict, good=entry.confirmed), entry.verdict),
        _cell(plot, repr(entry.residual), "plot"),
        _cell(margin(entry.margin), repr(entry.margin), "number", name="margin"),
        _cell(refuted, survived, "number", name="wrong versions refuted"),
        _cell(f"{entry.instances:,}", entry.instances, "number", name="instances"),
        _cell(f"{entry.seconds:.1f}", entry.seconds, "number", name="seconds"),
    )
    return element(
        "tr",
        element("th", link, scope="row", role="rowheader", data_key=number),
        *cells,
        role="row",
        data_verdict=entry.verdict,
        data_claim=entry.claim,
        data_kind=entry.kind,
    )


def _cell(
    content: str | Markup, key: object, class_: str | None = None, *, name: str | None = None
) -> Markup:
    """A table cell with its sort key; on narrow screens, without columns, its name precedes it."""
    return element("td", content, role="cell", class_=class_, data_key=key, data_name=name)


def _graph(run: Sequence[Entry]) -> Markup:
    nodes = [
        Node(
            label=entry.label,
            title=f"{unicode(entry.title)} ({entry.verdict})",
            lane=entry.claim,
            uses=entry.uses,
            href=f"#{anchor(entry.label)}",
            style="good" if entry.confirmed else "bad",
        )
        for entry in run
    ]
    legend = element(
        "p",
        "An arrow leads from a proposition to one that builds on it. A dashed frame marks a "
        "proposition that was not confirmed.",
    )
    svg = dependency_graph(nodes, title="Dependencies between propositions") if nodes else ""
    return joined(
        legend,
        element("div", svg, class_="scroll", tabindex=0, role="region", aria_label="Dependencies"),
    )


def _propositions(
    run: Sequence[Entry], document: Mapping[str, Any], figures: Collection[str]
) -> Markup:
    """The articles of the propositions, claim by claim."""
    claims = {claim["label"]: claim for claim in document.get("claims", [])}
    known = {entry.label for entry in run}
    used_by: dict[str, list[str]] = {}
    for entry in run:
        for used in entry.uses:
            used_by.setdefault(used, []).append(entry.label)
    parts: list[Markup] = []
    current = None
    for entry in run:
        if entry.claim != current:
            current = entry.claim
            claim = claims.get(current, {})
            parts.append(element("h3", claim.get("title", current), id=f"claim-{anchor(current)}"))
            if "source" in claim:
                parts.append(element("p", f"Source: {claim['source']}", class_="source"))
        parts.append(_detail.article(entry, known, used_by.get(entry.label, ()), figures))
    return joined(*parts)


def _figures(figures: Mapping[str, Picture]) -> Markup:
    parts = []
    for name, picture in figures.items():
        data = base64.b64encode(picture.data).decode()
        image = element("img", src=f"data:{picture.kind};base64,{data}", alt=picture.caption)
        caption = element("figcaption", element("b", name), f": {picture.caption}")
        box = element("div", image, class_="scroll", tabindex=0, role="region",
                      aria_label=f"Figure {name}")  # fmt: skip
        parts.append(element("figure", box, caption, id=f"figure-{anchor(name)}"))
    return joined(*parts)


def _environment(document: Mapping[str, Any]) -> Markup:
    values = {"profile": document["profile"], "seed": document["seed"], **document["environment"]}
    return plain_table("What is needed to repeat the run with the same results.", values.items())
