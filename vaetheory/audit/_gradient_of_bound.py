"""Whether the gradient of an importance bound is that of its value, or has its mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from vaetheory._validation import Array
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._gradient import agree, apart
from vaetheory.audit._importance import forms, log_weights
from vaetheory.audit._shots import Shot

#: Slopes that are compared, the step of the differences, and the deviations that are allowed.
_SLOPES, _STEP, _DEVIATIONS = 250, 1e-5, 6.0
#: A parameter, the slope of the value along a direction of it, and that of autograd.
Slope = tuple[str, float, float]
#: Cases in which something must hold that is exact.
_EXACT = 3


def slope_of_bound(
    bench: Any, function: Callable[..., Any], samples: int, size: int, into: Findings
) -> None:
    """Compare the gradient of an importance bound with that of its value.

    With the noise held both are numbers. For the parameters of the decoder they must be the same:
    the density of the latents does not depend on these, so that there is no score to leave out.
    For those of the encoder single gradients may differ, and only their mean counts. Parameters
    that are all held by the user have no gradient that could be wrong.
    """
    if not bench.trains():
        return
    try:
        with bench.examining(function, samples):
            if _same(bench, size):
                return
            if not _decided(bench, size, samples, into):
                _in_the_mean(bench, size, into)
    finally:
        bench.moves.home()


def _same(bench: Any, size: int) -> bool:
    """Whether all slopes are those of the value, in two cases."""
    for _ in range(2):
        case, directions = bench.case(size), bench.moves.directions()
        slopes = bench.slopes(case, directions)
        if slopes is None or not agree(bench, case, directions, sum(slopes.values()))[0]:
            return False
    return True


def _decided(bench: Any, size: int, samples: int, into: Findings) -> bool:
    """Say what is known exactly of a gradient that is not that of the value; whether it is known.

    A learned prior has parameters of its own, whose gradient may be estimated in another way.
    """
    ours = bench.encoder_names()
    rest = [n for n in bench.moves.parameters if n not in ours and not callable(bench.prior)]
    decoder: list[Slope] = []
    lost: list[Slope] = []
    left_out = 0
    for _ in range(_EXACT):
        case, directions = bench.case(size), bench.moves.directions()
        slopes = bench.slopes(case, directions)
        if slopes is None:
            whole = agree(bench, case, directions, 0.0)[1] or 0.0
            reason = "It was detached, or is a plain number"
            _wrong_gradient("all parameters", 0.0, whole, reason, into)
            return True
        wrong = _of_each(bench, case, {n: directions[n] for n in rest}, slopes)
        decoder = max(decoder, wrong, key=len)
        here = {n: d for n, d in directions.items() if n in ours}
        slope = sum(slopes[n] for n in here)
        good, difference = agree(bench, case, here, slope)
        if good or difference is None:
            continue
        if (
            all(slopes[n] == 0 for n in here)
            and apart(bench, case, [(n, difference, 0.0) for n in here])[0]
        ):
            lost.append(("the encoder", difference, 0.0))
        missing = _scores(bench, case, here)
        left_out += abs(difference - slope - missing) <= 1e-4 * (abs(missing) + abs(difference))
    if decoder:
        name, difference, slope = max(decoder, key=lambda w: abs(w[1] - w[2]))
        reason = "The density of the latents does not depend on it: no score can be left out"
        _wrong_gradient(f"`{name}`", slope, difference, reason, into)
        return True
    if len(lost) == _EXACT:
        name, difference, slope = lost[0]
        _wrong_gradient(name, slope, difference, "No gradient reaches the encoder", into)
        return True
    if left_out == _EXACT:
        into.add(
            "iwae.score-left-out",
            NOTE,
            float(samples),
            "the number of samples; of one the mean of what is left out is 0",
            "the gradient of importance_bound leaves out the weighted score of log q(z given x) "
            f"(sticking the landing). Its mean is 0 for one sample and not for {samples}: the "
            "gradient has a bias, and less noise",
            "nothing, if this is meant; squared weights (the doubly reparametrised gradient) have "
            "no bias",
        )
        return True
    return False


def _wrong_gradient(of: str, slope: float, difference: float, reason: str, into: Findings) -> None:
    into.add(
        "iwae.gradient",
        WRONG,
        slope - difference,
        "autograd's slope along a random direction minus that of the value, with one noise",
        "the gradient of importance_bound is not that of its value, with the same noise: along a "
        f"random direction of {of} autograd gives {slope:.6g}, and the value has the slope "
        f"{difference:.6g}. {reason}",
        "detach nothing in the bound",
    )


def _of_each(
    bench: Any, case: Any, directions: dict[str, Any], slopes: dict[str, float]
) -> list[Slope]:
    """The parameters whose slope is not that of the value; those that are not trained are left."""
    if not directions or agree(bench, case, directions, sum(slopes[n] for n in directions))[0]:
        return []
    wrong = []
    for name, direction in directions.items():
        good, difference = agree(bench, case, {name: direction}, slopes[name])
        if not good and difference is not None:
            wrong.append((name, difference, slopes[name]))
    return apart(bench, case, wrong)[0]


def _scores(bench: Any, case: Any, directions: dict[str, Any]) -> float:
    """The slope of the weighted log q(z given x) at latents that are held, as the bound has it."""

    def weights(shot: Shot) -> Array:
        right = forms(shot)["right"]
        scale = round(shot.values[0] / right) if right else 1
        return np.asarray(softmax(log_weights(shot), axis=0)) * scale / shot.size

    return float(sum(bench.scores(case, directions, weights).values()))


def _in_the_mean(bench: Any, size: int, into: Findings) -> None:
    """Compare means of slopes, as far as samples tell."""
    directions = bench.moves.directions()
    off: list[float] = []
    for _ in range(_SLOPES):
        case = bench.case(size)
        slopes = bench.slopes(case, directions)
        up, down = (bench.value_at(case, directions, h) for h in (_STEP, -_STEP))
        off.append(sum(slopes.values()) - (up - down) / (2 * _STEP))
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
