"""Geodesics, arc length, and the parametrisation that makes a metric constant."""

import itertools

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_metrics import half_plane, normal_family, sphere
from scipy.integrate import quad
from scipy.special import expit

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory.geometry import (
    arc_length,
    arc_length_parametrisation,
    as_metric,
    christoffel_symbols,
    geodesic,
    geodesic_between,
)
from vaetheory.rounding import gamma

# Geodesics ---------------------------------------------------------------------------------------


@given(st.integers(-3, 3), st.integers(1, 3))
@settings(max_examples=10)
def test_great_circles_are_geodesics(p, q):
    start, velocity = np.array([np.pi / 2, 0.25]), np.array([p / 4, q / 2])
    speed = np.hypot(*velocity)
    t = np.array([0.0, 0.5, 1.0, 2.0])
    path = geodesic(sphere, start, velocity, t)

    def embed(z):
        a, b = z[..., 0], z[..., 1]
        return np.stack([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)], axis=-1)

    point, out = embed(start), np.array([-np.sin(0.25), np.cos(0.25), 0.0])
    direction = (velocity[1] * out + velocity[0] * np.array([0.0, 0.0, -1.0])) / speed
    circle = np.cos(speed * t)[:, None] * point + np.sin(speed * t)[:, None] * direction
    off = np.abs(embed(path.z) - circle).max()
    assert off <= 2 * path.error + 1e-12, f"off the great circle by {off}, estimate {path.error}"
    assert path.error < 1e-8, f"a loose error figure: {path.error}"
    assert path.speed_drift < 1e-10, f"the speed is not conserved: {path.speed_drift}"


def test_many_geodesics_at_once_and_none_at_all():
    z = np.array([[[0.0, 1.0]], [[1.0, 2.0]]])
    v = np.array([[[0.0, 1.0]], [[0.0, 0.0]]])
    path = geodesic(half_plane, z, v, [0.5, 1.0])
    assert path.z.shape == (2, 1, 2, 2), f"shape {path.z.shape}"
    assert np.abs(path.z[0, 0] - [[0, np.exp(0.5)], [0, np.e]]).max() < 1e-10, "upright lines"
    assert (path.z[1, 0] == z[1, 0]).all(), "a geodesic at rest stays"
    still = geodesic(half_plane, z, v, [0.0])
    assert (still.z[..., 0, :] == z).all(), "at time 0 nothing has moved"


@given(st.integers(-4, 4), st.integers(1, 6))
@settings(max_examples=4)
def test_hyperbolic_distances(across, height):
    start, end = np.array([0.0, 1.0]), np.array([across / 2, height / 2])
    if (start == end).all():
        return
    expected = np.arccosh(1 + ((end - start) ** 2).sum() / (2 * start[1] * end[1]))
    found = geodesic_between(half_plane, start, end)
    assert abs(found.length - expected) <= 2 * found.error + 1e-13, f"{found.length}, {expected}"
    assert found.error < 1e-8, f"a loose error figure: {found.error}"
    assert np.abs(found.path.z[-1] - end).max() < 1e-9, "it does not arrive"


def test_the_fisher_distance_of_two_normals():
    """Rao's distance, sqrt 2 times the hyperbolic one of (mu / sqrt 2, sigma)."""
    found = geodesic_between(normal_family, [0.0, 1.0], [1.0, 2.0])
    expected = np.sqrt(2) * np.arccosh(1 + (0.5 + 1.0) / (2 * 1.0 * 2.0))
    assert abs(found.length - expected) < 1e-10, f"{found.length}, expected {expected}"


# Arc length --------------------------------------------------------------------------------------


def test_arc_length_of_a_circle_and_of_an_ellipse():
    flat = lambda z: anp.eye(2) + 0 * z[..., :1, None]  # noqa: E731
    ellipse = lambda t: anp.stack([3 * anp.cos(t), anp.sin(t)], axis=-1)  # noqa: E731
    found = arc_length(flat, ellipse, 0.0, 2 * np.pi)
    expected = float(4 * 3 * mpmath.ellipe(1 - mpmath.mpf(1) / 9))
    assert abs(found.value - expected) <= found.error, f"{found}, expected {expected}"
    assert found.error < 1e-10, f"a loose error figure: {found.error}"
    latitude = arc_length(sphere, lambda t: anp.stack([0 * t + 0.5, t], axis=-1), 0.0, 1.0)
    assert abs(latitude.value - np.sin(0.5)) <= latitude.error, f"{latitude}"


