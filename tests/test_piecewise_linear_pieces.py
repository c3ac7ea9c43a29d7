"""The parts of the exact sum: pieces of line and plane, masses, bounds, each by another road."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from pieces import exact, networks

from vaetheory import LatentModel, likelihoods
from vaetheory._piecewise_linear import gauss
from vaetheory._piecewise_linear.intervals import edges_of_pieces
from vaetheory._piecewise_linear.limits import Budget, DoesNotApply
from vaetheory._piecewise_linear.network import network_of
from vaetheory._piecewise_linear.plane import PlanePieces
from vaetheory._piecewise_linear.polygon_mass import masses
from vaetheory._piecewise_linear.polygons import Polygons
from vaetheory._piecewise_linear.subdivision import ring, subdivided
from vaetheory._piecewise_linear.tails import between, falling
from vaetheory.decoders import PiecewiseLinear

MANY = Budget(10**6)


def inner(polygons, rng):
    """A point of each polygon, a random mean of its corners."""
    weights = rng.random(polygons.corners.shape[:2])
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("kpi,kp->ki", polygons.corners, weights)


# Lines and planes in pieces ----------------------------------------------------------------------


@given(networks(dim=1))
def test_a_decoder_of_the_line_is_affine_between_its_edges(case):
    f = PiecewiseLinear.network(*case)
    edges = edges_of_pieces(f.layers, MANY)
    assert (np.diff(edges) > 0).all(), f"edges do not ascend: {edges}"
    ends = np.clip(edges, -50.0, 50.0)
    low, high = ends[:-1, None], ends[1:, None]
    for share in (0.25, 0.5, 0.9):
        chord = (1 - share) * f(low) + share * f(high)
        value = f((1 - share) * low + share * high)
        size = np.abs(f(low)) + np.abs(f(high)) + 100
        assert (np.abs(value - chord) <= 1e-12 * size).all(), f"not affine between {edges}"


@settings(max_examples=40)
@given(networks(dim=2), st.sampled_from([(0.0, 8.0), (8.0, 32.0), (0.0, 1000.0)]))
def test_the_pieces_of_the_plane_fill_it_and_their_maps_are_the_decoder(case, radii):
    f = PiecewiseLinear.network(*case)
    pieces = subdivided(f.layers, ring(*radii), MANY)
    filled = 4 * (radii[1] ** 2 - radii[0] ** 2)
    assert pieces.area().sum() == pytest.approx(filled, rel=1e-12), "gaps or overlaps"
    assert (pieces.area() >= 0).all(), "a polygon runs clockwise"
    middle, other = pieces.middle(), inner(pieces, np.random.default_rng(0))
    slope = np.einsum("kij,kj->ki", f.jacobian(middle), other - middle)
    size = np.abs(f(middle)) + np.abs(f(other)) + radii[1]
    off = np.abs(f(other) - f(middle) - slope) / size
    assert off.max() <= 1e-12, f"not affine in a piece: off by {off.max():.3g}"


def test_lines_through_one_point_and_equal_lines_make_few_pieces():
    # Sixteen lines through the origin, each of them twice and once in float32.
    angle = np.arange(16) * np.pi / 16
    weight = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    twice = np.concatenate([weight, weight, -2 * weight, np.zeros((3, 2))])
    f = PiecewiseLinear.network([twice, np.ones((1, 51))], [np.zeros(51), [0.0]])
    pieces = subdivided(f.layers, ring(0.0, 8.0), MANY)
    assert len(pieces) == 32, f"expected 32 sectors, got {len(pieces)} pieces"
    assert pieces.area().sum() == pytest.approx(256, rel=1e-14), "gaps between the sectors"


def test_the_number_of_pieces_of_one_layer_is_that_of_an_arrangement_of_lines():
    rng = np.random.default_rng(5)
    weight, bias = rng.standard_normal((12, 2)), 0.1 * rng.standard_normal(12)
    f = PiecewiseLinear.network([weight, np.ones((1, 12))], [bias, [0.0]])
    pieces = subdivided(f.layers, ring(0.0, 1e5), MANY)
    assert len(pieces) == 1 + 12 + 66, f"12 lines make 79 cells, got {len(pieces)}"
    with pytest.raises(DoesNotApply, match=r"at most \d+ linear pieces"):
        subdivided(f.layers, ring(0.0, 1e5), Budget(78))
    line = PiecewiseLinear.network([weight[:, :1], np.ones((1, 12))], [bias, [0.0]])
    with pytest.raises(DoesNotApply, match=r"at most \d+ linear pieces"):
        edges_of_pieces(line.layers, Budget(12))
    assert len(edges_of_pieces(line.layers, Budget(13))) == 14, "twelve kinks make 13 intervals"


def test_neighbours_share_the_points_at_which_a_line_crosses_them():
    # Two rectangles, given from different corners, are cut at the same numbers.
    left = np.array([[[-1.0, -0.3], [0.1, -0.3], [0.1, 0.7], [-1.0, 0.7]]])
    right = np.array([[[0.1, -0.3], [2.0, -0.3], [2.0, 0.7], [0.1, 0.7]]])
    normal = np.array([0.3, 1.1])
    cuts = []
    for corners in (left, np.roll(right, 1, axis=1)):
        side = corners @ normal - 0.2
        parts = Polygons(corners, np.array([4])).split(side, np.array([1e-13]))
        on_edge = [p for part in parts for p in part.corners[0].tolist() if p[0] == 0.1]
        cuts.append({tuple(p) for p in on_edge if p[1] not in (-0.3, 0.7)})
    assert cuts[0] == cuts[1], f"the cuts differ: {cuts}"
    assert len(cuts[0]) == 1, f"one point on the common edge, got {cuts[0]}"


# Masses ------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(
    st.one_of(st.just(-np.inf), st.floats(-12, 6)),
    st.one_of(st.just(np.inf), st.floats(-14, 4)),
)
def test_one_sided_integrals_to_thirty_digits(log_rate, log_length):
    rate, length = 10.0**log_rate, 10.0**log_length
    with mp.workdps(60 + int(2 * max(0.0, log_rate)) + 30):
        r = mpf(rate)
        start = mp.erfc(r / mp.sqrt(2))
        end = mp.mpf(0) if np.isinf(length) else mp.erfc((r + mpf(length)) / mp.sqrt(2))
        right = mp.exp(r**2 / 2) * mp.sqrt(mp.pi / 2) * (start - end)
        off = abs(float(falling(np.array([rate]), np.array([length]))[0] / right - 1))
    assert off <= 1e-14, f"rate {rate}, length {length}: relative error {off:.3g}"


@given(st.floats(-40, 40), st.floats(-12, 1.5))
def test_gaussian_masses_of_intervals_to_thirty_digits(low, log_width):
    high = low + 10.0**log_width
    value, exponent = between(np.array([low]), np.array([high]))
    with mp.workdps(50):
        a, b = mpf(low) / mp.sqrt(2), mpf(high) / mp.sqrt(2)
        if low > 0:
            right = mp.erfc(a) - mp.erfc(b)
        elif high < 0:
            right = mp.erfc(-b) - mp.erfc(-a)
        else:
            right = mp.erf(b) - mp.erf(a)
        right *= mp.sqrt(mp.pi / 2)
        off = abs(float(mpf(float(value[0])) * mp.exp(mpf(float(exponent[0]))) - right))
        allowed = float(right) * 1e-14 * (1 + low**2)
    # Near the middle the mass of a narrow interval is a difference of two values of erf.
    assert off <= allowed + 2e-16, f"from {low} to {high}: off by {off:.3g} of {float(right):.3g}"


@st.composite
def convex_polygons(draw):
    """Corners `(P, 2)` on an ellipse, counter-clockwise, and a target anywhere."""
    steps = draw(st.lists(st.integers(1, 12), min_size=3, max_size=7))
    angle = 2 * np.pi * np.cumsum(steps) / sum(steps)
    size, thin = 10.0 ** draw(st.integers(-6, 3)), 2.0 ** -draw(st.integers(0, 6))
    turn = draw(st.integers(0, 12))
    corners = size * np.stack([np.cos(angle), thin * np.sin(angle)], axis=-1)
    cos, sin = np.cos(turn), np.sin(turn)
    corners = corners @ np.array([[cos, sin], [-sin, cos]])
    move = np.array([draw(st.integers(-8, 8)), draw(st.integers(-8, 8))]) * 0.25
    return corners, move * draw(st.sampled_from([0.0, size, 1.0, 40.0]))


def mass_by_mpmath(corners, gradient):
    """Integral of exp(gradient . p - |p|^2 / 2) by quadrature of an exact inner integral."""
    points, (gx, gy) = exact(corners), exact(gradient)
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    levels = sorted({p[0] for p in points})
    total = mpf(0)
    for a, z in pairwise(levels):
        middle = (a + z) / 2
        over = []
        for (x0, y0), (x1, y1) in edges:
            if min(x0, x1) <= middle <= max(x0, x1) and x0 != x1:
                slope = (y1 - y0) / (x1 - x0)
                over.append((y0 + (middle - x0) * slope, slope))
        (low, low_slope), (high, high_slope) = min(over), max(over)

        def strip(x, low=low, low_slope=low_slope, high=high, high_slope=high_slope, middle=middle):
            u = (low + (x - middle) * low_slope - gy) / mp.sqrt(2)
            v = (high + (x - middle) * high_slope - gy) / mp.sqrt(2)
            if u > 0:
                across = mp.erfc(u) - mp.erfc(v)
            elif v < 0:
                across = mp.erfc(-v) - mp.erfc(-u)
            else:
                across = mp.erf(v) - mp.erf(u)
            return mp.exp(gx * x - x**2 / 2 + gy**2 / 2) * across

        # Only where there is mass; the rest is below exp(-60).
        steepest = max(abs(low_slope), abs(high_slope), 1)
        start, end = max(a, -11 - abs(gx)), min(z, 11 + abs(gx))
        if start >= end:
            continue
        panels = min(300, 1 + int((end - start) * (abs(gx) + 1) * steepest / 4))
        cuts = [start + (end - start) * mpf(i) / panels for i in range(panels + 1)]
        total += mp.quad(strip, cuts, maxdegree=5) * mp.sqrt(mp.pi / 2)
    return total


@settings(max_examples=15, deadline=None)
@given(convex_polygons())
def test_masses_of_polygons_to_thirty_digits(case):
    corners, target = case
    polygons = Polygons(corners[None], np.array([len(corners)]))
    place, _ = polygons.nearest(target[None])
    gradient, moved = target - place[0], corners - place[0]
    mass, bound = masses(Polygons(moved[None], polygons.count), gradient[None])
    with mp.workdps(30):
        right = mass_by_mpmath(moved, gradient)
        off = abs(float(mpf(float(mass[0])) / right - 1))
    # Corners are rounded when they are turned; that counts relative to the thickness.
    extent = np.abs(moved).max()
    thin = np.linalg.svd(moved - moved.mean(axis=0))[1][1] + 1e-300
    rounding = 60 * 2.0**-52 * (1 + min(extent, 10) / min(thin, 1) + np.hypot(*gradient))
    assert off <= bound[0] + rounding, f"relative error {off:.3g}, {rounding:.3g} allowed"
    assert bound[0] <= 1e-14, f"the bound of the rules is {bound[0]:.3g}"


def gauss_rule(nodes):
    """Nodes and weights of the Gauss-Legendre rule on [0, 1] to all digits, from nearby nodes."""
    n, exactly = len(nodes), []
    for node in nodes:
        x = 2 * mpf(float(node)) - 1
        for _ in range(4):
            value, before = mp.legendre(n, x), mp.legendre(n - 1, x)
            slope = n * (x * value - before) / (x**2 - 1)
            x -= value / slope
        exactly.append(((1 + x) / 2, 1 / ((1 - x**2) * slope**2)))
    return exactly


@pytest.mark.parametrize("n", range(len(gauss.rules())))
def test_the_proved_error_of_a_rule_holds_for_the_integrands_it_is_for(n):
    reach, nodes, weights = gauss.rules()[n]

    def integrand(u, slope, bend, start):
        # A linear function times exp(-l - m^2 / 2), with l and m at the limits of the theorem.
        line, m = 2 * mpf(reach) * slope * u, start + 2 * mpf(reach) * bend * u
        return (1 + u) * mp.exp(-line - m**2 / 2)

    with mp.workdps(40):
        rule = gauss_rule(nodes)
        apart = max(abs(float(w - mpf(float(v)))) for (_, w), v in zip(rule, weights, strict=True))
        assert apart <= 1e-15, f"another rule of {len(nodes)} nodes: weights differ by {apart:.3g}"
        for terms in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, 2.0), (0.5, 1.0, -1.0)):
            right = mp.quad(lambda u, t=terms: integrand(u, *t), [0, 1])
            off = abs(float(mp.fsum(w * integrand(x, *terms) for x, w in rule) - right))
            # The linear function is 3 / 2 in the middle.
            allowed = 1.5 * gauss.PANEL_ERROR
            assert off <= allowed, f"{len(nodes)} nodes: off by {off:.3g}, {allowed:.3g} allowed"


# Bounds ------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(networks(dim=2), st.integers(-2, 1), st.integers(0, 10**6))
def test_bounds_of_the_masses_of_pieces_hold(case, log_scale, seed):
    f = PiecewiseLinear.network(*case)
    model = LatentModel(f, likelihoods.Gaussian(scale=10.0**log_scale))
    network = network_of(model, f)
    pieces = PlanePieces.start(network, MANY)
    rng = np.random.default_rng(seed)
    X = f(rng.standard_normal((3, 2))) + 3 * 10.0**log_scale
    data = network.reduce(X).data
    n, k = np.divmod(np.arange(3 * len(pieces)), len(pieces))
    peaks = pieces.peaks(data[n], k)
    found = pieces.masses(data[n], k, peaks)
    with np.errstate(divide="ignore"):
        log_mass = np.log(found.factor) + peaks.log_joint
    crude = pieces.bounds(data).ravel()
    slack = 1e-9 + 1e-12 * np.abs(peaks.log_joint)
    for name, upper in (("box", crude), ("peak", peaks.upper)):
        over = (log_mass - upper - slack).max()
        assert over <= 0, f"a mass exceeds the bound by its {name} by {over:.3g} nats"
    # Below this the area of a sliver is rounding.
    real = peaks.lower > peaks.upper - 60
    under = (peaks.lower - log_mass - slack)[real].max(initial=-np.inf)
    assert under <= 0, f"a mass is below its lower bound by {under:.3g} nats"
