"""A Sphinx extension that keeps numbers, and numbers with their errors in tables, on one line."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the change of each page's source."""
    app.connect("source-read", _hold_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def unbroken(text: str, *, code: bool = True) -> str:
    """Markdown with unbreakable numbers; exponents are changed only if there is no code."""
    joined = re.sub(
        r"^\|.*$", lambda row: row[0].replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"),
        text, flags=re.MULTILINE,
    )  # fmt: skip
    return joined if code else re.sub(r"(?<=\de)-(?=\d)", "-\N{WORD JOINER}", joined)


def _hold_together(app: Sphinx, page: str, source: list[str]) -> None:
    # The pages of claims contain no code that a reader could copy.
    source[0] = unbroken(source[0], code=not page.startswith("claims/"))