CURVES = {
    "parabola": decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]]),
    "sine": decoders.Sine([1.0, 2.0], [[1.0], [3.0]], [0.0, 0.5]),
    "tanh": decoders.TanhNetwork([[[4.0], [-2.0]], np.eye(2)], [[0.5, 1.0], [0.0, 0.0]]),
}


@pytest.mark.parametrize("name", CURVES)
def test_arc_length_makes_the_metric_constant(name):
    f = CURVES[name]
    by = arc_length_parametrisation(f, -2.0, 2.0, origin=0.0)
    z = np.linspace(-2.0, 2.0, 41)
    s = by.arc_length(z)
    assert (np.diff(s) > 0).all(), f"{name}: not monotone"
    assert abs(by.arc_length(0.0)) <= by.error, f"{name}: s does not vanish at the origin"
    size = by.lengths[1] - by.lengths[0]
    least = np.sqrt(as_metric(f, 1)(z[:, None]).min())
    off = np.abs(by.latent(s) - z).max()
    assert off <= gamma(40) * (2 + size / least), f"{name}: z(s(z)) is off by {off}"
    speeds = lambda t: np.linalg.norm(f.jacobian(np.array([t])))  # noqa: E731
    pieces = [quad(speeds, *ends, epsabs=0, epsrel=1e-13) for ends in itertools.pairwise(z)]
    expected, error = np.sum(pieces, axis=0)
    assert abs(size - expected) <= error + by.error, f"{name}: length {size}, expected {expected}"
    even = by.decoder(f)
    inside = np.linspace(*by.lengths, 9)[:, None]
    metric = as_metric(even, 1)
    assert np.abs(metric(inside) - 1).max() < 1e-14, f"{name}: the metric is not 1"
    assert np.abs(christoffel_symbols(even, inside)).max() < 1e-10, f"{name}: it is not constant"
    h = 2.0**-10
    slope = (even(inside[1:-1] + h) - even(inside[1:-1] - h)) / (2 * h)
    off = np.abs(even.jacobian(inside[1:-1])[..., 0] - slope).max()
    bend = np.abs(even.hessian(inside)).max() ** 2 + 1
    assert off < 40 * h**2 * bend, f"{name}: the Jacobian is off by {off}"
    bent = (even.jacobian(inside[1:-1] + h) - even.jacobian(inside[1:-1] - h)) / (2 * h)
    off = np.abs(even.hessian(inside[1:-1])[..., 0] - bent).max()
    assert off < 400 * h**2 * bend**2, f"{name}: the Hessian is off by {off}"


def test_beyond_its_interval_the_reparametrised_decoder_goes_on():
    by = arc_length_parametrisation(CURVES["parabola"], -1.0, 1.0, origin=0.0)
    even = by.decoder(CURVES["parabola"])
    model = LatentModel(even, likelihoods.Gaussian(scale=0.1), 1)
    assert np.isfinite(model.decode(np.array([[-30.0], [30.0]]))).all(), "it ends somewhere"
    edge = by.lengths[1]
    near = even(np.array([[edge - 1e-9], [edge + 1e-9]]))
    assert np.abs(near[1] - near[0]).max() < 1e-8, "it jumps at the edge"


def test_poisson_and_bernoulli_by_arc_length():
    """The arc length of a one-dimensional family is its variance-stabilising map."""
    line = decoders.Affine([[1.0]])
    z = np.linspace(-2.0, 2.0, 9)
    for likelihood, stabiliser in (
        (likelihoods.Poisson(), lambda t: 2 * np.exp(t / 2)),
        (likelihoods.Bernoulli(), lambda t: 2 * np.arcsin(np.sqrt(expit(t)))),
    ):
        by = arc_length_parametrisation(LatentModel(line, likelihood, 1), -2.0, 2.0)
        expected = stabiliser(z) - stabiliser(-2.0)
        off = np.abs(by.arc_length(z) - expected).max()
        assert off < 1e-14, f"{type(likelihood).__name__}: off by {off}"


def test_a_geodesic_that_ends_is_an_error():
    # In s = z^3 / 3 it is a straight line, which reaches z = 0 at t = 1/3 with infinite speed.
    with pytest.raises(
        ValueError, match=r"it could be followed only to t = 0\.3|positive-definite"
    ):
        geodesic(lambda z: z[..., None] ** 4, [1.0], [-1.0], [0.25, 0.3, 1.0])
