"""Decoders of the line with kinks and jumps, and their evidence by panels that end at kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

#: Activations, each with the places of its kinks or jumps.
ACTIVATIONS: dict[str, tuple[Function, tuple[float, ...]]] = {
    "relu": (lambda u: anp.maximum(u, 0.0), (0.0,)),
    "leaky relu": (lambda u: anp.where(u > 0, u, 0.1 * u), (0.0,)),
    "elu": (lambda u: anp.where(u > 0, u, anp.exp(anp.minimum(u, 0.0)) - 1), (0.0,)),
    "hard tanh": (lambda u: anp.clip(u, -1.0, 1.0), (-1.0, 1.0)),
    "abs": (lambda u: anp.abs(u), (0.0,)),
    "step": (lambda u: anp.where(u > 0, 1.0, 0.0), (0.0,)),
}
_KINDS = ("unit", "unit on a curve", "network", "two layers", "sort", "max-pool", "tanh of")
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
#: Radius of the panels, their number, and how often a panel is halved at most.
_RADIUS, _PANELS, _DEEPEST = 45.0, 720, 60
#: Share of the integral by which a panel and its halves may differ.
_SHARE = 1e-17


@dataclass(frozen=True)
class Curve:
    """A decoder of the line, `(..., 1) -> (..., D)`, and the places of its kinks and jumps."""

    name: str
    function: Function
    size: int
    kinks: np.ndarray | None = None


def _zero(function: Callable[[float], float], low: float, high: float) -> float:
    """The places where a function changes its sign, to the last digit."""
    sign = np.sign(function(low))
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if np.sign(function(middle)) == sign else (low, middle)
    return high


def _second_kinks(
    inner: Callable[[np.ndarray], np.ndarray], first: np.ndarray, places: tuple[float, ...]
) -> np.ndarray:
    """Where the outputs of a layer, which has kinks at `first`, cross the kinks of the next."""
    edges = np.unique(np.concatenate([np.linspace(-_RADIUS, _RADIUS, 20_001), first]))
    # Slightly inside each interval because there may be jumps at its ends.
    margin = 1e-13 * (1 + np.abs(edges))
    low, high = edges[:-1] + margin[:-1], edges[1:] - margin[1:]
    at_low, at_high = inner(low[:, None]), inner(high[:, None])
    found = [
        _zero(lambda z, j=j, p=p: inner(np.array([[z]]))[0, j] - p, low[i], high[i])
        for p in places
        for i, j in np.argwhere((at_low - p) * (at_high - p) < 0)
    ]
    return np.concatenate([first, found])


def _sorted(u: np.ndarray) -> np.ndarray:
    """Sort by minima and maxima because autograd has no derivative of a sort."""
    columns = [u[..., i] for i in range(u.shape[-1])]
    for number in range(len(columns)):
        for i in range(number % 2, len(columns) - 1, 2):
            a, b = columns[i], columns[i + 1]
            columns[i], columns[i + 1] = anp.minimum(a, b), anp.maximum(a, b)
    return anp.stack(columns, axis=-1)


def random_kinked(rng: np.random.Generator, kind: str | None = None) -> Curve:
    """Draw a decoder with one or more kinks, weak or strong."""
    kind = str(rng.choice(_KINDS)) if kind is None else kind
    name = str(rng.choice(list(ACTIVATIONS)))
    act, places = ACTIVATIONS[name]
    size = int(rng.integers(1, 5))
    bias = rng.normal(size=size)
    if kind.startswith("unit"):
        # One kink in seven is at the border of a cell.
        t = rng.integers(-48, 49) / 16 if rng.random() < 0.15 else 1.5 * rng.normal()
        sign, kinks = rng.choice([-1.0, 1.0]), np.array(places)
        weight = rng.normal(size=size) * 10 ** rng.uniform(-1 if kind == "unit" else -4, 1)
        a, b = rng.normal(size=(2, size)) * (kind != "unit")
        frequency = rng.uniform(0.3, 3.0)

        def unit(z: np.ndarray) -> np.ndarray:
            return act(sign * (z - t)) * weight + bias + a * z + b * anp.sin(frequency * z)

        return Curve(f"{kind}, {name}", unit, size, t + sign * kinks)
    hidden, gain = int(rng.integers(2, 13)), 10 ** rng.uniform(-0.3, 0.7)
    w, b = gain * rng.normal(size=(2, hidden))
    v = rng.normal(size=(hidden, size)) / np.sqrt(hidden)
    if kind == "max-pool":
        w, b = gain * rng.normal(size=(2, size, 3))
        i, j = np.triu_indices(3, 1)
        kinks = ((b[:, j] - b[:, i]) / (w[:, i] - w[:, j])).ravel()
        return Curve(kind, lambda z: anp.max(z[..., None] * w + b, axis=-1), size, kinks)
    if kind == "sort":
        i, j = np.triu_indices(hidden, 1)
        kinks = (b[j] - b[i]) / (w[i] - w[j])
        return Curve(kind, lambda z: _sorted(z * w + b) @ v + bias, size, kinks)
    first = ((np.array(places)[:, None] - b) / w).ravel()
    if kind == "network":
        return Curve(f"{kind}, {name}", lambda z: act(z * w + b) @ v + bias, size, first)
    u, c = 1.5 * rng.normal(size=(hidden, hidden)) / np.sqrt(hidden), rng.normal(size=hidden)
    if kind == "tanh of":
        name = f"{kind} {name}"
        return Curve(name, lambda z: anp.tanh(act(z * w + b) @ u) @ v + bias, size, first)

    def inner(z: np.ndarray) -> np.ndarray:
        return act(z * w + b) @ u + c

    kinks = _second_kinks(inner, first, places)
    return Curve(f"{kind}, {name}", lambda z: act(inner(z)) @ v + bias, size, kinks)


def panel_evidence(
    log_joint: Callable[[np.ndarray, np.ndarray], np.ndarray], data: np.ndarray, kinks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log evidences of data `(N, D)` and what they may be off by, from panels between kinks.

    `log_joint` maps a datum `(D,)` and latents `(M, 1)` to `(M,)`. A panel is halved until its
    integral is that of its halves to the last digit, and while the log joint moves much within it.
    """
    lines = np.linspace(-_RADIUS, _RADIUS, _PANELS + 1)
    edges = np.unique(np.concatenate([lines, kinks[np.abs(kinks) < _RADIUS]]))
    value, error = np.empty(len(data)), np.empty(len(data))
    for i, x in enumerate(data):

        def logs(low: np.ndarray, high: np.ndarray, x: np.ndarray = x) -> np.ndarray:
            z = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * _NODES
            return log_joint(x, z.reshape(-1, 1)).reshape(z.shape)

        def integral(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
            return np.exp(np.minimum(values, 600.0)) @ _WEIGHTS * 0.5 * (high - low)

        low, high = edges[:-1], edges[1:]
        first = logs(low, high)
        top, total, off = first.max(), 0.0, 0.0
        before = integral(first - top, low, high)
        for depth in range(_DEEPEST):
            middle = 0.5 * (low + high)
            ends = np.concatenate([low, middle]), np.concatenate([middle, high])
            values = logs(*ends)
            rise = max(values.max() - top, 0.0)
            top, total, off, before = (
                top + rise, total * np.exp(-rise), off * np.exp(-rise), before * np.exp(-rise),
            )  # fmt: skip
            halves = integral(values - top, *ends).reshape(2, -1)
            after = halves.sum(axis=0)
            both = values.reshape(2, len(low), -1) - top
            most, least = both.max(axis=(0, 2)), both.min(axis=(0, 2))
            # A panel far below the maximum may hide a peak if it varies much.
            seen = (most - least < 30) | (3 * most - 2 * least < -50)
            done = (np.abs(after - before) <= _SHARE * (total + after.sum())) & seen
            done |= (middle <= low) | (middle >= high) | (depth == _DEEPEST - 1)
            total += after[done].sum()
            off += np.abs(after - before)[done].sum()
            if done.all():
                break
            low, high = (end.reshape(2, -1)[:, ~done].ravel() for end in ends)
            before = halves[:, ~done].ravel()
        value[i] = top + np.log(total)
        error[i] = off / total + 5e-15 + 1e-15 * np.abs(value[i])
    return value, error
