"""Decoders: the derivatives that each one carries are those of the map that it is.

The oracle is autograd on a second writing of the same map. Both sides round, so they may differ by
a few dozen units of roundoff times a majorant: the sum of the absolute values of all terms of the
derivatives and of their slopes in the argument, worked out beside each decoder.
"""

import itertools

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import erf, expit, gammaln
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special

from vaetheory import AggregatePosterior, OptimalDecoder, decoders, derivatives
from vaetheory.rounding import gamma

OPERATIONS = 100


def quarters(shape, most=8):
    """Arrays of multiples of 1/4 in [-most/4, most/4]; they shrink to small integers over 4."""
    return arrays(np.int64, shape, elements=st.integers(-most, most)).map(lambda a: a / 4)


def absolute_row_sum(matrix):
    return np.abs(matrix).sum(axis=-1).max(initial=0.0)


@st.composite
def affine(draw):
    d, size = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    weight, bias = draw(quarters((size, d))), draw(quarters(size))
    return (
        decoders.Affine(weight, bias),
        lambda z: anp.dot(z, weight.T) + bias,
        d,
        lambda z: absolute_row_sum(weight) * (1 + np.abs(z).max()) + np.abs(bias).max(),
    )


@st.composite
def polynomial(draw):
    d, size, count = (draw(st.integers(1, 3)) for _ in range(3))
    powers = draw(arrays(np.int64, (count, d), elements=st.integers(0, 4)))
    coefficients = draw(quarters((count, size)))

    def function(z):
        out = np.zeros(size)
        for p, c in zip(powers, coefficients, strict=True):
            term = anp.ones_like(z[..., :1])
            for j in range(d):
                for _ in range(p[j]):
                    term = term * z[..., j : j + 1]
            out = out + term * c
        return out

    degree = powers.sum(axis=1)
    return (
        decoders.Polynomial(powers, coefficients),
        function,
        d,
        lambda z: (
            (np.abs(coefficients).max(axis=1) * (1 + degree) ** 2) @ (1 + np.abs(z).max()) ** degree
        ),
    )


@st.composite
def circle(draw):
    radius = draw(st.integers(1, 12)) / 4
    return (
        decoders.Circle(radius),
        lambda z: radius * anp.concatenate([anp.cos(z / radius), anp.sin(z / radius)], axis=-1),
        1,
        lambda z: (1 + np.abs(z).max() / radius) * (radius + 1 + 1 / radius),
    )


@st.composite
def helix(draw):
    radius, pitch = draw(st.integers(1, 12)) / 4, draw(st.integers(1, 12)) / 4
    length = np.sqrt(radius**2 + pitch**2)
    return (
        decoders.Helix(radius, pitch),
        lambda z: anp.concatenate(
            [radius * anp.cos(z / length), radius * anp.sin(z / length), pitch * z / length],
            axis=-1,
        ),
        1,
        lambda z: (1 + np.abs(z).max() / length) * (radius + pitch + 1 + 1 / length),
    )


@st.composite
def catenary(draw):
    a = draw(st.integers(1, 12)) / 4
    return (
        decoders.Catenary(a),
        lambda z: anp.concatenate([a * anp.arcsinh(z / a), anp.sqrt(a**2 + z**2)], axis=-1),
        1,
        # Autograd's second derivative is a difference of terms of size 1 / a.
        lambda z: (1 + np.abs(z).max() / a) ** 2 * (a + 1 + 1 / a),
    )


def bent(z, radius):
    return radius * anp.concatenate([anp.cos(z / radius), anp.sin(z / radius)], axis=-1)


@st.composite
def cylinder(draw):
    radius = draw(st.integers(1, 12)) / 4
    return (
        decoders.Cylinder(radius),
        lambda z: anp.concatenate([bent(z[..., :1], radius), z[..., 1:]], axis=-1),
        2,
        lambda z: (1 + np.abs(z).max() / radius) * (radius + 1 + 1 / radius) + np.abs(z).max(),
    )


