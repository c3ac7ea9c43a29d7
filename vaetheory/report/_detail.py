"""The HTML article of one proposition: statement, numbers, instance and wrong versions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from vaetheory._numbers_as_text import distinct_texts, margin
from vaetheory.checking.runner import INCONCLUSIVE, ControlResult
from vaetheory.report._entries import Entry, ratio
from vaetheory.report._markup import Markup, anchor, element, joined
from vaetheory.report._notation import unicode
from vaetheory.report.mathematics import is_long, lines, mathml

#: The explanation of the table of wrong versions.
OVER_BOUND = (
    "residual over bound is the residual of the wrong version divided by what the errors of the "
    "computation allow. Above 1 the version is refuted; the larger the number, the more clearly "
    "the check distinguishes it from the proposition."
)


def verdict(name: str, *, good: bool) -> Markup:
    """A verdict as sign, word and colour."""
    sign = "✓" if good else "?" if name == INCONCLUSIVE else "✗"
    kind = "good" if good else "open" if name == INCONCLUSIVE else "bad"
    return element("span", element("span", sign, aria_hidden="true"), f" {name}", class_=kind)


def resolution(value: float) -> str:
    """The meaning of a proposition's resolution, as a clause.

    Examples
    --------
    >>> resolution(1e-6).endswith("1e-06 of what is compared, the verdict would be inconclusive")
    True
    """
    return (
        f"had the bound been more than {value:.0e} of what is compared, the verdict would be "
        "inconclusive"
    )


def article(
    entry: Entry, known: Collection[str], used_by: Iterable[str], figures: Collection[str]
) -> Markup:
    """The article of one proposition.

    Parameters
    ----------
    entry : Entry
    known : collection of str
        Labels of the propositions on the page.
    used_by : iterable of str
        Labels of the propositions that build on this one.
    figures : collection of str
        Names of the figures on the page.
    """
    parts = [
        element(
            "h4",
            element("span", entry.label, class_="label"),
            f" {unicode(entry.title)} ",
            verdict(entry.verdict, good=entry.confirmed),
        )
    ]
    if entry.statement:
        statement = Markup("".join(mathml(tex, display=True) for tex in lines(entry.statement)))
        parts.append(
            element("div", statement, class_="statement", tabindex=0, role="group",
                    aria_label=f"Statement of {entry.label}")
        )  # fmt: skip
    if entry.message:
        parts.append(element("p", f"Why it is {entry.verdict}: {entry.message}", class_="why"))
    parts.append(_facts(entry, known, used_by, figures))
    parts += [element("p", f"Finding: {finding}") for finding in entry.findings]
    name = "Worst instance" if entry.confirmed else "Shrunk instance"
    parts.append(_instance(name, str(entry.instance)))
    parts.append(_controls(entry))
    return element("article", *parts, id=anchor(entry.label), data_label=entry.label)


def _facts(
    entry: Entry, known: Collection[str], used_by: Iterable[str], figures: Collection[str]
) -> Markup:
    """Hypotheses, related propositions and numbers, as a list of pairs."""
    pairs: list[tuple[str, Markup | str]] = []
    for name, tex in entry.hypotheses:
        pairs.append((f"if: {unicode(name)}", Markup(mathml(tex))))
    if entry.uses:
        pairs.append(("uses", _links(entry.uses, known)))
    builds = list(used_by)
    if builds:
        pairs.append(("used by", _links(builds, known)))
    residual, bound = distinct_texts(entry.residual, entry.bound)
    worst = f"{residual}, allowed {bound}, margin {margin(entry.margin)}"
    pairs.append(("residual", worst))
    terms = ", ".join(f"{name} {value:.2g}" for name, value in entry.terms.items())
    if terms:
        pairs.append(("the bound is", terms))
    if entry.resolution is not None:
        pairs.append(("resolution", resolution(entry.resolution)))
    if entry.figure in figures and entry.figure:
        target = f"#figure-{anchor(entry.figure)}"
        pairs.append(("figure", element("a", entry.figure, href=target)))
    return element("dl", *[_fact(name, value) for name, value in pairs], class_="facts")


def _fact(name: str, value: Markup | str) -> Markup:
    """A name and its value; a long formula can be focused by keyboard so that it can scroll."""
    scrolls = value.startswith("<math") and is_long(value)
    description = element("dd", value, tabindex=0 if scrolls else None)
    return element("div", element("dt", name), description)


def _links(labels: Iterable[str], known: Collection[str]) -> Markup:
    links: list[str | Markup] = []
    for label in labels:
        link = element("a", label, href=f"#{anchor(label)}") if label in known else label
        links += [", " if links else "", link]
    return joined(*links)


def _instance(name: str, text: str) -> Markup:
    return element(
        "details", element("summary", name), element("pre", element("code", text)), open=True
    )


def _controls(entry: Entry) -> Markup:
    """The table of wrong versions, with the residual of each divided by its bound."""
    if not entry.controls:
        return element("p", "No wrong versions.")

    def row(control: ControlResult) -> Markup:
        times = ratio(control.residual, control.bound)
        return element(
            "tr",
            element("th", unicode(control.name), scope="row"),
            element("td", verdict("refuted" if control.refuted else "survived",
                                  good=control.refuted)),
            element("td", f"{control.residual:.2g}", class_="number"),
            element("td", f"{control.bound:.2g}", class_="number"),
            element("td", f"{times:.3g}", class_="number"),
        )  # fmt: skip

    headings = ("Wrong version", "Verdict", "Residual", "Bound", "Residual over bound")
    head = element("tr", *[element("th", name, scope="col") for name in headings])
    table = element(
        "table",
        element("caption", f"Wrong versions of {entry.label}: {OVER_BOUND}"),
        element("thead", head),
        element("tbody", *[row(control) for control in entry.controls]),
        class_="plain",
    )
    return element("div", table, class_="scroll", tabindex=0, role="region",
                   aria_label=f"Wrong versions of {entry.label}")  # fmt: skip
