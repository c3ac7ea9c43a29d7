"""The style of all figures, and functions that save figures and tables reproducibly."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: Colours that differ for colour-blind readers and in grey (Okabe and Ito's palette).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")
#: Markers and dashes for these colours, so that colour is never the only difference.
MARKERS = ("o", "s", "^", "D", "v")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))

#: Seed of figures with random draws.
SEED = 0

#: Smallest font size in points; it becomes five points in a print six inches wide.
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
#: Size in inches of a figure with three panels.
SIZE = (12.0, 4.4)


#: Picture formats, each with its metadata entry that would differ from run to run.
_DATED = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
FORMATS = tuple(suffix[1:] for suffix in _DATED)


@contextmanager
def style() -> Iterator[None]:
    """Context in which figures have the common style."""
    with mpl.rc_context(_STYLE):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path` without dates or versions in the file."""
    figure.savefig(path, metadata={_DATED[path.suffix]: None})


def save_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of strings as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
