"""Ranges that encoder, decoder and data have."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings

_GAINS = (1.0, 8.0, 60.0)


def ranges(bench: Any, family: str, into: Findings) -> dict[str, tuple[float, float]]:
    """Ranges of means, log variances and outputs at parameters that are moved far."""
    loc, log_variance, outputs = _extremes(bench)
    found = {
        "posterior means": (float(loc[0]), float(loc[1])),
        "log variances": (float(log_variance[0]), float(log_variance[1])),
        "decoder": (float(outputs[0]), float(outputs[1])),
    }
    low, high = found["log variances"]
    moved = bool(bench.encoder_names())
    if not moved:
        # A frozen encoder shows the range of the data it was given, and not its own.
        low = high = np.nan
    if low >= -1e-12 and high > 0.5 and high - low > 0.2:
        into.add(
            "encoder.logvar-one-sided",
            WRONG,
            low,
            f"the least log variance at parameters up to {_GAINS[-1]:g} times as large",
            f"the log variance is never negative (it went from {low:.4g} to {high:.4g}): no "
            "posterior can be narrower than the prior",
            "leave the log variance free of softplus, ReLU and exp, or declare posterior='std' or "
            "'var' if it is one of these",
        )
    elif high <= 1e-12 and low < -1:
        into.add(
            "encoder.logvar-never-positive",
            NOTE,
            high,
            "the largest log variance",
            "the log variance is never positive: no posterior is wider than the prior, which none "
            "needs to be",
            "nothing",
        )
    elif high - low < 1e-12:
        into.add(
            "encoder.logvar-constant",
            NOTE,
            high,
            "the log variance",
            f"the log variance is always {high:.6g}",
            "nothing, if a fixed variance is meant",
        )
    elif high <= 1 + 1e-9 and low >= -1 - 1e-9 and high - low > 1:
        into.add(
            "encoder.logvar-bounded",
            WRONG,
            high,
            "the largest |v| at parameters that are moved far",
            f"the log variance stays in [{low:.4g}, {high:.4g}], as that of a tanh does: no "
            f"posterior has a deviation below {np.exp(low / 2):.3g}",
            "leave the log variance free, or clamp it far out",
        )
    low, high = found["posterior means"] if moved else (np.nan, np.nan)
    largest = max(abs(low), abs(high))
    if largest <= 1 + 1e-9 and high - low > 0.5:
        into.add(
            "encoder.mean-bounded",
            WRONG,
            largest,
            f"the largest |m| at parameters up to {_GAINS[-1]:g} times as large",
            f"the posterior means stay in [{low:.4g}, {high:.4g}], as those of a tanh or a sigmoid "
            "do, and those of a N(0, 1) prior do not",
            "leave the last layer of the means without an activation",
        )
    elif low >= -1e-12 and high > 3:
        into.add(
            "encoder.mean-one-sided",
            WRONG,
            low,
            "the least posterior mean at parameters that are moved far",
            f"the posterior means are never negative (from {low:.4g} to {high:.4g}), as behind a "
            "ReLU: half of the latent space is not used",
            "leave the last layer of the means without an activation",
        )
    data = bench.data_range()
    if family in ("normal", "laplace"):
        _bounded_decoder(found["decoder"], data, into)
    elif family == "bernoulli":
        _bounded_probabilities(found["decoder"], into)
    return {**found, "data": data}


def _extremes(bench: Any) -> tuple[tuple[float, float], ...]:
    made: list[list[tuple[float, float]]] = [[], [], []]
    for gain in _GAINS:
        for _ in range(5):
            bench.moves.move(1.0, gain)
            for of, values in zip(made, bench.outputs(), strict=True):
                finite = values[np.isfinite(values)]
                if finite.size:
                    of.append((float(finite.min()), float(finite.max())))
    bench.moves.home()
    return tuple(
        (min(a for a, _ in of), max(b for _, b in of)) if of else (np.nan, np.nan) for of in made
    )


def _bounded_decoder(
    decoder: tuple[float, float], data: tuple[float, float], into: Findings
) -> None:
    """Data that a squashed decoder cannot reach, or of which it needs only a half."""
    low, high = decoder
    known = {(0.0, 1.0): "a sigmoid", (-1.0, 1.0): "a tanh"}
    for (a, b), name in known.items():
        width = b - a
        if not (abs(low - a) < 0.05 * width and abs(high - b) < 0.05 * width):
            continue
        if not (low >= a - 1e-9 and high <= b + 1e-9):
            continue
        x0, x1 = data
        outside = x0 < a - 1e-3 or x1 > b + 1e-3
        half = (a, b) == (-1.0, 1.0) and x0 >= 0 and 0.5 < x1 <= 1 + 1e-9
        if outside or half:
            into.add(
                "data.range-mismatch",
                WRONG,
                x0 if x0 < a or half else x1,
                "the end of the range of the data",
                f"the decoder's mean lies in [{low:.4g}, {high:.4g}], as that of {name} does, and "
                f"the data in [{x0:.4g}, {x1:.4g}]: "
                + (
                    "some data cannot be reached"
                    if outside
                    else "half of the range is not needed; were the data to be scaled to [-1, 1]?"
                ),
                "scale the data to the range of the decoder, or leave its last layer free",
            )
        return


def _bounded_probabilities(decoder: tuple[float, float], into: Findings) -> None:
    """Probabilities that stay on one side of 1/2, as those of a sigmoid of a sigmoid do."""
    low, high = decoder
    if high - low > 0.1 and (low > 0.45 or high < 0.55):
        into.add(
            "data.range-mismatch",
            WRONG,
            low if low > 0.45 else high,
            "the end of the range of the decoder's probabilities",
            f"the decoder's probabilities stay in [{low:.4g}, {high:.4g}] at all parameters that "
            "were tried, as those of a sigmoid of a sigmoid do: data on the other side of 1/2 "
            "cannot be reached",
            "apply one sigmoid",
        )


def grey(part: float, nats: float, data: tuple[float, float], into: Findings) -> None:
    """Data that are not binary under a Bernoulli likelihood."""
    low, high = data
    if low < -1e-6 or high > 1 + 1e-6:
        into.add(
            "data.out-of-range",
            WRONG,
            low if low < -1e-6 else high,
            "the end of the range of the data",
            f"the data lie in [{low:.4g}, {high:.4g}] and not in [0, 1]: the cross entropy of such "
            "data has no lower bound",
            "scale the data to [0, 1]",
        )
    elif part > 0:
        into.add(
            "data.grey-values",
            BOUND,
            nats,
            "nats an example that the normaliser of the continuous Bernoulli would add to the log "
            "density at the given parameters",
            f"{100 * part:.3g} % of the data are neither 0 nor 1, where the Bernoulli is no "
            "density: the value is no bound of a log density of these data. The normaliser of the "
            f"continuous Bernoulli would add {nats:.6g} nats an example. Training as such is "
            "consistent",
            "draw binary data, use a ContinuousBernoulli, or do not report the value as a bound",
        )
