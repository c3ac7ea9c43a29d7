"""One style for all figures, saved the same way every time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

#: Colours that stay apart for colour-blind readers and in grey (Okabe and Ito's palette).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")

_STYLE: Mapping[str, Any] = {
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
    with mpl.rc_context(dict(_STYLE)):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write `figure` to `path`, whole or not at all, without dates or versions in it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        metadata = {"Software": None} if path.suffix == ".png" else {"Date": None}
        figure.savefig(name, metadata=metadata)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def save_csv(path: Path, columns: Mapping[str, Sequence[float]]) -> None:
    """Write the plotted numbers, one column a name, shorter columns left blank at the end."""
    length = max(len(c) for c in columns.values())
    rows = [",".join(columns)]
    for i in range(length):
        rows.append(
            ",".join(
                repr(float(c[i])) if i < len(c) else "" for c in map(np.asarray, columns.values())
            )
        )
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    os.chmod(name, 0o644)
    os.replace(name, path)
