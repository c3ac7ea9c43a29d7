"""Laws about what a likelihood states: flags, bounds, suprema, limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.likelihoods.base import ExponentialFamily, Likelihood, NoMetricError
from vaetheory.likelihoods.elementwise import ElementwiseLikelihood
from vaetheory.rounding import gamma
from vaetheory.testing._likelihoods import LAWS, Family, has_metric
from vaetheory.testing._statements import (
    NotApplicable,
    Violation,
    direction,
    require_close,
    rounding_of,
)

#: Steps over which the concavity of log densities is tested.
_STEPS = 2.0 ** np.arange(-8, 5)
#: The search for the greatest log density: first offsets, refinements, points of each refinement.
_OFFSETS = np.concatenate([[0.0], 2.0 ** np.arange(-20, 31), -(2.0 ** np.arange(-20, 31))])
_REFINEMENTS, _POINTS = 30, 17
#: Relative distance up to which log_prob must come near the supremum.
_CLOSE = 1e-6
#: Bounds that these classes define are defaults, not statements of a family.
_BASES = (Likelihood, ExponentialFamily, ElementwiseLikelihood)
#: Params on the way to infinity.
_NEARER, _FARTHER = 32.0, 1024.0


@LAWS.add("rows", when=lambda f: f.concave)
def concave(s: Family) -> None:
    """A family with concave = True has concave log densities."""
    along = direction(s.params.shape[-1])
    for t in s.params:
        # The second difference of three log densities is at most zero, up to rounding.
        centre = t + (np.array([-8.0, -1.0, 0.0, 1.0, 8.0])[:, None, None] * along)
        step = _STEPS[:, None] * along
        three = [
            s.instance.log_prob(s.x.copy(), (centre + k * step)[:, :, None]) for k in (-1, 0, 1)
        ]
        bend = three[0] - 2 * three[1] + three[2]
        moved = np.abs(three[2] - three[0]) * (1 + np.abs(centre).max(axis=-1))[..., None]
        slack = gamma(256) * (1 + sum(map(np.abs, three)) + moved / _STEPS[:, None])
        bad = np.isfinite(bend) & (bend > slack)
        if bad.any():
            i, j, k = (int(n) for n in np.argwhere(bad)[0])
            raise Violation(
                f"expected a log density that is concave in the params, got {bend[i, j, k]:.6g} "
                f"more at the ends of a chord than twice in its middle, at x = {s.x[k].tolist()} "
                f"between params {(centre - step)[i, j].tolist()} and "
                f"{(centre + step)[i, j].tolist()}"
            )


def _definite(f: Likelihood) -> bool:
    """Whether a family itself defines the information that searches for modes use."""
    own = getattr(type(f), "definite_information", None)
    return has_metric(f) and own is not Likelihood.definite_information


@LAWS.add("observed_information", when=_definite)
def definite_information(s: Family) -> None:
    """The definite form of the observed information has no negative eigenvalue."""
    eye = np.eye(s.params.shape[-1])
    for t in s.params:
        params = np.tile(t, (len(s.x), 1))
        matrix = np.asarray(s.instance.definite_information(s.x.copy(), params, eye))
        least = np.linalg.eigvalsh(matrix)[..., 0]
        bad = ~(least >= -gamma(256) * np.abs(matrix).max(axis=(-2, -1)))
        if bad.any():
            i = int(bad.argmax())
            raise Violation(
                "expected definite_information without negative eigenvalues, got "
                f"{least[i]:.6g} at x = {s.x[i].tolist()}, params = {t.tolist()}"
            )


@LAWS.add("score", when=lambda f: f.natural)
def natural(s: Family) -> None:
    """The score of a family with natural = True is x minus a function of the params."""
    for t in s.params:
        found = s.instance.score(s.x.copy(), t.copy())
        slack = rounding_of(lambda p: s.instance.score(s.x.copy(), p), np.tile(t, (len(s.x), 1)))
        require_close(
            f"the change of the score from x = {s.x[0].tolist()} to other data, at params = "
            f"{t.tolist()},",
            found - found[0],
            s.x - s.x[0],
            slack + slack[0] + gamma(16) * (np.abs(s.x) + np.abs(s.x[0])),
        )


def _bounded(f: Likelihood) -> bool:
    """Whether a family itself states bounds of its second derivatives."""
    methods = ("require_bounds", "curvature_bounds", "curvature_range")
    return not f.natural and any(
        getattr(type(f), name, None) not in [getattr(base, name, None) for base in _BASES]
        for name in methods
    )


@LAWS.add("rows", "concave", when=_bounded)
def curvature_bounds(s: Family) -> None:
    """Second derivatives lie between the bounds that are stated for them."""
    try:
        s.instance.require_bounds(s.x.shape[-1])
        if s.instance.elementwise:
            s.instance.require_bounds_at(s.x.copy(), np.resize(s.params, s.x.shape))
    except ValueError as error:
        raise Violation(str(error).removeprefix("likelihood: ")) from None


@LAWS.add("rows")
def greatest_log_prob(s: Family) -> None:
    """Greatest_log_prob is the supremum of log_prob over the params."""
    f, x = s.instance, s.x
    best = np.repeat(s.params, -(-len(x) // len(s.params)), axis=0)[: len(x)]
    width = np.inf
    # If a dimension has several params, the best value of one depends on the others.
    for refinement in [*range(_REFINEMENTS + 1)] * f.params_each:
        offsets = _OFFSETS if refinement == 0 else np.linspace(-width, width, _POINTS)
        gaps = []
        for j in range(best.shape[-1]):
            tried = best[:, None] + offsets[:, None] * np.eye(best.shape[-1])[j]
            height = s.heights(x[:, None].copy(), tried.copy())
            chosen = np.where(np.isnan(height), -np.inf, height).argmax(axis=1)
            best = np.take_along_axis(tried, chosen[:, None, None], 1)[:, 0]
            gaps.append(np.abs(offsets[chosen]).max())
        width = max(max(gaps), 2.0**-20) if refinement == 0 else width / 4
    best = _polished(s, x, best)
    came = np.asarray(f.log_prob(x.copy(), best.copy()))
    stated = np.asarray(f.greatest_log_prob(x.copy()))
    slack = rounding_of(lambda t: s.heights(x.copy(), t), best) + gamma(64) * np.abs(stated)
    for bad, what in (
        (~(came <= stated + slack), "no log_prob above"),
        (stated - came > slack + _CLOSE * (1 + np.abs(stated)), "params whose log_prob comes near"),
    ):
        if bad.any():
            i = int(bad.argmax())
            raise Violation(
                f"expected {what} greatest_log_prob, {stated[i]:.9g} at x = {x[i].tolist()}, got "
                f"{came[i]:.9g} at params = {best[i].tolist()}"
            )


def _polished(s: Family, x: Array, best: Array) -> Array:
    """If the params depend on each other, maximise over all of them from there."""
    if s.instance.elementwise or best.shape[-1] == 1:
        return best
    from scipy.optimize import minimize

    found = best.copy()
    for i, (datum, start) in enumerate(zip(x, best, strict=True)):
        end = minimize(
            lambda t, x: -float(s.heights(x.copy(), t.copy())),
            start,
            args=(datum,),
            method="BFGS",
            options={"maxiter": 100},
        ).x
        if np.isfinite(end).all() and s.heights(datum, end) > s.heights(datum, start):
            found[i] = end
    return found


@LAWS.add("inputs", when=lambda f: not has_metric(f))
def no_metric(s: Family) -> None:
    """The information of a family without a metric raises a NoMetricError."""
    eye = np.eye(s.params.shape[-1])
    calls: dict[str, Callable[[], Any]] = {
        "fisher_information": partial(s.instance.fisher_information, s.params.copy()),
        "observed_information": partial(s.observed, s.x[0], s.params[0], eye),
    }
    for name, call in calls.items():
        try:
            found = call()
        except NoMetricError:
            continue
        raise Violation(
            f"expected {name} to raise a NoMetricError, because the family states '"
            f"{s.instance.no_metric}', got {np.shape(found)}"
        )


@LAWS.add("rows")
def limits(s: Family) -> None:
    """At infinite params the log density is its limit, or a ValueError is raised."""
    f, seen = s.instance, False
    for sign in (-1.0, 1.0):
        for j in range(s.params.shape[-1]):
            infinite, near, far = (np.tile(s.params[0], (len(s.x), 1)) for _ in range(3))
            infinite[:, j], near[:, j], far[:, j] = sign * np.inf, sign * _NEARER, sign * _FARTHER
            try:
                limit = np.asarray(f.log_prob(s.x.copy(), infinite))
            except ValueError:
                continue
            seen = True
            first, last = (np.asarray(f.log_prob(s.x.copy(), t)) for t in (near, far))
            slack = rounding_of(partial(f.log_prob, s.x), far) + gamma(64) * np.abs(limit)
            closer = np.abs(last - limit) <= 0.5 * np.abs(first - limit) + slack
            ends = np.where(limit == -np.inf, (last < first) | (last == -np.inf), closer)
            bad = ~(ends | np.isnan(last))
            if bad.any():
                i = int(bad.argmax())
                raise Violation(
                    f"expected the limit of log_prob at x = {s.x[i].tolist()} as entry {j} of "
                    f"params goes to {sign * np.inf:g}, got {limit[i]:.9g}, while it is "
                    f"{first[i]:.9g} at {sign * _NEARER:g} and {last[i]:.9g} at "
                    f"{sign * _FARTHER:g}"
                )
    if not seen:
        raise NotApplicable("the family states no limits at infinity")


@LAWS.add("rows")
def reduced(s: Family) -> None:
    """The simpler likelihood has the same log density, up to the offset."""
    simpler, data, offset = s.instance.reduced(s.x.copy())
    for t in s.params:
        many = np.tile(t, (len(s.x), 1))
        slack = sum(
            rounding_of(partial(family.log_prob, x), many)
            for family, x in ((s.instance, s.x), (simpler, data))
        )
        came = simpler.log_prob(data, t.copy()) + offset
        size = slack + gamma(64) * np.abs(offset)
        what = f"log_prob of the reduced likelihood, at params = {t.tolist()},"
        require_close(what, came, s.instance.log_prob(s.x.copy(), t.copy()), size)
