"""Christoffel symbols and curvatures of a metric.

Sign and order of indices: R^a_bcd = d_c Gamma^a_db - d_d Gamma^a_cb + Gamma^a_ce Gamma^e_db
- Gamma^a_de Gamma^e_cb, so that the unit sphere has sectional curvature +1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, representable, same_leading, vectors
from vaetheory.geometry.metric import Metric, as_metric, raised
from vaetheory.rounding import ULP


def _at(metric: object, z: ArrayLike) -> tuple[Metric, Array]:
    points = vectors("z", z, None)
    return as_metric(metric, points.shape[-1]), points


def _evaluated(metric: object, z: ArrayLike, rule: Callable[[Metric, Array], Array]) -> Array:
    """Apply a rule to a metric field at points; raise a ValueError if the result overflows."""
    field, points = _at(metric, z)
    with np.errstate(all="ignore"):
        return representable("z", rule(field, points), "symbols and curvatures")


def christoffel_symbols(metric: object, z: ArrayLike) -> Array:
    """Christoffel symbols of the second kind, Gamma^a_bc, symmetric in b and c.

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        Any argument of `as_metric`. The symbols are in closed form for models and decoders; by
        autograd, exact up to rounding, for a callable `(..., d) -> (..., d, d)` written with
        `autograd.numpy`; by differences, to about eleven digits, for any other callable.
    z : array (..., d)
        Points.

    Returns
    -------
    array (..., d, d, d)
        Indices a, b, c.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the metric is not symmetric positive definite at a point (the
        error names it).

    Examples
    --------
    The unit sphere in polar angles: Gamma^0_11 = -sin cos.

    >>> import autograd.numpy as anp
    >>> def sphere(z):
    ...     one = anp.ones_like(z[..., 0])
    ...     return anp.stack([one, anp.sin(z[..., 0]) ** 2], axis=-1)[..., None] * anp.eye(2)
    >>> round(float(christoffel_symbols(sphere, [anp.pi / 4, 0.0])[0, 1, 1]), 12)
    -0.5
    """
    return _evaluated(metric, z, lambda field, points: field.christoffel(points))


def riemann_curvature(metric: object, z: ArrayLike) -> Array:
    """Riemann curvature tensor R^a_bcd, antisymmetric in c and d.

    R^a_bcd = d_c Gamma^a_db - d_d Gamma^a_cb + Gamma^a_ce Gamma^e_db - Gamma^a_de Gamma^e_cb.

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        As for `christoffel_symbols`; differences give about nine digits.
    z : array (..., d)

    Returns
    -------
    array (..., d, d, d, d)
        Indices a, b, c, d.

    Raises
    ------
    ValueError
        As for `christoffel_symbols`.

    Notes
    -----
    Source: claim 5f: a metric is constant in some coordinates if and only if this vanishes. For a
    callable it is a difference of terms of the size of g'' and g'^2 / g, with their rounding
    errors: at a distance e from the pole of polar coordinates the curvature loses two digits for
    each digit of e. For a model or a decoder it loses none, because it is no such difference.

    Examples
    --------
    A rolled sheet has no curvature, a dented one has:

    >>> from vaetheory import decoders
    >>> cylinder = decoders.Sine([1, 1, 1e3], [[1, 0], [1, 0], [0, 1e-3]], [0, 1.5, 0])
    >>> bowl = decoders.Polynomial([[1, 0], [0, 1], [2, 0], [0, 2]],
    ...                            [[1, 0, 0], [0, 1, 0], [0, 0, 0.5], [0, 0, 0.5]])
    >>> [round(float(riemann_curvature(f, [0, 0])[0, 1, 0, 1]), 12) for f in (cylinder, bowl)]
    [0.0, 1.0]
    """
    return _evaluated(metric, z, _riemann)


def _riemann(field: Metric, points: Array) -> Array:
    return raised(field(points), field.curvature(points))


def _ricci(field: Metric, points: Array) -> Array:
    return np.einsum("...abad->...bd", _riemann(field, points))


def ricci_curvature(metric: object, z: ArrayLike) -> Array:
    """Ricci curvature R_bd = R^a_bad, symmetric, `(..., d, d)`; as for `riemann_curvature`."""
    return _evaluated(metric, z, _ricci)


def scalar_curvature(metric: object, z: ArrayLike) -> Array:
    """Scalar curvature g^bd R_bd, `(...)`: for a surface, twice the Gaussian curvature.

    Parameters and errors are those of `riemann_curvature`.
    """

    def traced(field: Metric, points: Array) -> Array:
        return np.trace(raised(field(points), _ricci(field, points)), axis1=-2, axis2=-1)

    return _evaluated(metric, z, traced)


def sectional_curvature(metric: object, z: ArrayLike, u: ArrayLike, v: ArrayLike) -> Array:
    """Sectional curvature of the plane spanned by `u` and `v` at each point.

    K = R_abcd u^a v^b u^c v^d / (g(u, u) g(v, v) - g(u, v)^2).

    Parameters
    ----------
    metric : Metric, LatentModel, Decoder or callable
        As for `riemann_curvature`.
    z : array (..., d)
    u, v : array (..., d) or (d,)
        Tangent vectors, one per point, or one for all points.

    Returns
    -------
    array (...)

    Raises
    ------
    ValueError
        As for `riemann_curvature`; also if `u` and `v` are parallel.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> hyperbolic = lambda z: anp.eye(2) / z[..., 1:, None] ** 2
    >>> round(float(sectional_curvature(hyperbolic, [0.0, 3.0], [1.0, 0.0], [1.0, 1.0])), 12)
    -1.0
    """
    field, points = _at(metric, z)
    d = points.shape[-1]
    first, second = vectors("u", u, d), vectors("v", v, d)
    for name, vector in (("u", first), ("v", second)):
        if vector.ndim > 1:
            same_leading(name, vector, "z", points)
    with np.errstate(all="ignore"):
        curvature = _sectional(field, points, first, second)
    return representable("z, u and v", curvature, "curvatures")


def _sectional(field: Metric, points: Array, first: Array, second: Array) -> Array:
    g, d = field(points), points.shape[-1]

    def product(a: Array, b: Array) -> Array:
        return np.einsum("...a,...ab,...b->...", a, g, b)

    if not (np.any(first, axis=-1).all() and np.any(second, axis=-1).all()):
        raise ValueError("u and v: expected vectors that span a plane, got a null vector")
    first, second = (
        v / np.sqrt(product(v, v))[..., None] for v in (_scaled(first), _scaled(second))
    )
    # The part of v that is orthogonal to u, so that nothing cancels in the area.
    across = second - product(first, second)[..., None] * first
    area = product(across, across)
    if (area <= (8 * d * ULP) ** 2).any():
        bad = np.broadcast_to(points, (*area.shape, d))[area <= (8 * d * ULP) ** 2][0]
        raise ValueError(
            f"u and v: expected vectors that span a plane, got parallel ones at z = {bad.tolist()}"
        )
    tensor = field.curvature(points)
    turned = np.einsum("...abcd,...a,...b,...c,...d->...", tensor, first, across, first, across)
    return turned / area


def _scaled(vectors: Array) -> Array:
    """Vectors scaled to a greatest modulus of one, so that squares do not over- or underflow."""
    return vectors / np.abs(vectors).max(axis=-1, keepdims=True)


def gaussian_curvature(metric: object, z: ArrayLike) -> Array:
    """Gaussian curvature R_0101 / det g of a surface, `(...)`.

    Parameters and errors are those of `riemann_curvature`; d must be 2.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> normal = lambda z: anp.array([[1.0, 0.0], [0.0, 2.0]]) / z[..., 1:, None] ** 2
    >>> round(float(gaussian_curvature(normal, [0.0, 3.0])), 12)
    -0.5
    """
    field, points = _at(metric, z)
    if points.shape[-1] != 2:
        raise ValueError(
            f"z: expected points of a surface, shape (..., 2), got {points.shape}; "
            "see sectional_curvature"
        )
    with np.errstate(all="ignore"):
        return representable("z", _gaussian(field, points), "curvatures")


def _gaussian(field: Metric, points: Array) -> Array:
    g = field(points)
    area = g[..., 0, 0] * g[..., 1, 1]
    if (area < np.finfo(np.float64).tiny).any() or not np.isfinite(area).all():
        raise ValueError(
            "metric: expected one whose determinant fits in float64, got diagonals down to "
            f"{g[..., [0, 1], [0, 1]].min():.3g} and up to {g[..., [0, 1], [0, 1]].max():.3g}"
        )
    return field.curvature(points)[..., 0, 1, 0, 1] / np.linalg.det(g)
