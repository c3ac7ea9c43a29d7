"""What all self-contained HTML pages share: head, security policy, sections, and plain tables."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources

from vaetheory.report._markup import Markup, element


def frame(
    title: str,
    head: Sequence[Markup],
    parts: Sequence[tuple[str, str, Markup]],
    *,
    first: str,
    version: str,
) -> str:
    """A page that makes no network requests; its content security policy forbids them.

    Parameters
    ----------
    title : str
    head : sequence of Markup
        What stands above the links to the sections.
    parts : sequence of (str, str, Markup)
        The sections: id, heading, content.
    first : str
        The id of the section to which the keyboard may skip.
    version : str
        The version of this package that made the results.
    """
    style, script = _asset("report.css"), _asset("report.js")
    links = [element("a", name, href=f"#{key}") for key, name, _ in parts]
    body = element(
        "body",
        element("a", f"Skip to the {first}", class_="skip", href=f"#{first}"),
        element(
            "header",
            element("h1", f"vaetheory: {title}"),
            *head,
            element("nav", *links, _theme_button(), aria_label="Sections"),
        ),
        element(
            "main",
            *[
                element("section", element("h2", name), content, id=key, aria_label=name)
                for key, name, content in parts
            ],
        ),
        element("script", Markup(script)),
    )
    top = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="generator", content=f"vaetheory {version}"),
        element("title", f"vaetheory: {title}"),
        element("style", Markup(style)),
    )
    return f"<!doctype html>\n{element('html', top, body, lang='en')}\n"


def plain_table(caption: str, rows: Iterable[tuple[str, object]]) -> Markup:
    """A table of names and values."""
    made = [
        element("tr", element("th", name, scope="row"), element("td", str(value)))
        for name, value in rows
    ]
    return element("table", element("caption", caption), element("tbody", *made), class_="plain")


def tiles(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and numbers side by side."""
    boxes = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", *boxes, class_="tiles")


def _theme_button() -> Markup:
    return element("button", "Dark or light", type="button", id="theme", hidden=True)


def _asset(name: str) -> str:
    """A file of this package."""
    return (
        resources.files("vaetheory.report")
        .joinpath("assets")
        .joinpath(name)
        .read_text(encoding="utf-8")
    )


def _policy(style: str, script: str) -> str:
    """The content security policy: this style, this script, inline pictures, nothing else."""

    def digest(text: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; img-src data:; style-src '{digest(style)}'; "
        f"script-src '{digest(script)}'; base-uri 'none'; form-action 'none'"
    )
