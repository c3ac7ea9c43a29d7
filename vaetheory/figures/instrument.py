"""The figure of claim 0: true errors against stated ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import EXACT
from vaetheory.claims.instrument.designed import Bump, Designed, Wave, log_mass
from vaetheory.claims.instrument.expectations import KINDS, Expected, expectations_of
from vaetheory.claims.instrument.far_lines import FarLine
from vaetheory.claims.instrument.fifty_digits import Number, off
from vaetheory.evidence import log_evidence
from vaetheory.figures._panels import BOUND, Exponents, draw_panels, draw_series, head

# Smaller errors are drawn at this value because a logarithmic axis has no zero.
_LEAST = 1e-17


def _needle(power: int, depth: float) -> Designed:
    """A needle of width 2^-power on a floor that is `depth` nats below its top."""
    needle, floor = Bump(0.0, (0.0,), (2.0**-power,)), Wave(0.0, (0.0,), 0.0)
    share = float(log_mass(floor)) - depth - float(log_mass(needle))
    return Designed((needle, Wave(share, (0.0,), 0.0)))


def _pairs(found: Sequence[tuple[float, float, Number]]) -> np.ndarray:
    """True and stated errors `(2, n)` of values, stated errors and truths."""
    rows = [(max(off(value, truth), _LEAST), error) for value, error, truth in found]
    return np.array([row for row in rows if np.isfinite(row[1])]).T


def _draw(
    axes: Axes, series: dict[str, np.ndarray], labels: str, title: str, *, unit: str
) -> Exponents:
    axes.set(xscale="log", yscale="log")
    for number, (name, pairs) in enumerate(series.items()):
        draw_series(axes, number, name, *pairs, filled=False)
    both = np.concatenate(list(series.values()), axis=1)
    ends = np.array([both.min(), both.max()])
    axes.plot(ends, ends, color=EXACT, label="stated error = true error", **BOUND)
    axes.set(xlabel=f"true error ({unit})", ylabel=f"stated error ({unit})")
    head(axes, labels, title)
    return {}


def evidence_panel(axes: Axes) -> Exponents:
    """0a and 0a-rounding: dropped mass, few nodes, and rounding."""
    dropped, cut, rounded = [], [], []
    for power in range(6, 15):
        for depth in (28.0, 30.0, 32.0):
            scene = _needle(power, depth)
            found = log_evidence(scene.model, np.ones(1))
            dropped.append((float(found.value), float(found.error), scene.log_evidence()[0]))
    for width in (0.03, 0.0625, 0.125, 0.25):
        for budget in (500, 700, 1000):
            scene = Designed((Bump(0.0, (0.0,), (1.0,)), Bump(-2.0, (0.75,), (width,))))
            found = log_evidence(scene.model, np.ones(1), max_nodes=budget)
            cut.append((float(found.value), float(found.error), scene.log_evidence()[0]))
    for bias in (0.3, 1e2, 1e4, 1e6):
        for scale in (1e-2, 1e-4, 1e-6):
            line = FarLine(0.75, bias, scale, 1.3)
            found = log_evidence(line.model, np.array([line.x]))
            rounded.append((float(found.value), float(found.error), line.log_evidence()))
    series = {
        "a floor that is dropped": _pairs(dropped),
        "few nodes": _pairs(cut),
        "rounding": _pairs(rounded),
    }
    sentence = "No log evidence is off by more than the error stated with it"
    return _draw(axes, series, "0a", sentence, unit="nats")


def expectation_panel(axes: Axes) -> Exponents:
    """0d: expectations under a Gaussian in one dimension, by few nodes and many."""
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in KINDS}
    for row in range(max(len(kind.parameters) for kind in KINDS.values())):
        chosen = tuple(k.parameters[row % len(k.parameters)] for k in KINDS.values())
        for most in (60, 200, 2000, 20_000):
            found = expectations_of(Expected(chosen, 1, most, 1e-3))
            for k, (name, kind) in enumerate(KINDS.items()):
                truth, size = kind.mean(chosen[k])
                away = abs(float(found.value[k]) - truth) / size
                if np.isfinite(found.error[k]):
                    series[name].append((max(away, _LEAST), float(found.error[k]) / size))
    drawn = {name: np.array(pairs).T for name, pairs in series.items() if pairs}
    sentence = "No expectation is off by more than the error stated with it"
    return _draw(axes, drawn, "0d", sentence, unit="relative to E|g|")


def draw(figure: Figure) -> list[Exponents]:
    """Draw true errors against stated ones, of evidences and of Gaussian expectations."""
    return draw_panels(figure, evidence_panel, expectation_panel)
