"""The figure of claim 11: the results of the experiment.

It is drawn from `half_network.json`, the stored results of `benchmarks/half_network.py`, because
the experiments take hours.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import COLOURS, DASHES, MARKERS, SMALLEST
from vaetheory.figures._panels import Exponents, draw_panels
from vaetheory.training import OBJECTIVES, confidence_interval, tables

#: ELBOs below this are written and not drawn.
_LEAST = -50.0
_MEASURES = {"elbo": "ELBO", "evidence": "exact evidence"}


@lru_cache(maxsize=1)
def stored() -> dict[str, Any]:
    """The experiments by their names, with the results of every task."""
    text = resources.files("vaetheory.figures").joinpath("half_network.json").read_text("utf-8")
    return json.loads(text)["experiments"]


def lead_panel(axes: Axes) -> Exponents:
    """How far the half-network is ahead of each objective, paired by seed."""
    names = [n for n in OBJECTIVES if n != tables.REFERENCE]
    at = np.arange(len(names))
    shown = [
        ("digits, d = 2", "elbo"), ("digits, d = 2", "evidence"), ("digits, d = 8", "elbo"),
        ("patches, d = 8", "elbo"),
    ]  # fmt: skip
    shown = [(e, m) for e, m in shown if e in stored()]
    for k, (experiment, measure) in enumerate(shown):
        rows = {r.objective: r for r in tables.table(stored()[experiment]["results"])}
        intervals = [rows[n].behind[measure] for n in names]
        mean = np.array([f.mean for f in intervals])
        half = np.array([f.mean - f.low for f in intervals])
        axes.errorbar(
            mean, at + 0.14 * (k - len(shown) / 2 + 0.5), xerr=half, fmt=MARKERS[k],
            color=COLOURS[k], ms=4, lw=1, label=f"{experiment}: {_MEASURES[measure]}",
        )  # fmt: skip
    # Not across the whole panel: the legend stands above.
    axes.plot([0, 0], [-0.5, len(names) - 0.5], color="grey", lw=0.8, label="_level: equal")
    axes.set_yticks(at, names)
    axes.set_ylim(-3.5, len(names) - 0.5)
    axes.invert_yaxis()
    axes.set(
        xlabel="half-network ahead (nats a datum, 95 %)",
        title="11: the lead over each objective, paired by seed",
    )
    axes.legend(loc="upper left")
    return {}


def information_panel(axes: Axes) -> Exponents:
    """The effect of BAGGINS' h, against the value that validation chose, seed by seed."""
    name = "digits, d = 2"
    results = [r for r in stored()[name]["results"] if r["sweep"]]
    h = np.array([e["information"] for e in results[0]["sweep"]])
    for k, part in enumerate(("test", "validation")):
        values = np.array([[e[part] for e in r["sweep"]] for r in results])
        intervals = [confidence_interval(v) for v in values.T]
        mean = np.array([f.mean for f in intervals])
        half = np.array([f.high - f.mean for f in intervals])
        axes.errorbar(
            h * (1 + 0.02 * k), mean, yerr=half, color=COLOURS[k], marker=MARKERS[k],
            ls=DASHES[k], ms=4, lw=1, label=f"{part}, mean of {len(values)} seeds, 95 %",
        )  # fmt: skip
    chosen = [r["information"] for r in results]
    counts = np.array([chosen.count(v) for v in h])
    low = axes.get_ylim()[0]
    for value, count in zip(h, counts, strict=True):
        if count:
            axes.annotate(f"{count}×", (value, low), ha="center", va="bottom", color=COLOURS[1])
    axes.set(
        xlabel="h (nats a dimension); below: times chosen",
        ylabel="held-out ELBO (nats a digit)",
        title=f"11: its one setting, {name}",
        xscale="log",
    )
    axes.set_xticks(h, [f"{v:g}" for v in h])
    axes.minorticks_off()
    axes.legend()
    return {}


def scale_panel(axes: Axes) -> Exponents:
    """Held-out ELBO against the scale of the data; exact invariance is a level line."""
    scaled = stored()["digits, d = 2, scaled"]["results"]
    seeds = {r["seed"] for r in scaled}
    # At scale 1 the same seeds.
    plain = [r for r in stored()["digits, d = 2"]["results"] if r["seed"] in seeds]
    rows = tables.table(scaled + plain)
    lost: list[tuple[float, str]] = []
    for k, name in enumerate(OBJECTIVES):
        own = [r for r in rows if r.objective == name]
        scale = np.array([r.scale for r in own])
        intervals = [r.measures["elbo"] for r in own]
        mean = np.array([f.mean for f in intervals])
        half = np.array([f.high - f.mean for f in intervals])
        axes.errorbar(
            scale * 1.15 ** (k - 2.5), mean, yerr=half, color=(*COLOURS, "grey")[k],
            marker=(*MARKERS, "P")[k], ls=(*DASHES, (0, (8, 2)))[k], ms=4, lw=1, label=name,
        )  # fmt: skip
        if name == tables.REFERENCE:
            axes.axhline(
                float(mean[scale == 1][0]), color="grey", lw=0.6, label="_level: its value"
            )
        for s, value in zip(scale, mean, strict=True):
            if value < _LEAST:
                lost.append((float(s), f"{name} \N{MINUS SIGN}{abs(value):,.0f}"))
    where = ", ".join(f"{s:g}" for s in sorted({s for s, _ in lost}))
    axes.text(
        0.98, 0.03, "\n".join([f"below, at {where}:", *(text for _, text in lost)]),
        transform=axes.transAxes, ha="right", va="bottom", fontsize=SMALLEST,
    )  # fmt: skip
    axes.set(
        xlabel="the data are multiplied by (a ratio)",
        ylabel="held-out ELBO + D log scale (nats a digit)",
        title=f"11c: scale of the data, {len(seeds)} seeds;\nlevel line: exact invariance",
        xscale="log",
        ylim=(_LEAST, 60),
    )
    axes.legend(loc="lower left")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the leads, the effect of h, and the scale."""
    return draw_panels(figure, lead_panel, information_panel, scale_panel)
