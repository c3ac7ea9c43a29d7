"""Draw docs/evidence.png from docs/evidence.csv, which `evidence.py` has measured.

python benchmarks/evidence_figure.py
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vaetheory import _plotting
from vaetheory._files import replacing

DOCS = Path(__file__).parents[1] / "docs"
#: The routes of the table, from above, with their names in the figure.
ROUTES = {
    "vaetheory": "the engine",
    "cubature": "cubature of SciPy",
    "nquad": "nquad of SciPy",
    "Gauss-Hermite": "Gauss-Hermite at the mode",
    "importance": "importance sampling",
    "vegas": "vegas",
    "dynesty": "nested sampling, dynesty",
}
#: What became of a case, with its name and its colour; any other verdict is a time.
VERDICTS = {
    "right": ("right to 1e-9", _plotting.COLOURS[0]),
    "stopped": ("stopped, out of time", "#D0D0D0"),
    "inaccurate": ("less precise, as stated", _plotting.COLOURS[2]),
    "silently wrong": ("wrong, and not stated", _plotting.COLOURS[1]),
}
_COLOURS = {1: "#0072B2", 2: "#D55E00", 3: "#000000"}
_MARKERS = {1: "o", 2: "s", 3: "^"}
_LOW = 0.005

Row = Mapping[str, str | float]


def _verdict(row: Row) -> str:
    verdict = str(row["verdict"])
    return verdict if verdict in VERDICTS else "stopped"


def _counts(axes: Axes, rows: Sequence[Row]) -> None:
    """How often each route was right, in bars."""
    for place, route in enumerate(ROUTES):
        found, left = [_verdict(row) for row in rows if row["route"] == route], 0
        for verdict, (_, colour) in VERDICTS.items():
            if count := found.count(verdict):
                axes.barh(place, count, 0.68, left, color=colour, edgecolor="white")
                axes.text(left + count / 2, place, str(count), ha="center", va="center")
                left += count
    axes.set_yticks(range(len(ROUTES)), list(ROUTES.values()))
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    cases = len({row["case"] for row in rows})
    axes.set_title(f"Only the engine is right\nin all {cases} cases", loc="left")
    handles = [Line2D([], [], color=c, ls="", marker="s", ms=9) for _, c in VERDICTS.values()]
    names = [name for name, _ in VERDICTS.values()]
    axes.legend(handles, names, loc="upper left", bbox_to_anchor=(-0.02, -0.03), ncols=2)


def _times(axes: Axes, rows: Sequence[Row]) -> None:
    """The time of each route relative to that of the engine, case by case."""
    axes.axvline(1.0, color=_plotting.FAINT, lw=1.0)
    for place, route in enumerate(ROUTES):
        here = [row for row in rows if row["route"] == route]
        for i, row in enumerate(here):
            d = int(str(row["case"])[1])
            right = _verdict(row) == "right"
            # Cases one above the other, so that equal times do not hide each other.
            at = place + (0.0 if len(here) < 2 else 0.5 * (i / (len(here) - 1) - 0.5))
            axes.plot(
                float(row["ratio"]), at, _MARKERS[d], color=_COLOURS[d], ms=5.5 if right else 4.0,
                mfc=_COLOURS[d] if right else "none", alpha=1.0 if right else 0.55,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(_LOW, None)
    axes.set_xlabel("processor time (that of the engine = 1)")
    right = [r for r in rows if _verdict(r) == "right" and r["route"] != "vaetheory"]
    faster = sum(float(row["ratio"]) < 1 for row in right)
    axes.set_title(
        f"Of the others' {len(right)} right results\n{faster} took less time than the engine's",
        loc="left",
    )
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    handles = [
        Line2D([], [], color=_COLOURS[d], marker=m, ls="", ms=5.5) for d, m in _MARKERS.items()
    ]
    names = [f"right, d = {d}" for d in _MARKERS]
    handles.append(Line2D([], [], color=_plotting.FAINT, marker="o", ls="", mfc="none", ms=4.0))
    axes.legend(
        handles, [*names, "hollow: not right"], loc="upper left", bbox_to_anchor=(-0.02, -0.14),
        ncols=4, columnspacing=0.8, handletextpad=0.1,
    )  # fmt: skip


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw what became of all cases, and their times, and write the figure."""
    with _plotting.style():
        figure = Figure(figsize=(10.0, 4.6), layout="constrained")
        counts, times = figure.subplots(1, 2, sharey=True, width_ratios=(0.8, 1.0))
        _counts(counts, rows)
        _times(times, rows)
        counts.set_ylim(len(ROUTES) - 0.5, -0.5)
        with replacing(path) as draft:
            _plotting.save(figure, draft)


def main() -> None:
    """Draw the figure of the stored measurements."""
    with (DOCS / "evidence.csv").open(encoding="utf-8", newline="") as lines:
        draw(list(csv.DictReader(lines)), DOCS / "evidence.png")


if __name__ == "__main__":
    main()
