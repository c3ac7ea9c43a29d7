"""Text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

WIDTH = 80


def table(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    r"""Rows in columns; the last column is wrapped where the lines would be too long.

    Examples
    --------
    >>> print("\n".join(table([["KL", "1"], ["m^2", "0.5"]])))
      KL   1
      m^2  0.5
    """
    if not rows:
        return []
    count = max(len(row) for row in rows)
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(count)]
    lines = []
    for row in rows:
        cells = [row[i].ljust(widths[i]) for i in range(len(row) - 1)]
        head = indent + "".join(f"{cell}  " for cell in cells)
        room = max(20, WIDTH - len(head))
        last = textwrap.wrap(row[-1], room, break_long_words=False) or [""]
        lines.append((head + last[0]).rstrip())
        lines += [" " * len(head) + more for more in last[1:]]
    return lines


def paragraph(text: str, *, first: str = "", rest: str | None = None) -> list[str]:
    """A paragraph of lines of at most 80 characters."""
    after = " " * len(first) if rest is None else rest
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=after, break_long_words=False
    )
