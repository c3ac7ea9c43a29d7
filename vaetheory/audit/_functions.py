"""What else is told of the functions given: their form, and the gradient of an importance bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE, WRONG, Findings

#: How much of the likelihood may change, in nats, where nothing should.
_LEAK = 1e-6
#: Slopes that are compared, the step of the differences, and the deviations that are allowed.
_SLOPES, _STEP, _DEVIATIONS = 250, 1e-5, 6.0


def form_of_functions(conduct: Any, found: Examined) -> None:
    """Note losses of each example, decoders that see the data, and names that do not exist."""
    bench, into = conduct.bench, conduct.findings
    if getattr(bench, "returned", 1) > 1:
        into.add(
            "loss.several",
            NOTE,
            bench.returned,
            "how many numbers loss(x) returns",
            f"loss(x) returns {bench.returned} numbers and not one: their sum was examined",
            "return one number, as what is minimised",
        )
    name = getattr(bench, "unknown_decoder", None)
    if name is not None:
        into.add(
            "decoder.unknown",
            NOTE,
            0.0,
            "how many attributes of the module have this name",
            f"the module has no method or submodule {name!r}: the submodules that decode(z) calls "
            "were watched in its place",
            "give the name of the one whose input is z",
        )
    if hasattr(bench, "leak"):
        changed, same = bench.leak()
        if changed > _LEAK + 10 * same:
            into.add(
                "decoder.sees-data",
                NOTE,
                changed,
                "the largest change of -log p(x given z) of an example at one z, in nats, after "
                "encode has got other data",
                "decode(z) depends on the data that were encoded before, besides z: right for an "
                "autoregressive decoder that is given its data, and a leak past z otherwise",
                "nothing, if this is meant",
            )


def slope_of_bound(
    bench: Any, function: Callable[..., Any], samples: int, size: int, into: Findings
) -> None:
    """Compare the mean gradient of an importance bound with that of its value.

    Single gradients may differ: estimators leave out a score, whose mean is 0.
    """
    off: list[float] = []
    sizes: list[float] = []
    try:
        with bench.examining(function, samples):
            directions = bench.moves.directions()
            for i in range(_SLOPES):
                case = bench.case(size)
                slopes = bench.slopes(case, directions)
                if slopes is None:
                    break
                up, down = (bench.value_at(case, directions, h) for h in (_STEP, -_STEP))
                off.append(sum(slopes.values()) - (up - down) / (2 * _STEP))
                sizes.append(abs(up - down) / (2 * _STEP))
                if i == 1 and max(map(abs, off)) <= 1e-4 * (1 + max(sizes)):
                    break
    finally:
        bench.moves.home()
    if len(off) < 3:
        return
    mean, error = float(np.mean(off)), float(np.std(off, ddof=1) / np.sqrt(len(off)))
    wrong = abs(mean) > _DEVIATIONS * error
    into.add(
        "iwae.gradient",
        WRONG if wrong else NOTE,
        mean,
        f"the mean of {len(off)} slopes of autograd along a random direction, minus those of the "
        f"value; standard error {error:.2g}",
        "the gradient of importance_bound is not that of its value, with the same noise"
        + (
            f", nor in the mean: a slope is off by {mean:.6g} +- {error:.2g}"
            if wrong
            else "; its mean agrees as far as samples tell, as where a score is left out"
        ),
        "detach nothing in the bound" if wrong else "nothing",
    )
