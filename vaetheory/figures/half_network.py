"""The figure of claim 11: the results of the experiment.

It is drawn from `half_network.json`, the stored results of `benchmarks/half_network.py`, because
the experiments take hours.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import BOUNDED, COLOURS, DASHES, EXACT, MARKERS, UNBOUNDED
from vaetheory.figures._panels import Exponents, draw_panels, head
from vaetheory.training import OBJECTIVES, confidence_interval, tables

#: The experiments on images by their names in the results, with their titles.
IMAGES = {
    "digits, mlp, d = 8": "digits, d = 8",
    "patches, mlp, d = 8": "patches, d = 8",
    "mnist, mlp, d = 2": "MNIST, d = 2",
    "mnist, mlp, d = 8": "MNIST, d = 8",
    "mnist, mlp, d = 32": "MNIST, d = 32",
    "mnist, conv, d = 8": "MNIST, convolutions, d = 8",
}
#: Those at several learning rates and scales of the data.
RATES = {f"mnist, mlp, d = 8, rate {rate:g}": rate for rate in (1e-4, 1e-3, 1e-2)}
_NAMES = {
    "ordinary": "ordinary VAE",
    "one-sigma": "one learned σ",
    "optimal-sigma": "batch-optimal σ",
    "constant": "constant variances",
    "bilbo": "BILBO, learned σ",
    "half": "half-network",
    "half-varying": "half-network, varying variances",
}


@lru_cache(maxsize=1)
def stored() -> dict[str, Any]:
    """The experiments by their names, with the results of every task."""
    text = resources.files("vaetheory.figures").joinpath("half_network.json").read_text("utf-8")
    return json.loads(text)["experiments"]


def _data(experiment: str) -> str:
    """The data of an experiment in words."""
    return re.sub(r"d = (\d+)", r"\1 latents", experiment)


def image_panel(axes: Axes) -> Exponents:
    """Held-out ELBO against that of the ordinary VAE, on images, paired by seed."""
    known = {name: title for name, title in IMAGES.items() if name in stored()}
    at = np.arange(len(known))
    for k, (objective, colour) in enumerate(
        (("one-sigma", COLOURS[1]), ("half", BOUNDED), ("half-varying", EXACT))
    ):
        leads = []
        for name in known:
            results, dim = stored()[name]["results"], _pixels(name)
            own, ordinary = (means(results, o) for o in (objective, "ordinary VAE"))
            both = sorted(set(own) & set(ordinary))
            leads.append(confidence_interval([(own[s] - ordinary[s]) / dim for s in both]))
        mean = np.array([f.mean for f in leads])
        half = np.array([f.mean - f.low if f.count > 1 else 0.0 for f in leads])
        axes.errorbar(
            mean, at + 0.2 * (k - 1), xerr=half, fmt=MARKERS[k], color=colour, ms=4.5, lw=1.2,
            label=_NAMES[objective],
        )  # fmt: skip
    axes.axvline(0, color="grey", lw=0.8, label="_level: the ordinary VAE")
    axes.set_yticks(at, list(known.values()))
    axes.invert_yaxis()
    axes.set_xlabel("ahead of the ordinary VAE by (nats a pixel)")
    sentence = "Half the outputs lose little if variances follow the reconstruction"
    head(axes, "11, held-out ELBO, paired by seed, bars: 95 % intervals", sentence)
    return {}


def _pixels(name: str) -> int:
    """The number of pixels of the images of an experiment."""
    return int(stored()[name]["experiment"]["source"]["shape"][1])


def means(results: list[dict[str, Any]], objective: str, measure: str = "elbo") -> dict[int, float]:
    """Means over the held-out data, by seed.

    The objective "ordinary VAE" is, for each seed, the one with or without bounded log variances
    that has the greater ELBO of the validation data.
    """
    names = ("ordinary", "bounded") if objective == "ordinary VAE" else (objective,)
    best: dict[int, dict[str, Any]] = {}
    for result in results:
        if result["objective"] in names and measure in result["measures"]:
            known = best.setdefault(result["seed"], result)
            if result["validation"] > known["validation"]:
                best[result["seed"]] = result
    return {seed: found["measures"][measure]["mean"] for seed, found in best.items()}


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
            h * (1 + 0.02 * k), mean, yerr=half, color=(BOUNDED, COLOURS[0])[k],
            marker=MARKERS[k], ls=DASHES[k], ms=4.5, lw=1.2, label=f"{part} data",
        )  # fmt: skip
    chosen = [r["information"] for r in results]
    counts = np.array([chosen.count(v) for v in h])
    low, high = axes.get_ylim()
    low -= 0.08 * (high - low)
    axes.set_ylim(low, high)
    for value, count in zip(h, counts, strict=True):
        if count:
            axes.annotate(f"{count}×", (value, low), ha="center", va="bottom", color=COLOURS[0])
    axes.set(
        xlabel="h (nats a dimension); above: how often chosen",
        ylabel="held-out ELBO (nats a digit)",
        xscale="log",
    )
    means = np.array([[e["test"] for e in r["sweep"]] for r in results]).mean(axis=0)
    sentence = f"The best h of BAGGINS gains {np.ptp(means):.1f} nats over the worst"
    head(axes, f"11, {_data(name)}, {len(results)} seeds, bars: 95 % intervals", sentence)
    axes.set_xticks(h, [f"{v:g}" for v in h])
    axes.minorticks_off()
    return {}


def scale_panel(axes: Axes) -> Exponents:
    """Held-out ELBO against the scale of the data; exact invariance is a level line."""
    scaled = stored()["digits, d = 2, scaled"]["results"]
    seeds = {r["seed"] for r in scaled}
    # At scale 1 the same seeds.
    plain = [r for r in stored()["digits, d = 2"]["results"] if r["seed"] in seeds]
    rows = tables.table(scaled + plain)
    colours = (UNBOUNDED, *COLOURS[1:2], COLOURS[0], *COLOURS[2:4], BOUNDED)
    for k, name in enumerate(OBJECTIVES):
        own = [r for r in rows if r.objective == name]
        scale = np.array([r.scale for r in own])
        intervals = [r.measures["elbo"] for r in own]
        mean = np.array([f.mean for f in intervals])
        half = np.array([f.high - f.mean for f in intervals])
        axes.errorbar(
            scale * 1.15 ** (k - 2.5), mean, yerr=half, color=colours[k],
            marker=(*MARKERS, "P")[k], ls=(*DASHES, (0, (8, 2)))[k], ms=4.5, lw=1.2,
            label=_NAMES[name],
        )  # fmt: skip
        if name == tables.REFERENCE:
            axes.axhline(
                float(mean[scale == 1][0]), color="grey", lw=0.6, label="_level: its value"
            )
    axes.set(
        xlabel="the data are multiplied by (a ratio)",
        ylabel="held-out ELBO + D log scale (nats a digit)",
        xscale="log",
    )
    # Linear where objectives differ by some nats, logarithmic where they fail by thousands.
    axes.set_yscale("symlog", linthresh=100, linscale=2.5)
    ticks = (-10000, -1000, -100, -50, 0, 50)
    axes.set_ylim(-20_000, 70)
    axes.set_yticks(ticks, [f"{t:,}".replace("-", "\N{MINUS SIGN}") for t in ticks])
    sentence = "Only half-networks and batch-optimal σ are indifferent to the scale of the data"
    head(axes, f"11c, {len(seeds)} seeds", sentence)
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw half-networks beside ordinary VAEs on images, the effect of h, and rescaled data."""
    return draw_panels(figure, image_panel, information_panel, scale_panel)
