"""Public functions: enclosures and proofs for a model and a datum of the user."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vaetheory._validation import integer, sequence, short
from vaetheory.certify import _exact
from vaetheory.certify._balls import at_most
from vaetheory.certify._exact import Vector
from vaetheory.certify._global_maximum import prove_maximum
from vaetheory.certify._objective import offset
from vaetheory.certify._prover import Prover, domain_of
from vaetheory.certify._search import (
    ROUGH,
    default_start,
    maximisers,
    objective_at,
    tight_candidate,
    wide_candidate,
)
from vaetheory.certify._stationary import Candidate, krawczyk, split, value_at
from vaetheory.certify._workshop import bits_of
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.models import Model

#: Default radii of log evidences by latent dimension.
RADII = {1: Fraction(1, 10**30), 2: Fraction(1, 10**12)}
# Scales are doubles and would underflow at much smaller radii.
_LEAST = Fraction(1, 10**250)
#: The default radius of everything else.
RADIUS = Fraction(1, 10**25)
#: The default number of exact numbers to enclose before a proof is given up: 10 to 20 seconds.
STEPS = 8_000_000


def _limited(steps: Any) -> AbstractContextManager[None]:
    return at_most(integer("steps", steps, low=1))


@dataclass(frozen=True)
class StationaryPoint:
    """A stationary point of the ELBO: a strict local maximum, and the only one in a box.

    Attributes
    ----------
    loc, var : tuple of Enclosure
        Means and variances of q.
    elbo : Enclosure
        The ELBO at the point, in nats.
    box : tuple of (Fraction, Fraction)
        The ends, first of the means, then of the variances, of a box that holds no other
        stationary point.
    """

    loc: tuple[Enclosure, ...]
    var: tuple[Enclosure, ...]
    elbo: Enclosure
    box: tuple[tuple[Fraction, Fraction], ...]


@dataclass(frozen=True)
class Maximum:
    """The greatest ELBO over all Gaussians.

    Attributes
    ----------
    elbo : Enclosure
        In nats.
    points : tuple of StationaryPoint
        They include every maximiser; a single point is the unique maximiser.
    boxes : int
        The number of boxes of the proof.
    """

    elbo: Enclosure
    points: tuple[StationaryPoint, ...]
    boxes: int


def _prepared(model: Any, x: Any) -> tuple[Model, Vector]:
    exact = Model.of(model)
    if exact.latent_dim not in RADII:
        raise ValueError(f"model: expected 1 or 2 latent dimensions, got {exact.latent_dim}")
    with Prover().arithmetic(64) as F:
        return exact, exact.check_data(x, F)


def _radius(radius: Any, default: Fraction) -> Fraction:
    if radius is None:
        return default
    exact = _exact.positive("radius", radius)
    if exact < _LEAST:
        raise ValueError(f"radius: expected at least 1e-250, got {short(radius)}")
    return exact


def log_evidence(
    model: Any, x: Any, *, radius: _exact.Exact | None = None, steps: int = STEPS
) -> Enclosure:
    """Enclose log p(x), including the tails of the integral.

    Parameters
    ----------
    model : certify.Model or vaetheory.LatentModel
        With one or two latent dimensions.
    x : (D,) exact numbers
        Decimal text ("0.1" is 1/10), fractions, or doubles with their exact values.
    radius : exact number, optional
        The radius to reach: 1e-30 for d = 1 and 1e-12 for d = 2 by default.
    steps : int, optional
        The number of exact numbers to enclose before the proof is given up; the default of
        8,000,000 takes 10 to 20 seconds.

    Returns
    -------
    Enclosure
        In nats.

    Raises
    ------
    ValueError
        For a bad input.
    NotProved
        If the radius is not reached within the steps; no wider result is returned. A search that
        meets numbers beyond 1e308 ends in this error too.

    Notes
    -----
    For d = 1, FLINT's adaptive integrator runs on the intervals where the integrand is not
    negligible: milliseconds. For d = 2, Gauss-Legendre cells have proved errors: seconds.

    Examples
    --------
    >>> from vaetheory import certify
    >>> model = certify.Model(
    ...     certify.decoders.Polynomial([[2]], [["1"]]), certify.likelihoods.Gaussian("0.25")
    ... )
    >>> print(certify.log_evidence(model, ["1.5"], radius="1e-12"))  # doctest: +ELLIPSIS
    -1.841744206701...
    """
    model, point = _prepared(model, x)
    wanted = _radius(radius, RADII[model.latent_dim])
    with _limited(steps):
        domain = domain_of(model, point, bits_of(wanted) + 160)
        return Prover(settled=False).log_evidence(model, point, domain, wanted)[0]


def elbo(
    model: Any,
    x: Any,
    loc: Any,
    var: Any,
    *,
    radius: _exact.Exact | None = None,
    steps: int = STEPS,
) -> Enclosure:
    """Enclose the ELBO of q = N(loc, diag(var)).

    Parameters
    ----------
    model, x
        As in `log_evidence`.
    loc, var : (d,) exact numbers
    radius : exact number, optional
        1e-25 by default.
    steps : int, optional
        As in `log_evidence`.

    Raises
    ------
    ValueError
        For a bad input, or for d = 2 if the ELBO has no closed form.
    NotProved
        If the radius is not reached.

    Examples
    --------
    >>> from vaetheory import certify
    >>> model = certify.Model(certify.decoders.Circle("1"), certify.likelihoods.Gaussian("0.1"))
    >>> certify.elbo(model, ["0.6", "0.8"], ["0.9"], ["0.01"]).radius < 1e-25
    True
    """
    model, point = _prepared(model, x)
    m = _exact.vector("loc", loc, model.latent_dim)
    v = _exact.positives("var", var, model.latent_dim)

    def attempt(F: Arithmetic, bits: int) -> Number:
        target = objective_at(F, model, point, bits)
        return target.value(F.vector(m), F.vector(v)) + offset(F, model, point)

    with _limited(steps):
        return Prover(settled=False).enclose(attempt, _radius(radius, RADIUS))


def stationary_point(
    model: Any, x: Any, *, start: tuple[Any, Any] | None = None, steps: int = STEPS
) -> StationaryPoint:
    """Find and prove a stationary point of the ELBO over Gaussians (diagonal ones for d = 2).

    Krawczyk's operator proves that a box holds exactly one stationary point, and elimination proves
    that the Hessian is negative definite on the box.

    Parameters
    ----------
    model, x
        As in `log_evidence`.
    start : pair of (d,) exact numbers, optional
        The mean and variance from which the search climbs; near the posterior's peak by default.
    steps : int, optional
        As in `log_evidence`.

    Raises
    ------
    ValueError
        For a bad input, or for d = 2 if the ELBO has no closed form.
    NotProved
        If the proof fails for every box about the approximate point.

    Examples
    --------
    >>> from vaetheory import certify
    >>> model = certify.Model(certify.decoders.Affine([["2"]]), certify.likelihoods.Gaussian("1"))
    >>> certify.stationary_point(model, ["1"]).loc[0].contains("2/5")
    True
    """
    model, point = _prepared(model, x)
    with _limited(steps):
        if start is None:
            begin: Sequence[Fraction] = default_start(model, point)
        else:
            pair = sequence("start", start)
            if len(pair) != 2:
                raise ValueError(f"start: expected mean and variance, got {len(pair)} entries")
            m = _exact.vector("start[0]", pair[0], model.latent_dim)
            begin = m + _exact.positives("start[1]", pair[1], model.latent_dim)
        return _stationary(model, point, begin)


def _stationary(model: Model, x: Vector, start: Sequence[Fraction]) -> StationaryPoint:
    candidate = tight_candidate(model, x, start)
    with Prover().arithmetic(260) as F:
        target = objective_at(F, model, x)
        box = krawczyk(F, target, candidate)
        value = value_at(F, target, box) + offset(F, model, x)
        means, variances = split([Enclosure.between(*F.bounds(b)) for b in box])
        elbo_there = Enclosure.between(*F.bounds(value))
    return StationaryPoint(tuple(means), tuple(variances), elbo_there, tuple(candidate.box))


def maximum(model: Any, x: Any, *, steps: int = STEPS) -> Maximum:
    """Prove where the ELBO is greatest over *all* Gaussians, d = 1, by branch and bound.

    Parameters
    ----------
    model, x, steps
        As in `log_evidence`. If the ELBO has no closed form, as for a network, the proof may
        need several times the default number of steps.

    Raises
    ------
    ValueError
        For a bad input, or d = 2.
    NotProved
        If the proof fails.

    Examples
    --------
    The decoder z^2 has the same value at z and -z, and no single Gaussian covers both:

    >>> from vaetheory import certify
    >>> model = certify.Model(
    ...     certify.decoders.Polynomial([[2]], [["1"]]), certify.likelihoods.Gaussian("0.3")
    ... )
    >>> len(certify.maximum(model, ["1"]).points)
    2
    """
    model, point = _prepared(model, x)
    if model.latent_dim != 1:
        raise ValueError(f"model: expected 1 latent dimension, got {model.latent_dim}")
    with _limited(steps):
        return _maximum(model, point)


def _maximum(model: Model, point: Vector) -> Maximum:
    points = [_stationary(model, point, c) for c in maximisers(model, point)]
    highest = max(points, key=lambda p: p.elbo.mid).elbo
    wide = [wide_candidate(model, point, _centre(p)) for p in points]
    with Prover().arithmetic(80) as F:
        target = objective_at(F, model, point, ROUGH)
        for stationary, candidate in zip(points, wide, strict=True):
            krawczyk(F, target, candidate)
            if not _holds(candidate, stationary):
                raise NotProved("the wide box about a maximiser does not hold it")
        known = F.exact(highest.lower) - offset(F, model, point)
        known = F.exact(F.low(known))
        boxes = prove_maximum(F, model, point, target, wide, known, most=20_000)
    low, high = max(p.elbo.lower for p in points), max(p.elbo.upper for p in points)
    kept = tuple(p for p in points if p.elbo.upper >= low)
    return Maximum(Enclosure.between(low, high), kept, boxes)


def _holds(wide: Candidate, point: StationaryPoint) -> bool:
    """Whether the wide box contains the point's own box, so that both hold the same point."""
    pairs = zip(wide.box, point.box, strict=True)
    return all(a < low and high < b for (a, b), (low, high) in pairs)


def _centre(point: StationaryPoint) -> Vector:
    return tuple(e.mid for e in (*point.loc, *point.var))


def gap(model: Any, x: Any, *, radius: _exact.Exact | None = None, steps: int = STEPS) -> Enclosure:
    """Enclose log p(x) minus the greatest ELBO over all Gaussians, d = 1.

    If it is positive, *every* Gaussian q loses at least as much. For d = 2 it is the gap of the
    diagonal Gaussian that `stationary_point` finds.

    Parameters
    ----------
    model, x, radius, steps
        As in `log_evidence`; evidence and maximum share the steps.

    Raises
    ------
    ValueError, NotProved
        As `log_evidence` and `maximum`.

    Examples
    --------
    >>> from vaetheory import certify
    >>> model = certify.Model(certify.decoders.Circle("1"), certify.likelihoods.Gaussian("0.1"))
    >>> certify.gap(model, ["0.6", "0.8"]).lower > 0
    True
    """
    model, point = _prepared(model, x)
    with _limited(steps):
        evidence = log_evidence(model, point, radius=radius)
        find = maximum if model.latent_dim == 1 else stationary_point
        best = find(model, point).elbo
    return Enclosure.between(evidence.lower - best.upper, evidence.upper - best.lower)
