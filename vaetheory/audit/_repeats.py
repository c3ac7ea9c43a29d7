"""What changes from call to call: the noise, and a loss that holds a state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vaetheory.audit import _divergence, _reconstruction
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity, predicted

#: Calls of a loss with the same noise differ by less than this, relative to their size.
_STEADY = 1e-10
#: Calls one after another.
_CALLS = 4

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


@dataclass(frozen=True)
class Repeated:
    """Calls of a loss with the same data and noise, at the given parameters.

    Attributes
    ----------
    mode : bool
        Whether they were made in training mode.
    size : int
        The size of the batch.
    case : case
        Data and noise.
    values : list of float
        Of one call after another.
    changing : bool
        Whether a schedule makes them differ.
    """

    mode: bool
    size: int
    case: Any
    values: list[float]
    changing: bool = False


def steady(bench: Any, size: int, mode: bool, slack: float, into: Findings) -> Repeated:
    """Four calls with the same data and noise, and what is found if they differ."""
    bench.mode(mode)
    case = bench.case(size)
    values = [bench.values(case)[0] for _ in range(_CALLS)]
    calls = Repeated(mode, size, case, values)
    large = _STEADY * slack * (1 + abs(values[0]))
    if max(values) - min(values) <= large or not np.isfinite(values).all():
        return calls
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
        return calls
    _schedule(calls, f"in each call in {at} mode", _changing(updated), into)
    return replace(calls, changing=True)


def drifted(bench: Any, calls: Repeated, slack: float, into: Findings) -> bool:
    """Whether a loss has another value than before, after the many calls that were made since."""
    if bench.stateful:
        return False
    bench.moves.home()
    now = bench.values(calls.case)[0]
    if not abs(now - calls.values[0]) > _STEADY * slack * (1 + abs(now)):
        return False
    bench.stateful = True
    again = [bench.values(calls.case)[0] for _ in range(2)]
    if again[0] != again[1]:
        return False
    seen = replace(calls, values=[calls.values[0], now])
    _schedule(seen, "after some calls", _changing([]), into)
    return True


def _schedule(calls: Repeated, when: str, what: str, into: Findings) -> None:
    at = "training" if calls.mode else "eval"
    listed = ", ".join(f"{v:.9g}" for v in calls.values)
    into.add(
        "state.schedule",
        NOTE if calls.mode else WRONG,
        calls.values[-1] - calls.values[0],
        f"the last value minus the first, in {at} mode",
        f"the same data and noise give another loss {when} ({listed}): {what}"
        + ("" if calls.mode else "; a value at evaluation depends on how often it was asked for"),
        "give the weight as an argument, and use the declared one at evaluation",
    )


def annealed(bench: Any, calls: Repeated, found: Examined, into: Findings) -> None:
    """Name a weight of the divergence that changes from call to call.

    The differences of the values must be those of one sequence of weights, for two batches.
    """
    identity = found.identity
    if not calls.changing or identity.form != "declared" or identity.remark:
        return
    bench.moves.home()
    bench.mode(calls.mode)
    weights = [_weights(bench, case, identity) for case in (calls.case, bench.case(calls.size))]
    a, b = np.array(weights)
    if np.abs(a - b).max() > 1e-6 * (1 + np.abs(a).max()) or np.ptp(a) <= 1e-9 * np.abs(a).max():
        return
    at = "training" if calls.mode else "eval"
    # At evaluation, or where the divergence is not weighed as declared in the other mode either.
    wrong = not calls.mode or into.begins("weight.") or "kl.missing" in into
    for code in ("weight.kl", "kl.missing", "weight.declared-beta"):
        into.drop(code)
    into.add(
        "weight.kl-annealed",
        WRONG if wrong else NOTE,
        a[0],
        f"the effective beta of the next call in {at} mode",
        "the weight of the divergence changes from call to call: the effective beta of the next "
        f"ones in {at} mode is {', '.join(f'{w:.6g}' for w in a)}. Until it has reached the "
        "declared one, the value is no ELBO of the declared model",
        "audit the loss with its counter where the annealing has ended, and evaluate with the "
        "declared weight",
    )


def _weights(bench: Any, case: Any, identity: Identity) -> list[float]:
    """The effective betas of calls one after another, from where the module was given."""
    shot = bench.shot(case)
    value, _ = predicted(identity, shot)
    found = identity.fits[shot.size]
    column = _divergence.declared_columns([shot], standard=identity.standard)["KL"][0]
    values = [bench.values(case)[0]]
    bench.stateful = False
    try:
        values += [bench.values(case)[0] for _ in range(_CALLS - 1)]
    finally:
        bench.stateful = True
    r = found[_reconstruction.DECLARED]
    return [(found["KL"] + (v - value) / column) / r for v in values]


def _changing(updated: Sequence[str]) -> str:
    """What makes calls differ: buffers of these names, or what has none."""
    if not updated:
        return "a schedule or a counter inside loss(x)"
    few = ", ".join(f"`{n}`" for n in updated[:3]) + (", ..." if len(updated) > 3 else "")
    return f"each call changes the buffers {few}, as spectral norm, batch norm and counters do"
