"""Extrapolated differences, and the metrics that they differentiate."""

import autograd.numpy as anp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vaetheory import derivatives, differences
from vaetheory.geometry import christoffel_symbols, gaussian_curvature


def diagonal(*entries):
    return anp.stack(entries, axis=-1)[..., None] * anp.eye(len(entries))


def sphere(z):
    """The unit sphere in polar angles."""
    return diagonal(anp.ones_like(z[..., 0]), anp.sin(z[..., 0]) ** 2)


@given(st.integers(-8, 8), st.integers(-8, 8), st.integers(1, 3))
def test_they_agree_with_autograd(a, b, frequency):
    def function(z):
        u, v = z[..., 0], z[..., 1]
        return anp.stack([anp.sin(frequency * u) * v, anp.exp(u / 2 - v), u**2 * v**3], axis=-1)

    z = np.array([[a / 4, b / 4], [b / 8, 1.0]])
    for name, tolerance in (("jacobian", 1e-10), ("hessian", 1e-8)):
        exact = getattr(derivatives, name)(function, z)
        off = np.abs(getattr(differences, name)(function, z) - exact).max()
        assert off <= tolerance * (1 + np.abs(exact).max()), f"{name}: off by {off}"


def test_plain_numpy_metrics_are_differentiated_by_differences():
    def plain(z):
        g = np.zeros((*z.shape, 2))
        g[..., 0, 0], g[..., 1, 1] = 1.0, np.sin(z[..., 0]) ** 2
        return g

    z = np.array([[0.5, 0.3], [1.0, 2.0], [0.05, 0.0]])
    off = np.abs(christoffel_symbols(plain, z) - christoffel_symbols(sphere, z)).max(axis=(1, 2, 3))
    assert (off[:2] < 1e-11).all(), f"Christoffel symbols off by {off}"
    found = gaussian_curvature(plain, z)
    assert (np.abs(found - 1)[:2] < 1e-9).all(), f"curvature {found}"
    assert abs(found[2] - 1) < 1e-5, f"close to the pole digits are lost, yet not all: {found[2]}"
    beyond = gaussian_curvature(lambda z: np.eye(2) / np.asarray(z)[..., 1:, None] ** 2, [0, 0.01])
    assert abs(beyond + 1) < 1e-8, f"steps that leave the domain are passed over: {beyond}"


def test_metrics_of_single_points_serve_single_points():
    def one_point(z):
        return np.array([[1.0, 0.0], [0.0, np.sin(z[0]) ** 2]])

    assert abs(gaussian_curvature(one_point, [1.0, 0.5]) - 1) < 1e-9, "plain NumPy"
    traced = gaussian_curvature(lambda z: anp.diag(anp.array([1.0, anp.sin(z[0]) ** 2])), [1.0, 0])
    assert abs(traced - 1) < 1e-9, "autograd"


def test_a_batch_is_asked_for_in_few_calls(monkeypatch):
    calls = []

    def function(z):
        calls.append(z.shape)
        return np.stack([np.sin(z[..., 0]) * z[..., 1], np.exp(z[..., 1])], axis=-1)

    z = np.arange(10.0).reshape(5, 2) / 8
    whole = differences.hessian(function, z)
    assert len(calls) == 6, f"the points and all shifted ones, for three pairs of axes: {calls}"
    for most in (1, 50, 100):
        monkeypatch.setattr(differences, "_TOGETHER", most)
        apart = differences.hessian(function, z)
        assert np.array_equal(apart, whole), f"other numbers if {most} fit in a call"
    single = [differences.hessian(function, point) for point in z]
    assert np.array_equal(single, whole), "other numbers point by point"
    assert calls[-1] == (2,), "a function asked at one point is given single points"
