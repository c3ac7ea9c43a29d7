"""The optimal decoder: the mean of the data weighted by who encodes near z, and its derivatives."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import make_jvp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp, mpf

from vaetheory import AggregatePosterior, OptimalDecoder, derivatives
from vaetheory.likelihoods import Bernoulli, Categorical, Gamma, Gaussian, Poisson, StudentT
from vaetheory.optimal_decoder import optimal_parameters
from vaetheory.rounding import gamma

OPERATIONS = 200


def integers(shape, low, high):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a.astype(float))


@st.composite
def instances(draw, shared=None, count=None):
    """Data, codes, covariances and points: `(N, D)`, `(N, d)`, `(N, d, d)`, `(2, d)`."""
    d, size = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    count = draw(st.integers(1, 4)) if count is None else count
    X, loc = draw(integers((count, size), -4, 4)), draw(integers((count, d), -4, 4)) / 2
    factor = draw(integers((count, d, d), -1, 1))
    cov = factor @ np.swapaxes(factor, -1, -2) / 2 + np.eye(d) / 2
    if draw(st.booleans()) if shared is None else shared:
        cov = np.broadcast_to(cov[0], cov.shape)
    return X, loc, cov, draw(integers((2, d), -6, 6)) / 2


def precise(X, loc, cov, z, digits=30):
    """f*(z) and Cov[x | z] at one point, to many digits, from the exact values of the floats."""
    with mp.workdps(digits + 20):
        weights = []
        for m, S in zip(loc, cov, strict=True):
            S = mp.matrix(S.tolist())
            r = mp.matrix([mpf(float(a)) - mpf(float(b)) for a, b in zip(z, m, strict=True)])
            weights.append(mp.exp(-(r.T * mp.inverse(S) * r)[0] / 2) / mp.sqrt(mp.det(S)))
        total, size = mp.fsum(weights), range(X.shape[1])
        w = [a / total for a in weights]
        data = [[mpf(float(v)) for v in x] for x in X]
        mean = [mp.fsum(a * x[i] for a, x in zip(w, data, strict=True)) for i in size]
        second = [
            [
                mp.fsum(
                    a * (x[i] - mean[i]) * (x[j] - mean[j]) for a, x in zip(w, data, strict=True)
                )
                for j in size
            ]
            for i in size
        ]
        return np.array(mean), np.array(second)


def sizes(X, loc, cov, z):
    """Diameter of the data, size of the scores and of the logits: what rounding scales with."""
    precision = np.linalg.inv(cov)
    scores = np.abs(precision).sum(-1).max() * (np.abs(z).max() + np.abs(loc).max())
    spread = 1 + np.ptp(X, axis=0).max()
    away = z[..., None, :] - loc
    logits = 1 + np.abs(np.einsum("...ni,nij,...nj->...n", away, precision, away)).max()
    return spread, 1 + scores + np.abs(precision).max(), logits * np.linalg.cond(cov).max()


@settings(max_examples=40)
@given(instances())
def test_value_and_covariance_are_the_weighted_ones_to_thirty_digits(instance):
    X, loc, cov, z = instance
    f = OptimalDecoder(X, AggregatePosterior(loc, cov=cov))
    spread, _, logits = sizes(X, loc, cov, z)
    values, covs = f(z), f.cov(z, allow_singular=True)
    for i, point in enumerate(z):
        mean, second = precise(X, loc, cov, point)
        bound = gamma(OPERATIONS) * (spread * logits + np.abs(X).max())
        off = float(np.abs(values[i] - mean).max())
        assert off <= bound, f"f*({point}) is off by {off:.3g}, rounding explains {bound:.3g}"
        bound = gamma(OPERATIONS) * spread**2 * logits
        off = float(np.abs(covs[i] - second).max())
        assert off <= bound, f"Cov[x|z] at {point} is off by {off:.3g}, bound {bound:.3g}"


def test_forty_deviations_out_the_nearest_codes_still_share_the_weight():
    # Four codes about the origin; z is 40 deviations away, where every density is exp(-800).
    loc = np.array([[0.0, 0.0], [0.02, -0.03], [-0.01, 0.04], [-1.0, -1.0]])
    X = np.array([[1.0, 2.0], [-3.0, 0.5], [0.25, -1.0], [100.0, 100.0]])
    cov, z = np.array([[1.0, 0.5], [0.5, 2.0]]) * 1e-2, np.array([4.0, 4.0])
    f = OptimalDecoder(X, AggregatePosterior(loc, cov=cov))
    mean, second = precise(X, loc, np.broadcast_to(cov, (4, 2, 2)), z)
    spread, _, logits = sizes(X, loc, np.broadcast_to(cov, (4, 2, 2)), z)
    bound = gamma(20) * spread * logits
    assert bound < 1e-8, f"the bound {bound:.3g} would not tell right from wrong"
    off = float(np.abs(f(z) - mean).max())
    assert off <= bound, f"f* is off by {off:.3g}, rounding explains {bound:.3g}"
    off = float(np.abs(f.cov(z) - second).max())
    assert off <= bound * spread, f"Cov[x|z] is off by {off:.3g}, bound {bound * spread:.3g}"
    shares = np.sort(f.encoder.responsibilities(z))
    assert shares[-2] > 1e-4, f"one code has all the weight, too easy: {shares}"


def test_a_covariance_keeps_its_digits_where_one_datum_has_almost_all_the_weight():
    # Odds exp(-2 m z) against the other: the variance is (2a)^2 w (1 - w), relative digits kept.
    f = OptimalDecoder([[-1.0], [1.0]], AggregatePosterior([[-1.0], [1.0]], scale=1.0))
    for z in (5.0, 10.0, 20.0, 300.0):
        expected = 4 * np.exp(-2 * z) / (1 + np.exp(-2 * z)) ** 2
        off = abs(f.cov([z])[0, 0] / expected - 1)
        bound = gamma(20) * (1 + (z + 1) ** 2)
        assert off <= bound, f"variance at {z}: relative error {off:.3g}, bound {bound:.3g}"


def along(function, direction):
    """The derivative along a direction by autograd, itself differentiable."""
    return lambda y: make_jvp(function)(y)(anp.ones_like(y) * direction)[1]


@settings(max_examples=40)
@given(instances())
def test_derivatives_are_those_of_the_weighted_mean(instance):
    X, loc, cov, z = instance
    f = OptimalDecoder(X, AggregatePosterior(loc, cov=cov))
    precision = np.linalg.inv(cov)
    heights = 0.5 * np.linalg.slogdet(precision)[1]

    def function(y):
        logits = anp.stack(
            [
                h - 0.5 * anp.sum(anp.dot(y - m, p) * (y - m), -1)
                for h, m, p in zip(heights, loc, precision, strict=True)
            ],
            axis=-1,
        )
        weights = anp.exp(logits - anp.max(logits, axis=-1, keepdims=True))
        return anp.dot(weights / anp.sum(weights, axis=-1, keepdims=True), X)

    spread, scores, logits = sizes(X, loc, cov, z)
    # A k-th derivative is a sum of at most 2^k k! products of a datum and k scores.
    bound = gamma(OPERATIONS) * (spread + np.abs(X).max()) * logits
    pairs = [
        (f.jacobian(z), derivatives.jacobian(function, z), 2),
        (f.hessian(z), derivatives.hessian(function, z), 8),
    ]
    if f.encoder.shared:
        axes = np.eye(z.shape[1])
        third = [
            [[along(along(along(function, a), b), c)(z) for c in axes] for b in axes] for a in axes
        ]
        oracle = np.moveaxis(np.array(third), (0, 1, 2), (-3, -2, -1))
        pairs.append((f.derivative(z, order=3), oracle, 48))
    for order, (ours, oracle, factor) in enumerate(pairs, start=1):
        limit = bound * factor * scores**order
        off = np.abs(ours - oracle).max()
        assert ours.shape == oracle.shape, f"order {order}: {ours.shape}, not {oracle.shape}"
        assert off <= limit, f"derivative {order} is off by {off:.3g}, bound {limit:.3g}"
        assert (f.derivative(z, order=order) == ours).all(), f"derivative(order={order}) differs"


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(-16, 16))
def test_two_points_decode_to_a_tanh(a, m, s, k):
    a, m, s, z = a / 2, m / 4, s / 4, np.array([k / 4])
    f = OptimalDecoder([[-a], [a]], AggregatePosterior([[-m], [m]], scale=s))
    rate = m / s**2
    t = np.tanh(rate * z[0])
    expected = [a * t, a * rate * (1 - t**2), -2 * a * rate**2 * t * (1 - t**2)]
    expected.append(a * rate**3 * (1 - t**2) * (6 * t**2 - 2))
    got = [f(z)[0], f.jacobian(z)[0, 0], f.hessian(z)[0, 0, 0]]
    got.append(f.derivative(z, order=3)[0, 0, 0, 0])
    # The logits, of this size, round; a score is at most (|z| + m) / s^2.
    logits, score = 1 + (abs(z[0]) + m) ** 2 / s**2, 1 + (abs(z[0]) + m) / s**2
    for order, (ours, truth) in enumerate(zip(got, expected, strict=True)):
        bound = gamma(OPERATIONS) * a * logits * 8 * score**order
        assert abs(ours - truth) <= bound, f"derivative {order} of a tanh: {ours}, not {truth}"


@given(instances(), st.data())
def test_covariance_is_numpys_with_the_responsibilities_as_weights(instance, data):
    X, loc, cov, z = instance
    encoder = AggregatePosterior(loc, cov=cov)
    f = OptimalDecoder(X, encoder)
    weights = encoder.responsibilities(z)
    bound = gamma(OPERATIONS) * (1 + np.abs(X).max()) ** 2
    for i in range(len(z)):
        theirs = np.cov(X.T, aweights=weights[i], ddof=0).reshape(X.shape[1], X.shape[1])
        off = np.abs(f.cov(z, allow_singular=True)[i] - theirs).max()
        assert off <= bound, f"off numpy.cov(aweights, ddof=0) by {off:.3g}, bound {bound:.3g}"


def test_a_singular_covariance_is_refused_unless_asked_for():
    line = OptimalDecoder([[0.0, 0.0], [1.0, 1.0]], AggregatePosterior([[-1.0], [1.0]], scale=1.0))
    with pytest.raises(ValueError, match=r"cov: expected a non-singular.*z = \[0.5\].*less than 2"):
        line.cov([[0.5]])
    off = np.abs(line.cov([0.0], allow_singular=True) - 0.25).max()
    assert off <= gamma(50), f"the singular covariance is off by {off:.3g}"
    single = OptimalDecoder([[3.0]], AggregatePosterior([[0.0]], scale=1.0))
    with pytest.raises(ValueError, match="allow_singular=True returns the matrix"):
        single.cov([0.0])
    assert single.cov([0.0], allow_singular=True) == 0, "one datum has no spread"
    # Three data that span the plane: none of it is singular, wherever z is.
    triangle = OptimalDecoder(
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], AggregatePosterior(np.eye(3), scale=1.0)
    )
    assert triangle.cov(np.zeros((4, 5, 3))).shape == (4, 5, 2, 2), "leading axes are kept"


@settings(max_examples=50)
@given(instances(), st.integers(1, 8), st.booleans(), st.data())
def test_moving_and_scaling_the_data_moves_and_scales_the_decoder(instance, k, negative, data):
    X, loc, cov, z = instance
    factor = -k / 2 if negative else k / 2
    shift = data.draw(integers(X.shape[1], -8, 8), label="shift")
    encoder = AggregatePosterior(loc, cov=cov)
    f, g = OptimalDecoder(X, encoder), OptimalDecoder(factor * X + shift, encoder)
    spread, scores, _ = sizes(X, loc, cov, z)
    # The weights are the same floats; only the sums over the data round.
    size = abs(factor) * (spread + np.abs(X).max()) + np.abs(shift).max(initial=0)
    for what, moved, expected, scale in (
        ("f*", g(z), factor * f(z) + shift, 1.0),
        ("Jacobian", g.jacobian(z), factor * f.jacobian(z), scores),
        ("Hessian", g.hessian(z), factor * f.hessian(z), scores**2),
        (
            "covariance",
            g.cov(z, allow_singular=True),
            factor**2 * f.cov(z, allow_singular=True),
            size,
        ),
    ):
        off, bound = np.abs(moved - expected).max(), gamma(OPERATIONS) * size * scale * 8
        assert off <= bound, f"{what} is off its image by {off:.3g}, bound {bound:.3g}"


@settings(max_examples=50)
@given(instances(), st.data())
def test_moving_the_latent_space_moves_the_decoder(instance, data):
    X, loc, cov, z = instance
    shift = data.draw(integers(loc.shape[1], -8, 8), label="shift") / 2
    f = OptimalDecoder(X, AggregatePosterior(loc, cov=cov))
    g = OptimalDecoder(X, AggregatePosterior(loc + shift, cov=cov))
    spread, scores, logits = sizes(X, loc, cov, z)
    away = (1 + np.abs(shift).max()) ** 2
    bound = gamma(OPERATIONS) * (spread * logits * away + np.abs(X).max())
    for order, method in enumerate(("__call__", "jacobian", "hessian")):
        moved, expected = getattr(g, method)(z + shift), getattr(f, method)(z)
        off, limit = np.abs(moved - expected).max(), bound * 8 * (scores * away) ** order
        assert off <= limit, f"{method} is off its image by {off:.3g}, bound {limit:.3g}"


@settings(max_examples=50)
@given(instances(count=4), st.permutations(range(4)))
def test_the_order_of_the_data_does_not_matter(instance, order):
    X, loc, cov, z = instance
    f = OptimalDecoder(X, AggregatePosterior(loc, cov=cov))
    g = OptimalDecoder(X[order], AggregatePosterior(loc[order], cov=cov[order]))
    spread, scores, logits = sizes(X, loc, cov, z)
    bound = gamma(OPERATIONS) * (spread * logits + np.abs(X).max())
    for k, method in enumerate(("__call__", "jacobian", "hessian")):
        off = np.abs(getattr(f, method)(z) - getattr(g, method)(z)).max()
        limit = bound * 8 * scores**k
        assert off <= limit, f"{method} changes by {off:.3g} with the order, bound {limit:.3g}"


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=str)
def test_leading_axes_are_kept(leading):
    f = OptimalDecoder(
        [[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]],
        AggregatePosterior([[0.0, 1.0], [1.0, 0.0]], cov=np.diag([1.0, 2.0])),
    )
    z = np.zeros((*leading, 2))
    shapes = {
        "value": (f(z).shape, (3,)),
        "Jacobian": (f.jacobian(z).shape, (3, 2)),
        "Hessian": (f.hessian(z).shape, (3, 2, 2)),
        "third derivative": (f.derivative(z, order=3).shape, (3, 2, 2, 2)),
        "covariance": (f.cov(z, allow_singular=True).shape, (3, 3)),
    }
    for what, (came, tail) in shapes.items():
        assert came == (*leading, *tail), f"{what}: shape {came}, expected {(*leading, *tail)}"


@pytest.mark.parametrize(
    ("family", "values"),
    [
        (Gaussian(scale=0.5), [0.0, -2.0, 3.0]),
        (Bernoulli(), [0.0, 1.0, 1.0]),
        (Poisson(), [0.0, 5.0, 2.0]),
        (Gamma(shape=2.0), [0.5, 1.0, 4.0]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_optimal_parameters_match_the_mean_of_the_statistics(family, values):
    X = np.array(values)[:, None]
    encoder = AggregatePosterior([[-1.0], [0.0], [2.0]], cov=[[[1.0]], [[0.5]], [[2.0]]])
    z = np.linspace(-3, 3, 7)[:, None]
    parameters = optimal_parameters(X, encoder, family, z)
    expected = encoder.responsibilities(z) @ family.statistics(X)
    bound = gamma(OPERATIONS) * (1 + np.abs(family.statistics(X)).max())
    off = np.abs(family.mean(parameters) - expected).max()
    assert off <= bound, f"mean parameters off by {off:.3g}, bound {bound:.3g}"


def test_optimal_categorical_logits_are_the_log_responsibilities_of_the_classes():
    encoder = AggregatePosterior([[-1.0], [0.0], [2.0]], scale=1.0)
    z = np.linspace(-3, 3, 7)[:, None]
    logits = optimal_parameters(np.eye(3), encoder, Categorical(), z)
    off = np.abs(logits - encoder.log_responsibilities(z)).max()
    assert off <= 20 * gamma(OPERATIONS), f"one datum a class: off by {off:.3g}"


ENCODER = AggregatePosterior([[-1.0], [1.0]], scale=1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimalDecoder(np.zeros((0, 2)), ENCODER), "X: expected a non-empty data set"),
        (lambda: OptimalDecoder(np.zeros((2, 0)), ENCODER), "X: expected a non-empty data set"),
        (lambda: OptimalDecoder([1.0, 2.0], ENCODER), r"X: expected .* \(N, D\), got \(2,\)"),
        (lambda: OptimalDecoder([[np.nan], [0.0]], ENCODER), "X: expected finite"),
        (
            lambda: OptimalDecoder([[1.0]], ENCODER),
            "expected one posterior for each of 1 data, got 2",
        ),
        (
            lambda: OptimalDecoder([[1.0]], "encoder"),
            "encoder: expected an AggregatePosterior, got str",
        ),
        (
            lambda: optimal_parameters([[0.5], [1.0]], ENCODER, Bernoulli(), [0.0]),
            "x: expected zeros and ones",
        ),
        (
            lambda: optimal_parameters([[1.0]], ENCODER, Bernoulli(), [0.0]),
            "expected one posterior for each of 1 data, got 2",
        ),
        (
            lambda: optimal_parameters([[0.0], [1.0]], ENCODER, Bernoulli(), [0.0, 1.0]),
            "z: expected shape",
        ),
    ],
)
def test_bad_input_is_a_value_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("method", ["__call__", "jacobian", "hessian", "cov"])
@pytest.mark.parametrize(
    ("z", "message"),
    [
        ([[0.0, 1.0]], r"z: expected shape \(..., 1\), got \(1, 2\)"),
        ([np.nan], "z: expected finite"),
        ([np.inf], "z: expected finite"),
        (0.0, "z: expected at least 1 axis"),
        (np.zeros((0, 1)), "z: expected at least one vector"),
    ],
)
def test_bad_latents_are_refused(method, z, message):
    f = OptimalDecoder([[-1.0], [1.0]], ENCODER)
    with pytest.raises(ValueError, match=message):
        getattr(f, method)(z)


def test_orders_of_derivative_are_checked():
    shared = OptimalDecoder([[-1.0], [1.0]], ENCODER)
    for order in (0, 4, 1.0, True, "one"):
        with pytest.raises(ValueError, match="order: expected"):
            shared.derivative([0.0], order=order)
    differing = OptimalDecoder(
        [[-1.0], [1.0]], AggregatePosterior([[-1.0], [1.0]], scale=[[1.0], [2.0]])
    )
    with pytest.raises(ValueError, match="or 3 for an encoder with one shared covariance"):
        differing.derivative([0.0], order=3)


def test_parameters_of_no_exponential_family_are_refused():
    with pytest.raises(ValueError, match=r"expected an exponential family, .* got StudentT"):
        optimal_parameters(
            [[0.0], [1.0]],
            AggregatePosterior([[-1.0], [1.0]], scale=1.0),
            StudentT(3.0, 1.0),
            [[0.0]],
        )
