"""Checks of 5f-arc: a curve parametrised by arc length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, geometry
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import Vector
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Arc:
    """A curve z -> a z + b z^2 + c z^3 (rows), of unit noise, and a share of it."""

    coefficients: tuple[Vector, ...]
    share: float


@st.composite
def arcs(draw: DrawFn) -> Arc:
    """Curves in the plane or in space that never stand still."""
    dim = draw(st.integers(2, 3))
    rest = draw(st.tuples(*[strategies.vectors(dim - 1, -2, 2, 2)] * 3))
    # Along the first axis the speed is 1 + 3 c z^2.
    along = (1.0, 0.0, draw(st.sampled_from((0.0, 0.5))))
    rows = tuple((first, *row) for first, row in zip(along, rest, strict=True))
    assume(any(any(row) for row in rows[1:]))
    return Arc(rows, draw(st.sampled_from((0.5, 0.25, 0.75, 0.0, 1.0))))


def unit_speed(arc: Arc, *, power: int = 2, sign: float = -1.0, bent: float = 1.0) -> Comparison:
    """By arc length the tangent has length one and the second derivative is the curvature vector.

    f_ss = (f_zz - (f_z . f_zz / |f_z|^2) f_z) / |f_z|^2, from the polynomial itself.
    """
    decoder = decoders.Polynomial([[1], [2], [3]], arc.coefficients)
    by = geometry.arc_length_parametrisation(decoder, -1.0, 1.0)
    s = np.array([by.lengths[0] + arc.share * (by.lengths[1] - by.lengths[0])])
    even = by.decoder(decoder)
    z = by.latent(s)
    first, second = decoder.jacobian(z)[:, 0], decoder.hessian(z)[:, 0, 0]
    speed = float(np.linalg.norm(first))
    along = float(first @ second) / speed**2
    curvature = bent * (second + sign * along * first) / speed**power
    found, unit = even.hessian(s)[:, 0, 0], even.jacobian(s)[:, 0]
    size = 1 + float(np.linalg.norm(second)) * (1 + 1 / speed**2)
    # The latent is off by the inverse map's rounding, which moves all by the derivatives' own size.
    third = 6 * float(np.abs(np.array(arc.coefficients)).max())
    rounding = gamma(200) * size * (1 + third) * (1 + by.lengths[1] - by.lengths[0])
    return Comparison.all_of(
        Comparison.identity(unit, first / speed, scale=1.0, rounding=rounding),
        Comparison.identity(found @ unit, 0.0, scale=size, rounding=rounding),
        Comparison.identity(found, curvature, scale=size, rounding=rounding),
    )
