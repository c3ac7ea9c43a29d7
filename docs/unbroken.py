"""A Sphinx extension: a number is not broken over lines, nor parted from its error in a table."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is done to each page's source."""
    app.connect("source-read", _hold_together)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def unbroken(text: str, *, code: bool = True) -> str:
    """Markdown in which the numbers stay whole; those of exponents only where there is no code."""
    held = re.sub(
        r"^\|.*$", lambda row: row[0].replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"),
        text, flags=re.MULTILINE,
    )  # fmt: skip
    return held if code else re.sub(r"(?<=\de)-(?=\d)", "-\N{WORD JOINER}", held)


def _hold_together(app: Sphinx, page: str, source: list[str]) -> None:
    # The pages of claims have no code that a reader might copy.
    source[0] = unbroken(source[0], code=not page.startswith("claims/"))
