"""The check of 7b-geodesics: on a sphere, geodesics of the pull-back metric are great circles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders, geometry, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_TIMES = np.array([0.0, 0.25, 0.5, 1.0])


@dataclass(frozen=True)
class Start:
    """A point and a velocity in stereographic coordinates of a sphere, and the noise's scale."""

    radius: float
    scale: float
    z: Vector
    velocity: Vector

    @property
    def model(self) -> LatentModel:
        """The sphere with Gaussian noise, which multiplies its metric by 1 / scale^2."""
        return LatentModel(
            decoders.SpherePatch(self.radius), likelihoods.Gaussian(scale=self.scale)
        )

    def place(self) -> tuple[Array, Array]:
        """The latent and its velocity: within 53 degrees of the pole, and slow enough to stay."""
        return self.radius * np.array(self.z) / 2, self.radius * np.array(self.velocity) / 2


def starts() -> SearchStrategy[Start]:
    """Points and velocities whose geodesics stay away from the point that the patch omits."""
    inside = st.tuples(*[strategies.fractions(-1, 1, 4)] * 2)
    radii = st.sampled_from((1.0, 0.5, 2.0))
    return st.builds(Start, radii, st.sampled_from((1.0, 0.25)), inside, inside)


def around_the_sphere(start: Start) -> Array:
    """The great circle by hand, `(T, 3)`, in the plane of the point and the velocity."""
    return _circle(start, start.radius)


def around_a_larger_sphere(start: Start) -> Array:
    """The same with twice the radius in the angle."""
    return _circle(start, 2 * start.radius)


def along_a_line(start: Start) -> Array:
    """The image of the straight line in the latent space."""
    z, velocity = start.place()
    return decoders.SpherePatch(start.radius)(z + _TIMES[:, None] * velocity)


def _circle(start: Start, radius: float) -> Array:
    (z, velocity), sphere = start.place(), decoders.SpherePatch(start.radius)
    point, along = sphere(z), sphere.jacobian(z) @ velocity
    speed = float(np.linalg.norm(along))
    angle = (speed * _TIMES / radius)[:, None]
    ahead = start.radius * along / speed if speed else along
    return np.cos(angle) * point + np.sin(angle) * ahead


@once
def _geodesic(start: Start) -> tuple[Array, float]:
    """The library's geodesic, `(T, 2)`, and its error."""
    found = geometry.geodesic(start.model, *start.place(), _TIMES)
    return found.z, float(found.error)


def great_circles(
    start: Start, *, circle: Callable[[Start], Array] = around_the_sphere
) -> Comparison:
    """Compare the image of the library's geodesic with a great circle."""
    found, error = _geodesic(start)
    image = decoders.SpherePatch(start.radius)(found)
    # The Jacobian of the patch is at most one in size, and the error is one of any coordinate.
    off = 2 * error
    rounding = gamma(200) * start.radius
    return Comparison.all_of(
        Comparison.identity(
            image, circle(start), scale=start.radius, solver=off, rounding=rounding
        ),
        Comparison.identity(found[0], start.place()[0], scale=start.radius, rounding=rounding),
    )


GREAT_CIRCLES = Proposition(
    label="7b-geodesics",
    title="On a sphere the geodesics of the pull-back metric are great circles",
    statement=(
        r"f\text{ stereographic on the sphere of radius } r,\ \nabla_{\dot z}\dot z = 0:\quad "
        r"f(z(t)) = \cos(wt/r) f(z_0) + r\sin(wt/r)\,J\dot z_0/w,"
        r"\quad w = \|J\dot z_0\|"
    ),
    hypotheses=(("Gaussian noise of one scale", r"g = J^\top J/\sigma^2"),),
    kind="identity",
    instances=starts(),
    check=great_circles,
    controls=wrong(
        great_circles,
        {
            "the image of a straight line": {"circle": along_a_line},
            "twice the radius": {"circle": around_a_larger_sphere},
        },
    ),
    uses=("7b-curvature",),
)
