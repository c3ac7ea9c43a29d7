"""One style for all figures, saved the same way every time."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: Colours that stay apart for colour-blind readers and in grey (Okabe and Ito's palette).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
#: Markers and dashes that go with them, so that colour is never the only sign.
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))

#: What figures that draw at random are seeded with.
SEED = 0

#: Points of the smallest letters: five at half size, six inches wide in print.
SMALLEST = 10.0
_STYLE: Any = {
    "font.size": 11.5,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": SMALLEST,
    "legend.title_fontsize": SMALLEST,
    "legend.handlelength": 1.6,
    "legend.labelspacing": 0.3,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "savefig.dpi": 160,
    "svg.hashsalt": "vaetheory",
}
#: Inches of a figure of three panels.
SIZE = (12.0, 4.4)


#: Picture formats, and what in their metadata would differ from run to run.
_DATED = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
FORMATS = tuple(suffix[1:] for suffix in _DATED)


@contextmanager
def style() -> Iterator[None]:
    """Draw within this context to have the house's look."""
    with mpl.rc_context(_STYLE):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` without dates or versions in it."""
    figure.savefig(path, metadata={_DATED[path.suffix]: None})


def save_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of texts."""
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