@st.composite
def flat_torus(draw):
    radii = draw(st.integers(1, 12)) / 4, draw(st.integers(1, 12)) / 4
    return (
        decoders.FlatTorus(*radii),
        lambda z: anp.concatenate([bent(z[..., :1], radii[0]), bent(z[..., 1:], radii[1])], -1),
        2,
        lambda z: sum((1 + np.abs(z).max() / r) * (r + 1 + 1 / r) for r in radii),
    )


@st.composite
def sphere_patch(draw):
    radius = draw(st.integers(1, 12)) / 4

    def function(z):
        s = 1 + anp.sum(z**2, axis=-1, keepdims=True) / (4 * radius**2)
        return anp.concatenate([z / s, radius * (2 / s - 1)], axis=-1)

    # 1 / s <= 1; its derivatives carry at most two factors |z| / r^2 each.
    return (
        decoders.SpherePatch(radius),
        function,
        2,
        lambda z: (1 + np.abs(z).max() ** 2 / radius**2) ** 3 * (1 + radius + 1 / radius**2),
    )


@st.composite
def tanh_network(draw):
    d, layers = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sizes = [d, *(draw(st.integers(1, 3)) for _ in range(layers))]
    weights = [draw(quarters((b, a))) for a, b in itertools.pairwise(sizes)]
    biases = [draw(quarters(b)) for b in sizes[1:]]

    def function(z):
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            z = anp.tanh(anp.dot(z, w.T) + b)
        return anp.dot(z, weights[-1].T) + biases[-1]

    def majorant(z):
        # |tanh'|, |tanh''| and |tanh'''| are at most 2; a second derivative meets each layer's
        # weight at most twice, and once more through the rounding of its argument.
        out, size = 1.0, np.abs(z).max()
        for w, b in zip(weights, biases, strict=True):
            slope = absolute_row_sum(w)
            out *= 2 * (1 + slope) ** 2 * (1 + slope * size + np.abs(b).max())
            size = 1.0
        return out

    return decoders.TanhNetwork(weights, biases), function, d, majorant


@st.composite
def sine(draw):
    d, size = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    amplitude, frequency, phase = (
        draw(quarters(size)),
        draw(quarters((size, d))),
        draw(quarters(size)),
    )

    def majorant(z):
        slope = absolute_row_sum(frequency)
        argument = 1 + slope * np.abs(z).max() + np.abs(phase).max()
        return np.abs(amplitude).max() * (1 + slope) ** 2 * argument

    return (
        decoders.Sine(amplitude, frequency, phase),
        lambda z: amplitude * anp.sin(anp.dot(z, frequency.T) + phase),
        d,
        majorant,
    )


@st.composite
def optimal(draw):
    d, size, count = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    X, loc = draw(quarters((count, size))), draw(quarters((count, d)))
    variances = draw(arrays(np.int64, (count, d), elements=st.integers(1, 8))) / 4
    tilt = draw(st.integers(-1, 1)) / 10
    cov = variances[..., None] * np.eye(d) + tilt * (1 - np.eye(d))
    if draw(st.booleans()):
        cov = np.broadcast_to(cov[0], cov.shape)
    precision = np.linalg.inv(cov)
    log_det = np.linalg.slogdet(precision)[1]

    def logits(z):
        away = [z - m for m in loc]
        squares = [anp.sum(anp.dot(a, p) * a, -1) for a, p in zip(away, precision, strict=True)]
        return anp.stack([0.5 * (h - s) for h, s in zip(log_det, squares, strict=True)], axis=-1)

    def function(z):
        height = logits(z)
        weights = anp.exp(height - anp.max(height, axis=-1, keepdims=True))
        return anp.dot(weights / anp.sum(weights, axis=-1, keepdims=True), X)

    def majorant(z):
        # A k-th cumulant is a sum of at most 2^k k! products of one datum and k scores; its
        # argument, the weights, carry the rounding of the logits.
        scores = absolute_row_sum(precision) * (np.abs(z).max() + np.abs(loc).max())
        argument = 1 + np.abs(logits(z)).max() + scores**2
        return 8 * np.abs(X).max() * (1 + scores + absolute_row_sum(precision)) ** 2 * argument

    return OptimalDecoder(X, AggregatePosterior(loc, cov=cov)), function, d, majorant


