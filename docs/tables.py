"""A Sphinx extension: in tables a number and its error stay on one line."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is done to each page's source."""
    app.connect("source-read", _hold_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _hold_together(app: Sphinx, page: str, source: list[str]) -> None:
    rows = source[0].split("\n")
    source[0] = "\n".join(
        row.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}") if row.startswith("|") else row
        for row in rows
    )
