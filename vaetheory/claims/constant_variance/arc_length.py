"""Check of 5f-arc: a curve parametrised by arc length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, geometry
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Arc:
    """A curve z -> a z + b z^2 + c z^3 (rows), and the place of a point as a share of it."""

    coefficients: tuple[Vector, ...]
    share: float


@st.composite
def arcs(draw: DrawFn) -> Arc:
    """Curves in the plane or in space whose speed never vanishes."""
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
    bend, unit = even.hessian(s)[:, 0, 0], even.jacobian(s)[:, 0]
    size = 1 + float(np.linalg.norm(second)) * (1 + 1 / speed**2)
    # The rounding of the inverse map moves the latent, and all else in proportion to the slopes.
    third = 6 * float(np.abs(np.array(arc.coefficients)).max())
    rounding = gamma(200) * size * (1 + third) * (1 + by.lengths[1] - by.lengths[0])
    return Comparison.all_of(
        Comparison.identity(unit, first / speed, scale=1.0, rounding=rounding),
        Comparison.identity(bend @ unit, 0.0, scale=size, rounding=rounding),
        Comparison.identity(bend, curvature, scale=size, rounding=rounding),
    )


ARC_LENGTH = Proposition(
    label="5f-arc",
    title="On a line arc length makes the metric constant, and leaves the curve its bend",
    statement=(
        r"|\partial_s f| = 1,\quad \partial_s f\cdot\partial_s^2 f = 0,\quad "
        r"\partial_s^2 f = \frac1{|f'|^2}"
        r"\Big(f'' - \frac{f'\cdot f''}{|f'|^2}f'\Big),\quad s = \int|f'|\,dz"
    ),
    hypotheses=(("an immersed curve", r"d = 1,\ f' \ne 0"),),
    kind="identity",
    instances=arcs(),
    check=unit_speed,
    controls=wrong(
        unit_speed,
        {
            "one power of the speed": {"power": 1},
            "the tangential part added": {"sign": 1.0},
            "twice the bend": {"bent": 2.0},
        },
    ),
    uses=("5f",),
)
