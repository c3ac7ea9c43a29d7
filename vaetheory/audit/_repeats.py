"""What changes from call to call: the noise, and a loss that holds a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaetheory.audit._findings import NOTE, WRONG, Findings

#: Calls of a loss with the same noise differ by less than this, relative to their size.
_STEADY = 1e-10

#: The law and the shape of a draw.
Key = tuple[str, tuple[int, ...]]


def census(bench: Any, size: int, mode: bool, into: Findings) -> tuple[list[Key], bool]:
    """The draws of a call, and whether only the whole batch can be evaluated.

    Draws that are the same in each call are a finding.
    """
    bench.mode(mode)
    error: Exception | None = None
    for n in dict.fromkeys((size, len(bench.x))):
        try:
            x = bench.rows(n)
            first = bench.run(bench.loss, x, seed=11)
            break
        except Exception as e:
            error = e
    else:
        assert error is not None
        raise error
    again = bench.run(bench.loss, x, seed=12)
    same = [
        a.law in ("normal", "uniform") and a.numbers > 0 and bool((a.base == b.base).all())
        for a, b in zip(first.draws, again.draws, strict=False)
        if a.base.shape == b.base.shape
    ]
    if same and any(same):
        into.add(
            "noise.constant",
            WRONG,
            float(sum(same)),
            "the number of draws that are the same in two calls with other seeds",
            "loss(x) draws the same noise in each call: a seed is set inside it",
            "set no seed inside the loss",
        )
    return [d.key for d in first.draws], error is not None


def steady(bench: Any, size: int, mode: bool, slack: float, into: Findings) -> list[float] | None:
    """The values of four calls with the same data and noise, if a schedule makes them differ."""
    bench.mode(mode)
    case = bench.case(size)
    values = [bench.values(case)[0] for _ in range(4)]
    large = _STEADY * slack * (1 + abs(values[0]))
    if max(values) - min(values) <= large or not np.isfinite(values).all():
        return None
    at = "training" if mode else "eval"
    updated = bench.updated(case) if hasattr(bench, "updated") else []
    bench.stateful = True
    again = [bench.values(case)[0] for _ in range(3)]
    if max(again) - min(again) > large:
        into.add(
            "undecided.random",
            NOTE,
            max(again) - min(again),
            f"the spread of three values in {at} mode",
            "loss(x) gives other values for the same data, noise and parameters, and its "
            "randomness cannot be held",
            bench.advice["generator"],
        )
        return None
    into.add(
        "state.schedule",
        NOTE if mode else WRONG,
        values[-1] - values[0],
        f"the fourth value minus the first, in {at} mode",
        f"the same data and noise give another loss in each call in {at} mode "
        f"({', '.join(f'{v:.9g}' for v in values)}): {_changing(updated)}"
        + ("" if mode else "; a value at evaluation depends on how often it was asked for"),
        "give the weight as an argument, and use the declared one at evaluation",
    )
    return values


def _changing(updated: Sequence[str]) -> str:
    """What makes calls differ: buffers of these names, or what has none."""
    if not updated:
        return "a schedule or a counter inside loss(x)"
    few = ", ".join(f"`{n}`" for n in updated[:3]) + (", ..." if len(updated) > 3 else "")
    return f"each call changes the buffers {few}, as spectral norm, batch norm and counters do"
