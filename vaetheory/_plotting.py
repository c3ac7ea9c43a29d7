"""The style of all figures, and functions that save figures and tables reproducibly."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

#: Colours for series of any kind; they differ for colour-blind readers (Okabe and Ito's palette).
COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
#: Markers and dashes for these colours, so that colour is never the only difference.
MARKERS = ("o", "s", "^", "D", "v")
#: The other colours of that palette have the same meaning in all figures: the ELBO and other
#: objectives without a bound; BAGGINS and what is trained with it; exact values and limits.
UNBOUNDED, BOUNDED, EXACT = "#0072B2", "#D55E00", "#000000"
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))

#: Seed of figures with random draws.
SEED = 0

#: Smallest font size in points: 10 pixels where a figure is 830 pixels wide, as in a README.
SMALLEST = 9.0
#: The colour of remarks.
FAINT = "#595959"
_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11.5,
    # White, also on a dark page, with a margin around the letters.
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": SMALLEST,
    "legend.title_fontsize": SMALLEST,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.3,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.2,
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "savefig.dpi": 160,
    "svg.hashsalt": "vaetheory",
}
#: Size in inches of a figure before its height is fitted to its panels, and height of a panel.
SIZE, PANEL = (10.0, 16.0), 2.4

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
