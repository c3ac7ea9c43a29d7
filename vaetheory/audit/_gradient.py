"""Whether the gradient that is trained with is that of the value, with the noise held."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory.audit._findings import NOTE, WRONG, Findings

_STEPS = (1e-5, 1e-6, 1e-7)


def gradient(bench: Any, size: int, factor: float, one_sample: bool, into: Findings) -> None:
    """Compare autograd with differences of the value, along random directions.

    Parameters
    ----------
    bench : object
        At parameters that are moved a little.
    size : int
        The size of the batch.
    factor : float
        What the sum of log q(z given x) over the batch is multiplied with in the loss.
    one_sample : bool
        Whether the divergence is estimated by a sample, so that a part of its gradient, whose mean
        is 0, may be left out on purpose.
    """
    case = bench.case(size)
    bench.moved(case.x, 0.3, 1.0)
    directions = bench.moves.directions()
    if not bench.trains():
        return
    slopes = bench.slopes(case, directions)
    if slopes is None:
        into.add(
            "gradient.none",
            WRONG,
            0.0,
            "the number of parameters on which the loss depends for autograd",
            "the loss has no gradient: it was detached, or made a plain number",
            "return the tensor itself",
        )
        return
    whole = sum(slopes.values())
    if agree(bench, case, directions, whole)[0]:
        return
    # A step along what a call moves back, as an embedding of bounded norm, is no step.
    back = bench.projected(case) if hasattr(bench, "projected") else []
    directions = {n: d for n, d in directions.items() if n not in back}
    wrong = []
    scores = bench.scores(case, directions) if one_sample else None
    left_out = 0
    for name, direction in directions.items():
        good, difference = agree(bench, case, {name: direction}, slopes[name])
        if good or difference is None:
            continue
        if scores is not None:
            # The value's slope is autograd's plus that of log q at z held.
            missing = factor * scores[name]
            if abs(difference - slopes[name] - missing) <= 1e-4 * (abs(missing) + abs(difference)):
                left_out += 1
                continue
        wrong.append((name, difference, slopes[name]))
    wrong, untrained = apart(bench, case, wrong)
    if untrained:
        into.add(
            "gradient.untrained",
            NOTE,
            float(len(untrained)),
            "the number of parameters that require a gradient, and get none in the declared model "
            "either",
            f"no gradient reaches {len(untrained)} of {len(directions)} parameters, such as "
            f"`{untrained[0]}`, in the loss or in encode, decode, likelihood and prior by "
            "themselves: they are not trained, as where a part runs under torch.no_grad()",
            "nothing, if this part is meant to stay as it is; requires_grad_(False) says so",
        )
    if wrong:
        name, difference, slope = max(wrong, key=lambda w: abs(w[1] - w[2]))
        into.add(
            "gradient.detached",
            WRONG,
            slope - difference,
            f"autograd's slope along a random direction of `{name}` minus that of the value",
            f"the gradient is not that of the value, with the same noise, for {len(wrong)} of "
            f"{len(directions)} parameters: along a random direction of `{name}` autograd gives "
            f"{slope:.6g}, and the value has the slope {difference:.6g}. Something is detached, "
            "sampled with sample() in place of rsample(), or replaced on the way",
            "use rsample(), and no detach(), .data or .item() within the loss",
        )
    elif left_out:
        into.add(
            "gradient.score-left-out",
            NOTE,
            float(left_out),
            "the number of parameters whose gradient lacks exactly the slope of log q at z held",
            "the gradient leaves out the score of log q(z given x), whose mean is 0 (sticking the "
            "landing): it is an estimate without bias of the gradient",
            "nothing",
        )


def apart(
    bench: Any, case: Any, wrong: list[tuple[str, float, float]]
) -> tuple[list[tuple[str, float, float]], list[str]]:
    """Those whose gradient is lost in the loss, and those that get none in the model either."""
    if not any(slope == 0 for _, _, slope in wrong) or not hasattr(bench, "reached"):
        return wrong, []
    reached = bench.reached(case.x)
    if reached is None:
        return wrong, []
    untrained = [name for name, _, slope in wrong if slope == 0 and name not in reached]
    return [w for w in wrong if w[0] not in untrained], untrained


def agree(
    bench: Any, case: Any, directions: dict[str, Any], slope: float
) -> tuple[bool, float | None]:
    """Whether a slope is that of the value, and the slope of the value where it is known.

    A kink within a step is no finding: all steps must disagree with autograd, and agree with each
    other.
    """
    found = []
    for h in _STEPS:
        up, down = bench.value_at(case, directions, h), bench.value_at(case, directions, -h)
        difference = (up - down) / (2 * h)
        rounding = 1e-14 * (abs(up) + abs(down)) / h
        found.append(difference)
        if not np.isfinite(difference) or abs(difference - slope) <= (
            1e-4 * (abs(difference) + abs(slope)) + 30 * rounding + 1e-8
        ):
            return True, difference
    off = max(abs(d - slope) for d in found)
    return False, found[1] if max(found) - min(found) < 0.1 * off else None
