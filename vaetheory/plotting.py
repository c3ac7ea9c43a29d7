"""One style for all figures, saved the same way every time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from vaetheory.files import replacing

#: Colours that stay apart for colour-blind readers and in grey (Okabe and Ito's palette).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")

_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.dpi": 160,
    "svg.hashsalt": "vaetheory",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw within this context to have the house's look."""
    with mpl.rc_context(_STYLE):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`, whole or not at all, without dates or versions in it."""
    metadata = {"Software": None} if path.suffix == ".png" else {"Date": None}
    with replacing(path) as draft:
        figure.savefig(draft, metadata=metadata)


def save_csv(path: Path, columns: Mapping[str, Sequence[float]]) -> None:
    """Write the plotted numbers, one column a name, shorter columns left blank at the end."""
    texts = [[repr(float(v)) for v in column] for column in columns.values()]
    rows = [",".join(columns), *(",".join(row) for row in zip_longest(*texts, fillvalue=""))]
    with replacing(path) as draft:
        draft.write_text("\n".join(rows) + "\n", encoding="utf-8")