KINDS = [
    affine,
    polynomial,
    circle,
    helix,
    catenary,
    cylinder,
    flat_torus,
    sphere_patch,
    tanh_network,
    sine,
    optimal,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_values_and_derivatives_are_those_of_the_map(kind):
    @given(kind(), st.data())
    def holds(case, data):
        decoder, function, d, majorant = case
        z = data.draw(quarters((2, d)), label="z")
        bound = gamma(OPERATIONS) * majorant(z)
        size = decoder(z).shape[-1]
        weights = data.draw(quarters((2, size)), label="weights")
        pairs = {
            "value": (decoder(z), function(z)),
            "Jacobian": (decoder.jacobian(z), derivatives.jacobian(function, z)),
            "Hessian": (decoder.hessian(z), derivatives.hessian(function, z)),
        }
        for name, (ours, oracle) in pairs.items():
            assert ours.shape == oracle.shape, f"{name}: shape {ours.shape}, not {oracle.shape}"
            off = np.abs(ours - oracle).max()
            assert off <= bound, f"the {name} is off by {off:.3g}, rounding explains {bound:.3g}"
        ours, oracle = decoder.vjp(z, weights), decoder.jacobian(z)
        off = np.abs(ours - np.einsum("ni,nij->nj", weights, oracle)).max()
        most = bound * np.abs(weights).sum(axis=-1).max()
        assert ours.shape == (2, d), f"backward pass: shape {ours.shape}, not {(2, d)}"
        assert off <= most, f"the backward pass is off by {off:.3g}, not within {most:.3g}"
        ours = decoder.weighted_hessian(z, weights)
        oracle = derivatives.weighted_hessian(function, z, weights)
        off, bound = np.abs(ours - oracle).max(), bound * np.abs(weights).sum(axis=-1).max()
        assert ours.shape == (2, d, d), f"weighted Hessian: shape {ours.shape}, not {(2, d, d)}"
        assert off <= bound, f"the weighted Hessian is off by {off:.3g}, not within {bound:.3g}"

    holds()


FUNCTIONS = {
    "constant": (lambda z: anp.full((*z.shape[:-1], 1), 3.0), lambda z: (0 * z, 0 * z)),
    "constant by arithmetic": (lambda z: 0.0 * z + 1.0, lambda z: (0 * z, 0 * z)),
    "identity": (lambda z: z, lambda z: (1 + 0 * z, 0 * z)),
    "square": (lambda z: z**2, lambda z: (2 * z, 2 + 0 * z)),
    "error function": (
        erf,
        lambda z: (
            2 / np.sqrt(np.pi) * np.exp(-(z**2)),
            -4 * z / np.sqrt(np.pi) * np.exp(-(z**2)),
        ),
    ),
    "logistic": (
        expit,
        lambda z: (
            special.expit(z) * special.expit(-z),
            -special.expit(z) * special.expit(-z) * np.tanh(z / 2),
        ),
    ),
    "log gamma": (
        lambda z: gammaln(z + 3.0),
        lambda z: (special.digamma(z + 3), special.polygamma(1, z + 3)),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(k=st.integers(-8, 8))
def test_functions_of_one_number_have_their_textbook_derivatives(name, k):
    # erf, expit and gammaln have no forward rule in autograd: these go by reverse mode.
    function, truth = FUNCTIONS[name]
    decoder, z = decoders.FunctionDecoder(function), np.array([[k / 4]])
    first, second = truth(z[0, 0])
    # Numbers of at most 10, special functions to some 50 roundings.
    bound = 10 * gamma(OPERATIONS)
    got = {
        "value": (decoder(z)[0, 0], function(z)[0, 0]),
        "slope": (decoder.jacobian(z)[0, 0, 0], first),
        "second derivative": (decoder.hessian(z)[0, 0, 0, 0], second),
        "weighted": (decoder.weighted_hessian(z, np.array([[-2.0]]))[0, 0, 0], -2 * second),
        "backward pass": (decoder.vjp(z, np.array([[-2.0]]))[0, 0], -2 * first),
    }
    for what, (ours, expected) in got.items():
        off = abs(ours - expected)
        assert off <= bound, f"{name}: the {what} at {k / 4} is off by {off:.3g}"


def test_reverse_mode_couples_latents_and_outputs():
    # No forward rule: the Jacobian of erf(z W^T) with its mixed second derivatives.
    W = np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0]])
    decoder, z = decoders.FunctionDecoder(lambda z: erf(anp.dot(z, W.T))), np.array([[0.3, -0.2]])
    t = z @ W.T
    slope = 2 / np.sqrt(np.pi) * np.exp(-(t**2))
    jacobian = slope[..., None] * W
    hessian = (-2 * t * slope)[..., None, None] * W[:, :, None] * W[:, None, :]
    bound = 10 * gamma(OPERATIONS)
    np.testing.assert_allclose(decoder.jacobian(z), jacobian, rtol=0, atol=bound, err_msg="J")
    np.testing.assert_allclose(decoder.hessian(z), hessian, rtol=0, atol=bound, err_msg="H")
    weights = np.array([[1.0, -2.0, 3.0]])
    np.testing.assert_allclose(
        decoder.weighted_hessian(z, weights),
        np.einsum("ni,nijk->njk", weights, hessian),
        rtol=0,
        atol=6 * bound,
        err_msg="weighted Hessian",
    )


