"""BAGGINS: its digits at any scale, its gradients, its bound in training, and its bad input."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, hessian, make_jvp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp, mpf

from vaetheory import LatentModel, baggins, bilbo, decoders, likelihoods, log_evidence
from vaetheory.bounds import profile_likelihood
from vaetheory.checking.batches import Batch
from vaetheory.claims.baggins.noisy_evidence import BoundScene, noisy_evidence
from vaetheory.rounding import EPS, gamma

SHAPES = [(2, 1), (2, 3), (5, 2), (3, 3), (40, 2)]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3)) * [1.0, 2.0, 0.5] + [0.0, 10.0, -1.0]
FIT = X + 0.1 * RNG.normal(size=(6, 3))


def quarters(shape):
    return arrays(np.int64, shape, elements=st.integers(-8, 8)).map(lambda a: a / 4)


@st.composite
def fits(draw):
    shape = draw(st.sampled_from(SHAPES))
    x = draw(quarters(shape).filter(lambda a: (np.ptp(a, axis=0) > 0).all()))
    xhat = draw(st.one_of(quarters(shape), st.just(x)))
    weights = draw(arrays(np.int64, shape[0], elements=st.integers(1, 4)))
    return x, xhat, draw(st.sampled_from([0.0, 0.5, 2.0, 30.0])), weights


def exact(x, xhat, h, weights=None, pooled=False):
    """Value, information and scale of each dimension with as many digits as mpmath has."""
    shares = [mpf(int(w)) for w in (np.ones(len(x), int) if weights is None else weights)]
    total = mp.fsum(shares)
    residual, spread = [], []
    for data, fit in zip(x.T, xhat.T, strict=True):
        a, b = [mpf(float(v)) for v in data], [mpf(float(v)) for v in fit]
        mean = mp.fsum(w * v for w, v in zip(shares, a, strict=True)) / total
        squares = [(v - u) ** 2 for v, u in zip(a, b, strict=True)]
        residual.append(mp.fsum(w * v for w, v in zip(shares, squares, strict=True)) / total)
        squares = [(v - mean) ** 2 for v in a]
        spread.append(mp.fsum(w * v for w, v in zip(shares, squares, strict=True)) / total)
    if pooled:
        residual = [mp.fsum(residual) / len(residual)] * len(residual)
        spread = [mp.fsum(spread) / len(spread)] * len(spread)
    variance = [r + v * mp.exp(-2 * mpf(h)) for r, v in zip(residual, spread, strict=True)]
    value = -mp.fsum(mp.log(2 * mp.pi * mp.e * s) for s in variance) / 2
    information = [mp.log(v / s) / 2 for v, s in zip(spread, variance, strict=True)]
    return value, information, [mp.sqrt(s) for s in variance]


def assert_exact(term, truth, slack):
    """Demand the digits of value, information and scale; `slack` is relative, of sigma."""
    value, information, scale = truth
    size = 10 + float(sum(abs(mp.log(s)) for s in scale)) + float(np.abs(term.information).sum())
    off = abs(mpf(float(term.value)) - value)
    assert off <= gamma(100) * size + slack, f"value off by {float(off):.3g}"
    for found, wanted in zip(term.information, information, strict=True):
        off = abs(mpf(float(found)) - wanted)
        assert off <= gamma(100) * (size + 1) + slack, f"information off by {float(off):.3g}"
    for found, wanted in zip(term.scale, scale, strict=True):
        off = abs(mpf(float(found)) / wanted - 1)
        assert off <= gamma(100) * size + slack, f"scale off by {float(off):.3g}, relative"


@pytest.mark.parametrize("pooled", [False, True])
@given(instance=fits())
def test_against_fifty_digits(pooled, instance):
    x, xhat, h, weights = instance
    with mp.workdps(50):
        term = baggins(x, xhat, information=h, pooled=pooled)
        assert_exact(term, exact(x, xhat, h, pooled=pooled), 0.0)
        term = baggins(x, xhat, information=h, pooled=pooled, weights=weights)
        assert_exact(term, exact(x, xhat, h, weights, pooled), 0.0)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("h", [0.0, 1.5, 1e3])
@pytest.mark.parametrize("unit", [1e-6, 1e6, 1e-150, 1e150, 1e-300, 1e298])
def test_data_of_any_scale(unit, h, pooled):
    x, xhat = unit * X, unit * FIT
    term = baggins(x, xhat, information=h, pooled=pooled)
    with mp.workdps(50):
        assert_exact(term, exact(x, xhat, h, pooled=pooled), 0.0)
    slope = grad(lambda f: baggins(x, f, information=h, pooled=pooled).value)(xhat)
    expected = (x - xhat) / (len(x) * term.scale) / term.scale
    off = np.abs(slope * unit - expected * unit).max()
    assert off <= gamma(1000) * np.abs(expected * unit).max(), f"gradient off by {off:.3g}"


@pytest.mark.parametrize("offset", [1e8, -1e8, 1e12])
def test_a_large_offset_costs_only_its_own_digits(offset):
    x, xhat = X + offset, FIT + offset
    for h in (0.0, 2.0):
        with mp.workdps(50):
            assert_exact(baggins(x, xhat, information=h), exact(x, xhat, h), 0.0)
    # And the rounded data themselves have moved by little.
    moved = baggins(x, xhat, information=2.0).value - baggins(X, FIT, information=2.0).value
    assert abs(moved) <= 3 * 8 * EPS * abs(offset) / 0.05, f"moved by {moved:.3g}"


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("h", [0.0, 3.0, 1e3, 1e6])
def test_a_perfect_fit_has_the_presumed_information(unit, h):
    term = baggins(unit * X, unit * X, information=h)
    most = -0.5 * np.log(2 * np.pi * np.e * (unit * X).var(axis=0)).sum() + 3 * h
    assert abs(term.value - most) <= gamma(100) * (10 + 3 * h), f"{term.value}, not {most}"
    off = np.abs(term.information - h).max()
    assert off <= gamma(50) * (30 + h), f"information off by {off:.3g}"
    slope = grad(lambda f: baggins(unit * X, f, information=h).value)(unit * X)
    assert (slope == 0).all(), f"a gradient at the perfect fit: {slope}"
    slope = grad(lambda i: baggins(unit * X, unit * X, information=i).value)(h)
    assert abs(slope - 3) <= gamma(100) * (10 + h), f"{slope} nats a nat presumed"
    if h < 1e3:
        deviation = (unit * X).std(axis=0) * np.exp(-h)
        off = np.abs(term.scale / deviation - 1).max()
        assert off <= gamma(100) * 10, f"scale off by {off:.3g}"
    else:
        with pytest.raises(ValueError, match=r"in the range of float64, got one of exp\(-"):
            _ = term.scale
        assert np.isfinite(term.log_scale).all(), f"{term.log_scale}"


def test_no_presumed_information_is_residual_and_spread():
    term = baggins(X, FIT, information=0.0)
    variance = ((X - FIT) ** 2).mean(axis=0) + X.var(axis=0)
    off = np.abs(term.scale**2 / variance - 1).max()
    assert off <= gamma(200), f"off by {off:.3g}"
    assert (term.information <= 0).all(), "information where none is presumed"


def test_a_far_too_large_information_is_the_profile_likelihood():
    for pooled in (False, True):
        term = baggins(X, FIT, information=1e3, pooled=pooled)
        limit = profile_likelihood(X, FIT, pooled=pooled)
        assert abs(term.value - limit.value) <= gamma(50) * 10, f"{term.value}, {limit.value}"
        off = np.abs(term.scale - limit.scale).max()
        assert off <= gamma(50), f"scales {term.scale}, {limit.scale}"
    one = profile_likelihood(X[:1], FIT[:1])
    assert np.abs(one.scale - np.abs(X - FIT)[0]).max() <= gamma(10), f"a batch of one: {one}"


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_gradients_are_those_of_differences_and_of_forward_mode(pooled, number):
    inputs = [X, FIT, np.array(1.5) if pooled else np.array([0.5, 1.5, 3.0])]

    def f(value):
        x, xhat, h = [value if i == number else v for i, v in enumerate(inputs)]
        return baggins(x, xhat, information=h, pooled=pooled).value

    at = inputs[number]
    slope, direction = grad(f)(at), np.asarray(RNG.normal(size=at.shape))
    steps = (2.0**-12, 2.0**-13)
    coarse, fine = ((f(at + s * direction) - f(at - s * direction)) / (2 * s) for s in steps)
    off = abs((4 * fine - coarse) / 3 - (slope * direction).sum())
    bound = abs(fine - coarse) + gamma(100) * 20 / steps[1]
    assert off <= bound, f"off by {off:.3g}, differences allow {bound:.3g}"
    forward = make_jvp(f)(at)(direction)[1]
    off = abs(forward - (slope * direction).sum())
    size = np.abs(slope * direction).sum()
    assert off <= gamma(1000) * size, f"forward mode off by {off:.3g}"


def test_information_and_scale_are_differentiable_too():
    for attribute in ("information", "log_scale", "scale"):
        slope = grad(lambda f, a=attribute: anp.sum(getattr(baggins(X, f, information=1.0), a)))(
            FIT
        )
        assert np.isfinite(slope).all(), f"{attribute}: {slope}"
        assert slope.any(), f"{attribute} does not depend on the reconstructions"


@pytest.mark.parametrize("pooled", [False, True])
def test_weights_are_repetitions(pooled):
    counts = np.array([1, 2, 0, 3, 4, 1])
    rows = np.repeat(np.arange(6), counts)
    one = baggins(X, FIT, information=1.0, pooled=pooled, weights=counts)
    other = baggins(X[rows], FIT[rows], information=1.0, pooled=pooled)
    assert abs(one.value - other.value) <= gamma(200) * 20, f"{one.value}, not {other.value}"
    assert one.size == 5, f"{one.size} data of positive weight"
    slope = grad(lambda f: baggins(X, f, information=1.0, weights=counts, pooled=pooled).value)
    assert not slope(FIT)[2].any(), "a datum of weight zero has a gradient"
    # A column that only a datum of weight zero makes vary is constant.
    x = np.array([[0.0], [0.0], [1.0]])
    with pytest.raises(ValueError, match="got a constant column 0"):
        baggins(x, x, information=1.0, weights=[1, 1, 0])


@pytest.mark.parametrize("value", [0.1, 1e8, 1 / 3, 1e-300, 0.0])
@pytest.mark.parametrize("size", [2, 3, 49])
def test_a_constant_column(value, size):
    varied = np.linspace(-1, 1, size)
    x = np.stack([varied, np.full(size, value)], axis=-1)
    with pytest.raises(ValueError, match=r"constant column 1; leave it out, or pool"):
        baggins(x, x + 0.1, information=1.0)
    term = baggins(x, x, information=1.0, pooled=True)
    expected = -(np.log(2 * np.pi * np.e * varied.var() / 2)) + 2.0
    assert abs(term.value - expected) <= gamma(100) * 10, f"{term.value}, not {expected}"
    slope = grad(lambda a: baggins(a, FIT[:2, :2], information=1.0, pooled=True).value)(
        np.array([[0.0, value], [1.0, value]])
    )
    assert np.isfinite(slope).all(), f"gradient in the data {slope}"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X[:1], FIT[:1]), {}, "got a batch of one, which has no spread"),
        ((X[:1], FIT[:1]), {"pooled": True}, "got a batch of one, which has no spread"),
        ((np.ones((4, 2)), FIT[:4, :2]), {"pooled": True}, "got 4 times the same datum"),
        ((X, FIT[:, :2]), {}, r"xhat: expected shape \(6, 3\) to go with x, got \(6, 2\)"),
        ((X, FIT[:5]), {}, r"xhat: expected shape \(6, 3\) to go with x"),
        ((X[0], FIT[0]), {}, r"x: expected a non-empty data set of shape \(N, D\), got \(3,\)"),
        ((X[:0], FIT[:0]), {}, "x: expected a non-empty data set"),
        ((X * np.nan, FIT), {}, "x: expected finite numbers, got nan"),
        ((X, FIT * np.inf), {}, "xhat: expected finite numbers, got -?inf"),
        ((X, FIT * 1e305), {}, r"xhat: expected entries of at most 1e\+300 in size, got"),
        ((X, [["a"] * 3] * 6), {}, "xhat: expected an array of real numbers"),
        ((X, FIT), {"information": -0.5}, r"from 0 to 1e\+06 nats, got -0.5..-0.5"),
        ((X, FIT), {"information": np.nan}, "information: expected finite numbers, got nan"),
        ((X, FIT), {"information": np.inf}, "information: expected finite numbers, got inf"),
        ((X, FIT), {"information": 1e7}, r"from 0 to 1e\+06 nats, got 1e\+07"),
        ((X, FIT), {"information": [1.0, 2.0]}, r"a number or \(3,\); got shape \(2,\)"),
        (
            (X, FIT),
            {"information": [1.0] * 3, "pooled": True},
            "expected a number for pooled dimensions",
        ),
        ((X, FIT), {"weights": [1.0] * 5}, r"weights: expected shape \(6,\), got \(5,\)"),
        ((X, FIT), {"weights": [-1.0] + [1.0] * 5}, "weights: expected weights of at least 0"),
    ],
)
def test_bad_input_is_a_value_error(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        baggins(*arguments, **{"information": 1.0, **options})


def test_bad_input_to_the_profile_likelihood():
    with pytest.raises(ValueError, match="a perfect fit of column 1, where the profile"):
        profile_likelihood(X, np.stack([FIT[:, 0], X[:, 1], FIT[:, 2]], axis=-1))
    with pytest.raises(ValueError, match="a perfect fit, where the profile"):
        profile_likelihood(X, X, pooled=True)
    with pytest.raises(ValueError, match="xhat: expected shape"):
        profile_likelihood(X, FIT[:2])


def test_bad_values_are_found_while_tracing():
    with pytest.raises(ValueError, match="information: expected numbers from 0"):
        grad(lambda h: baggins(X, FIT, information=h).value)(-1.0)


def test_the_fields_are_frozen_and_the_batch_is_counted():
    term = baggins(X, FIT, information=1.0)
    assert term.size == 6, f"{term.size} data"
    with pytest.raises(AttributeError):
        term.value = 0.0


def test_the_term_is_the_likelihood_of_noisy_data_at_its_scale():
    # 10a: the data themselves fit better, by half the noise's share of sigma^2.
    term = baggins(X, FIT, information=0.75)
    likelihood = likelihoods.Gaussian(scale=term.scale)
    noise = X.var(axis=0) * np.exp(-1.5)
    gain = likelihood.log_prob(X, FIT).mean() - term.value
    assert abs(gain - 0.5 * (noise / term.scale**2).sum()) <= gamma(200) * 20, f"gain {gain}"


def test_10a_at_the_posterior_mean_it_is_no_lower_bound():
    scene = BoundScene(
        decoders.Polynomial([[0], [1], [2]], [[0.0, 0.0], [2.0, 1.0], [0.0, 0.0]]),
        ((-2.0, -1.0), (2.0, 1.0)),
        Batch(((-1.0,), (1.0,)), (1.0,)),
        1.0,
    )
    right, wrong = noisy_evidence(scene), noisy_evidence(scene, at_mean=True)
    assert right.value < right.noisy - 1e-3, "the residual of the posterior gives no bound"
    assert wrong.value > wrong.noisy + 0.1, "the residual at the mean passed for a bound"
    assert wrong.value > wrong.clean + 0.1, "so it did of the clean data"


def test_10a_sampled_reconstructions_are_optimistic_in_the_mean():
    codes = np.array([-1.0, 1.0])
    x = np.stack([2 * codes, codes], axis=-1)
    draws = codes + np.random.default_rng(0).choice([-1.0, 1.0], size=(400, 2))
    values = [float(baggins(x, z[:, None] * [2.0, 1.0], information=1.0).value) for z in draws]
    # Both noises of both data: the mean residual, and its weights.
    every = codes[:, None] + np.array([-1.0, 1.0])
    mean = baggins(np.repeat(x, 2, axis=0), every.reshape(-1, 1) * [2.0, 1.0], information=1.0)
    # Every draw has the same squares: here they agree; with unequal ones Jensen's excess shows.
    assert abs(np.mean(values) - mean.value) <= gamma(1000) * 10, "equal squares, unequal terms"
    draws = codes + np.random.default_rng(0).normal(size=(4000, 2))
    values = [float(baggins(x, z[:, None] * [2.0, 1.0], information=1.0).value) for z in draws]
    error = np.std(values) / np.sqrt(len(values))
    assert np.mean(values) > mean.value + 6 * error, f"{np.mean(values)} <= {mean.value}"


def line(parameters, codes):
    return anp.outer(codes, parameters[:2]) + parameters[2:]


def test_training_with_it_raises_it_up_to_its_bound_and_no_further():
    codes = np.linspace(-1, 1, 8)
    data = line(np.array([1.0, -0.5, 0.25, 3.0]), codes)

    def objective(p):
        return baggins(data, line(p, codes), information=2.0).value

    # The step that 10e promises: 2 / the bound of the curvature, the worse of both dimensions.
    features = np.stack([codes, np.ones(8)], axis=-1)
    top = np.linalg.eigvalsh(features.T @ features / 8)[-1]
    eta = data.var(axis=0).min() * np.exp(-4.0) / top
    p = np.zeros(4)
    values = [objective(p)]
    for _ in range(300):
        p = p + eta * grad(objective)(p)
        values.append(objective(p))
    assert (np.diff(values) >= -gamma(100) * 20).all(), "a step downhill"
    most = -0.5 * np.log(2 * np.pi * np.e * data.var(axis=0)).sum() + 4.0
    assert values[-1] <= most + gamma(100) * 20, f"{values[-1]} above its bound {most}"
    assert values[-1] > values[0] + 1.0, f"hardly learned: {values[0]} to {values[-1]}"


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_training_is_the_same_in_any_units(unit):
    codes = np.linspace(-1, 1, 8)
    data = line(np.array([1.0, -0.5, 0.25, 3.0]), codes) + 0.1 * np.cos(7 * codes)[:, None]

    def path(factor):
        x = factor * data
        spread = x.std(axis=0)

        def loss(p):
            return -baggins(x, spread * line(p, codes), information=1.5).value

        p = np.zeros(4)
        for _ in range(50):
            p = p - 0.02 * grad(loss)(p)
        return p

    one, other = path(1.0), path(unit)
    off = np.abs(one - other).max()
    # The contraction forgets roundings: none is multiplied by more than the number of steps.
    assert off <= 50 * gamma(1000) * np.abs(one).max(), f"paths differ by {off:.3g}"


def test_beyond_its_stable_step_it_oscillates_and_does_not_blow_up():
    # The gradient falls off as 1 / residual: 10e bounds what a step too large can do.
    x = np.array([[-1.0], [1.0]])
    floor = np.exp(-4.0)

    def slope(offset):
        return grad(lambda u: -baggins(x, x + u, information=2.0).value)(offset)

    offset, sizes = 1e-3, []
    for _ in range(200):
        offset = offset - 3 * floor * slope(offset)
        sizes.append(abs(offset))
    # A cycle u -> -u: 3 floor / (u^2 + floor) = 2.
    assert abs(sizes[-1] - np.sqrt(floor / 2)) < 1e-6, f"no cycle: {sizes[-3:]}"


def test_second_derivatives():
    found = hessian(lambda f: baggins(X, f, information=1.0).value)(FIT)
    direction = RNG.normal(size=X.shape)
    product = np.einsum("bicj,cj->bi", found, direction)

    def slope(f):
        return elementwise_grad(lambda g: baggins(X, g, information=1.0).value)(f)

    steps = (2.0**-10, 2.0**-11)
    coarse, fine = (
        (slope(FIT + s * direction) - slope(FIT - s * direction)) / (2 * s) for s in steps
    )
    off = np.abs((4 * fine - coarse) / 3 - product).max()
    bound = np.abs(fine - coarse).max() + gamma(100) * 100 / steps[1]
    assert off <= bound, f"off by {off:.3g}, differences allow {bound:.3g}"


def test_with_bilbo_it_bounds_the_evidence_of_a_linear_model():
    # f(z) = w z, exact at two nodes a datum: z = m +- s.
    w, codes, s = np.array([1.0, 0.5]), np.array([[-1.0], [0.25], [1.5]]), 0.5
    x = codes * w + [[0.1, 0.0], [0.0, -0.2], [-0.1, 0.1]]
    fits_ = np.concatenate([(codes + s) * w, (codes - s) * w])
    term = baggins(np.concatenate([x, x]), fits_, information=1.0)
    bound = bilbo(np.full(3, term.value), codes, s)
    inner = decoders.Affine(w[:, None] * np.sqrt(bound.prior_cov[0, 0]))
    model = LatentModel(inner, likelihoods.Gaussian(scale=term.scale), 1)
    evidence = log_evidence(model, x).value.mean()
    assert bound.value < evidence, f"{bound.value} >= {evidence}"
