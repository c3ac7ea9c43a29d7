"""Geodesics from a point with a velocity, and between two points, by SciPy's solvers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import (
    LARGEST_DIMENSION,
    Array,
    as_array,
    fraction,
    integer,
    same_leading,
    vectors,
)
from vaetheory._value_equality import ByValue
from vaetheory.geometry.metric import Metric, as_metric

# SciPy's least tolerance is a hundred rounding units.
_TIGHTEST = 3e-14
#: Most evaluations of a metric for a geodesic.
_MOST_CALLS = 20_000
#: Greatest relative drift of the speed of a valid geodesic.
_LOST = 1e-3
#: Most nodes of a boundary-value problem; most steps of its end point, and their least size.
_NODES, _STEPS, _SMALLEST_STEP = 200, 40, 1e-3


@dataclass(frozen=True, eq=False)
class Geodesic(ByValue):
    """Geodesics at given times.

    Attributes
    ----------
    t : array (T,)
        The times.
    z, velocity : arrays (..., T, d)
        Positions and velocities of the geodesics.
    error : array (...)
        Estimate (not a bound) of the greatest error of `z` in any coordinate: its change when the
        solver's tolerance is a hundred times tighter.
    speed_drift : array (...)
        Greatest relative change of the speed sqrt(g(velocity, velocity)), which an exact
        geodesic conserves.
    """

    t: Array
    z: Array
    velocity: Array
    error: Array
    speed_drift: Array


def _speed(metric: Metric, z: Array, velocity: Array) -> Array:
    return np.sqrt(np.einsum("...a,...ab,...b->...", velocity, metric(z), velocity))


def _solve(metric: Metric, z: Array, velocity: Array, t: Array, rtol: float) -> tuple[Array, Array]:
    """Positions and velocities `(M, T, d)` of all geodesics at once."""
    shape = (2, *z.shape)

    calls = 0

    def slope(time: float, state: Array) -> Array:
        nonlocal calls
        calls += 1
        if calls > _MOST_CALLS:
            raise ValueError(
                f"geodesic: expected one that continues to t = {t[-1]:g}, but {_MOST_CALLS} "
                f"evaluations of the metric reached only t = {time:g}"
            )
        position, speed = state.reshape(shape)
        # If a path overflows, the solver fails and raises an error below.
        with np.errstate(all="ignore"):
            turn = np.einsum("mabc,mb,mc->ma", metric.christoffel(position), speed, speed)
        return np.stack([speed, -turn]).ravel()

    start = np.stack([z, velocity]).ravel()
    if t[-1] == 0:
        states = np.repeat(start[:, None], len(t), axis=1)
    else:
        from scipy.integrate import solve_ivp

        with np.errstate(all="ignore"):
            solution = solve_ivp(
                slope, (0.0, t[-1]), start, method="DOP853", t_eval=t, rtol=rtol, atol=rtol
            )
        if not solution.success:
            raise ValueError(
                f"geodesic: expected one that continues to t = {t[-1]:g}, but it could be followed "
                f"only to t = {solution.t[-1] if len(solution.t) else 0.0:g} ({solution.message})"
            )
        states = solution.y
    position, speed = np.moveaxis(states.reshape(*shape, len(t)), -1, -2)
    return position, speed


def geodesic(
    metric: object, z: ArrayLike, velocity: ArrayLike, t: ArrayLike, *, rtol: float = 1e-11
) -> Geodesic:
    """Geodesics from the points `z` with the velocities `velocity` at time 0.

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        Any argument of `as_metric`.
    z, velocity : arrays (..., d)
        Points and velocities, with the same leading axes.
    t : array (T,)
        Increasing times, none of them negative.
    rtol : float
        Relative and absolute tolerance of SciPy's DOP853; the returned geodesic is computed with a
        tolerance a hundred times tighter (at least 3e-14).

    Returns
    -------
    Geodesic

    Raises
    ------
    ValueError
        If the shapes do not fit, the times are not increasing, a geodesic reaches a point where
        the metric is not positive definite, or its speed changes by more than a thousandth.

    Examples
    --------
    In the hyperbolic half-plane vertical lines are geodesics, with y = exp(t):

    >>> import autograd.numpy as anp
    >>> hyperbolic = lambda z: anp.eye(2) / z[..., 1:, None] ** 2
    >>> path = geodesic(hyperbolic, [0.0, 1.0], [0.0, 1.0], [0.0, 1.0])
    >>> path.z.round(9).tolist()
    [[0.0, 1.0], [0.0, 2.718281828]]
    """
    points = vectors("z", z, None)
    d = points.shape[-1]
    speeds = vectors("velocity", velocity, d)
    same_leading("velocity", speeds, "z", points)
    times = as_array("t", t, ndim=1)
    if not times.size or times[0] < 0 or (np.diff(times) <= 0).any():
        raise ValueError(f"t: expected increasing times from 0 on, got {times.tolist()}")
    rtol = fraction("rtol", rtol, low=_TIGHTEST, high=1e-3)
    field = as_metric(metric, d)
    flat, flat_speeds = points.reshape(-1, d), speeds.reshape(-1, d)
    loose, _ = _solve(field, flat, flat_speeds, times, rtol)
    position, speed = _solve(field, flat, flat_speeds, times, max(rtol / 100, _TIGHTEST))
    with np.errstate(over="ignore", invalid="ignore"):
        begin, along = _speed(field, flat, flat_speeds), _speed(field, position, speed)
    # A geodesic at rest stays at rest.
    drift = np.abs(along - begin[:, None]) / np.where(begin > 0, begin, 1.0)[:, None]
    if not (drift <= _LOST).all():
        bad = int(np.nanargmax(np.where(np.isnan(drift), np.inf, drift).max(axis=1)))
        raise ValueError(
            "geodesic: expected one that float64 can follow, but its speed, which is conserved, "
            f"changed by {np.nanmax(drift[bad]):.3g} of itself, from z = {flat[bad].tolist()} with "
            f"velocity {flat_speeds[bad].tolist()}"
        )
    shape = points.shape[:-1]
    return Geodesic(
        times,
        position.reshape(*shape, len(times), d),
        speed.reshape(*shape, len(times), d),
        error=np.abs(position - loose).max(axis=(1, 2)).reshape(shape),
        speed_drift=drift.max(axis=1).reshape(shape),
    )


def _initial_velocity(metric: Metric, first: Array, last: Array) -> Array:
    """Initial velocity of a geodesic from `first` to `last` in unit time, by SciPy's solve_bvp.

    The end point moves from `first` to `last` along a straight line. Each step is as large as the
    solver can follow, starting from the previous geodesic; often one step is enough.
    """
    from scipy.integrate import solve_bvp

    d = len(first)

    def slope(_: Array, state: Array) -> Array:
        position, speed = state[:d].T, state[d:].T
        turn = np.einsum("mabc,mb,mc->ma", metric.christoffel(position), speed, speed)
        return np.concatenate([speed.T, -turn.T])

    mesh = np.linspace(0.0, 1.0, 33)
    state = np.concatenate([np.tile(first[:, None], 33), np.zeros((d, 33))])
    done, step, message = 0.0, 1.0, ""
    for _ in range(_STEPS):
        if done == 1:
            break
        share = min(done + step, 1.0)
        end = first + share * (last - first)
        move = (share - done) * (last - first)[:, None]
        guess = state + np.concatenate([move * mesh, np.tile(move, len(mesh))])

        def ends(left: Array, right: Array, end: Array = end) -> Array:
            return np.concatenate([left[:d] - first, right[:d] - end])

        try:
            with np.errstate(all="ignore"):
                solution = solve_bvp(slope, ends, mesh, guess, tol=1e-3, max_nodes=_NODES)
            solved, message = solution.success, solution.message
        except ValueError as error:
            # The solver has tried a point without a metric.
            solved, message = False, str(error)
        if solved:
            done, state = share, solution.sol(mesh)
            step *= 2
            continue
        step /= 4
        if step < _SMALLEST_STEP:
            break
    if done < 1:
        raise ValueError(
            f"geodesic_between: expected a geodesic from {first.tolist()} to {last.tolist()}, "
            f"got none beyond {(first + done * (last - first)).tolist()} ({message})"
        )
    return state[d:, 0]


@dataclass(frozen=True, eq=False)
class GeodesicSegment(ByValue):
    """A geodesic between two points, from time 0 to 1.

    Attributes
    ----------
    velocity : array (d,)
        Initial velocity.
    length : float
        Length of the segment, sqrt(g(velocity, velocity)).
    error : float
        Estimate of the error of `length`: the distance by which the end point is missed and the
        solver's error, measured in the metric, plus the drift of the speed.
    path : Geodesic
        The segment at equally spaced times from 0 to 1.
    """

    velocity: Array
    length: float
    error: float
    path: Geodesic


def geodesic_between(
    metric: object, start: ArrayLike, end: ArrayLike, *, points: int = 33, rtol: float = 1e-11
) -> GeodesicSegment:
    """A geodesic from `start` to `end`, found by continuation along the straight line between them.

    SciPy's boundary-value solver finds it, with the end point moved in steps if necessary; shooting
    with its initial velocity makes it precise. The length of any geodesic is stationary; if there
    are several geodesics, this one need not be the shortest.

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        Any argument of `as_metric`.
    start, end : arrays (d,)
        Two different points.
    points : int
        Number of points at which the path is returned.
    rtol : float
        Tolerance, as for `geodesic`.

    Returns
    -------
    GeodesicSegment

    Raises
    ------
    ValueError
        If the shapes do not fit, the points are equal, no geodesic was found, or the metric is not
        positive definite on the path.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> hyperbolic = lambda z: anp.eye(2) / z[..., 1:, None] ** 2
    >>> segment = geodesic_between(hyperbolic, [0.0, 1.0], [1.0, 1.0])
    >>> round(segment.length, 9), round(float(anp.arccosh(1.5)), 9)
    (0.96242365, 0.96242365)
    """
    first = as_array("start", start, ndim=1)
    last = vectors("end", end, len(first))
    if last.ndim != 1:
        raise ValueError(f"end: expected shape ({len(first)},), got {last.shape}")
    if (first == last).all():
        raise ValueError(
            f"start and end: expected two different points, got {first.tolist()} twice"
        )
    points = integer("points", points, low=2, high=LARGEST_DIMENSION)
    rtol = fraction("rtol", rtol, low=_TIGHTEST, high=1e-3)
    d = len(first)
    field = as_metric(metric, d)
    times = np.linspace(0.0, 1.0, points)

    from scipy.optimize import root

    towards = _initial_velocity(field, first, last)

    def miss(velocity: Array) -> Array:
        position, _ = _solve(field, first[None], velocity[None], times[[0, -1]], rtol)
        return position[0, -1] - last

    aimed = root(miss, towards, options={"xtol": 1e-13})
    velocity = aimed.x
    path = geodesic(field, first, velocity, times, rtol=rtol)
    # Measured in the metric at the end, like the length.
    left = np.abs(path.z[-1] - last) + path.error
    missed = float(_speed(field, last, left))
    length = float(_speed(field, first, velocity))
    if missed > 1e-6 * length:
        raise ValueError(
            f"geodesic_between: expected a geodesic from {first.tolist()} to {last.tolist()}, "
            f"got one that misses by {missed:.3g}"
        )
    error = missed + length * float(path.speed_drift)
    return GeodesicSegment(velocity, length, error, path)