def test_curves_have_the_metric_and_curvature_they_state():
    z = np.linspace(-5, 5, 11)[:, None]
    helix, catenary = decoders.Helix(3.0, 4.0), decoders.Catenary(0.5)
    for curve, curvature in (
        (decoders.Circle(0.5), 2.0),
        (helix, helix.curvature),
        (catenary, catenary.curvature(z)),
    ):
        speed = np.linalg.norm(curve.jacobian(z)[..., 0], axis=-1)
        bend = np.linalg.norm(curve.hessian(z)[..., 0, 0], axis=-1)
        np.testing.assert_allclose(speed, 1.0, rtol=gamma(20), err_msg="not at unit speed")
        np.testing.assert_allclose(bend, curvature, rtol=gamma(20), err_msg="not that curvature")
    assert helix.curvature == 0.12, f"r / (r^2 + p^2) = 3/25, got {helix.curvature}"


def test_surfaces_have_the_metric_they_state():
    z = np.stack(np.meshgrid(*[np.linspace(-2, 2, 5)] * 2), axis=-1)
    for flat in (decoders.Cylinder(0.5), decoders.FlatTorus(0.5, 2.0)):
        J = flat.jacobian(z)
        off = np.abs(np.swapaxes(J, -1, -2) @ J - np.eye(2)).max()
        assert off <= gamma(20), f"{flat}: the metric is off by {off:.3g}"
    sphere = decoders.SpherePatch(1.5)
    J, s = sphere.jacobian(z), 1 + (z**2).sum(axis=-1) / 9
    off = np.abs(np.swapaxes(J, -1, -2) @ J - np.eye(2) / s[..., None, None] ** 2).max()
    assert off <= gamma(40), f"the sphere's metric is off by {off:.3g}"
    off = np.abs(np.linalg.norm(sphere(z), axis=-1) - 1.5).max()
    assert off <= 1.5 * gamma(20), f"not on the sphere by {off:.3g}"
