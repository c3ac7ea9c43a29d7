"""Reparametrisations: least penalties, the bound of the cap, and where it stops to hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from vaetheory import decoders
from vaetheory.claims.constant_variance import spherical_cap
from vaetheory.claims.constant_variance.coordinates import (
    Distorted,
    Patch,
    gradients,
    least_penalty,
    penalty,
)
from vaetheory.claims.constant_variance.flat_coordinates import FlatScene, distances_from_isometry
from vaetheory.claims.constant_variance.spherical_cap import Cap, dual_bound, radial_map
from vaetheory.claims.constant_variance.tears import torn_limit, torn_penalty

CAP = Cap(1.0, 2.5, (0.25, -0.25, 0.25))
SPHERE = decoders.SpherePatch(1.0)


@pytest.mark.parametrize("dim", [1, 2])
def test_gradients_are_those_of_polynomials_and_span_the_degree(dim):
    nodes = np.random.default_rng(0).uniform(-2, 2, (12, dim))
    basis = gradients(nodes, 3, 2.0)
    assert basis.shape == (12, {1: 3, 2: 9}[dim], dim), f"shape {basis.shape}"
    # The gradients of u and u^2 v lie in their span.
    u, v = nodes[:, 0], nodes[:, -1]
    wanted = [np.eye(dim)[np.zeros(12, int)], np.stack([2 * u * v, u**2], -1)[:, :dim]]
    if dim == 1:
        wanted[1] = 3 * u[:, None] ** 2
    flat = np.swapaxes(basis, 1, 2).reshape(-1, basis.shape[1])
    for field in wanted:
        off = np.linalg.lstsq(flat, field.ravel(), rcond=None)[1]
        assert np.all(off < 1e-24), f"a monomial's gradient is off by {off}"


def test_the_least_penalty_is_stationary():
    # Differences of the penalty itself, which know nothing of the gradient in closed form.
    coarse, fine = CAP.patch(SPHERE, 8), CAP.patch(SPHERE, 12)
    found = least_penalty(coarse, fine, 3)
    basis = gradients(coarse.nodes, 3, np.abs(coarse.nodes).max())

    def moved(c):
        return penalty(coarse, found.slopes + np.einsum("ka,mkj->maj", c.reshape(-1, 2), basis))[0]

    count = 2 * basis.shape[1]
    slope = approx_fprime(np.zeros(count), moved, 1e-6)
    assert np.abs(slope).max() < 1e-5, f"a slope of {np.abs(slope).max():.3g}"
    again = minimize(moved, np.full(count, 1e-3), method="BFGS", options={"gtol": 1e-7})
    assert abs(again.fun - found.value) < 1e-8, f"another start: {again.fun - found.value:.3g}"


def test_any_linear_change_costs_and_gains_nothing():
    patch = CAP.patch(SPHERE, 8)
    linear = np.array([[2.0, 1.0], [0.0, 0.1]])
    slopes = Distorted(SPHERE, CAP.bends).slopes(patch.nodes)
    one, other = penalty(patch, slopes), penalty(patch, linear @ slopes)
    assert abs(one[0] - other[0]) <= one[1] + other[1], "a linear change of coordinates"


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_no_map_beats_its_distance_from_an_isometry(a, b):
    patch = FlatScene(decoders.Cylinder(1.0), (0.0, 0.0, 0.0))
    nodes = Patch.of(patch.flat, *patch.rule(8))
    slopes = Distorted(patch.flat, (a / 8, b / 8, 0.25)).slopes(nodes.nodes)
    distance = float(nodes.weights @ distances_from_isometry(slopes))
    value, rounding = penalty(nodes, slopes)
    assert value <= distance + rounding, f"{value} is above {distance}"


@pytest.mark.parametrize("angle", [0.125, 0.5, 1.0, 1.25])
def test_the_bound_of_the_cap_and_the_best_radial_map_meet(angle):
    bound, error = dual_bound(angle, 1.75)
    best = radial_map(angle).value
    assert bound <= best + error, f"a bound from below of {bound} above {best}"
    assert best - bound < 1e-6 * best, f"they differ by {best - bound:.3g}"


def test_the_bound_needs_its_stretch():
    loose = [dual_bound(1.0, stretch)[0] for stretch in (2.0, 2.5, 3.5, 6.0)]
    assert loose == sorted(loose, reverse=True), "more stretch allowed, a higher bound"
    assert abs(loose[0] - loose[1]) < 1e-12, "below the critical stretch nothing is lost"
    assert loose[-1] < 0, "with any stretch allowed there is nothing left to bound"


@pytest.mark.parametrize("order", [4, 9])
def test_multipliers_of_any_quality_bound_from_below(order):
    # A worse multiplier, the leading order's (R^2 - r^2) / 8, gives a lower bound.
    r, weights = spherical_cap.cap_rule(1.0, 24)
    p, c = (1 - r**2) / 8, r * np.sin(r) / 8
    value = float(weights @ spherical_cap._least(p * order / 8, c * order / 8, 2.0))
    assert value < radial_map(1.0).value, f"{value} is above what a map attains"


def test_torn_caps_cost_nothing_in_the_limit():
    bound = dual_bound(1.0, 2.5)[0]
    values = []
    for n in (16, 128, 1024, 8192):
        value, rounding, stretch = torn_penalty(1.0, n, n**-2.0)
        limit = torn_limit(1.0, n, n**-2.0)
        assert value <= limit + rounding, f"{n} petals cost {value}, more than {limit}"
        assert stretch > 2.5, "no tear at all"
        values.append(value)
    assert values[0] > bound > 1000 * values[-1], f"penalties {values}, bound {bound}"


def test_finitely_many_data_on_a_sphere_can_be_flattened():
    # Five data: coordinates that are flat at each of them, and nowhere between.
    nodes = np.array([[0.0, 0.0], [0.8, 0.1], [-0.6, 0.5], [0.2, -0.9], [-0.4, -0.5]])
    patch = Patch.of(SPHERE, nodes, np.ones(5))
    few, many = (least_penalty(patch, patch, degree).value for degree in (1, 3))
    assert few > 1e-3, f"linear coordinates cost {few}"
    assert many < 1e-12, f"cubics cost {many}"
