"""BILBO: its closed forms, its gradients, its digits in hard regimes, and its bad input."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, make_jvp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp, mpf

from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking.batches import Batch
from vaetheory.claims.bilbo.batch_size import coefficient, moment_forms
from vaetheory.rounding import gamma

SHAPES = [(1, 1), (1, 3), (2, 1), (5, 2), (3, 3), (2, 4), (40, 3)]


def quarters(shape, low=-8, high=8):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a / 4)


@st.composite
def batches(draw):
    size, d = draw(st.sampled_from(SHAPES))
    return draw(quarters(size)), draw(quarters((size, d))), draw(quarters(d, 1, 8))


def matrix(array):
    return mp.matrix([[mpf(float(v)) for v in row] for row in array])


def exact_information(loc, scale, form):
    """The information term with 50 digits, and the spread over the scale that limits it."""
    means, size = matrix(loc), len(loc)
    if form != "diagonal":
        for j in range(means.cols):
            centre = mp.fsum(means[:, j]) / size
            for i in range(size):
                means[i, j] -= centre
    cov = means.T * means / size
    whole = mp.eye(means.cols)
    for i in range(means.cols):
        for j in range(means.cols):
            if form == "full" or i == j:
                whole[i, j] += cov[i, j] / (mpf(float(scale[i])) * mpf(float(scale[j])))
    return mp.log(mp.det(whole)) / 2


def spread(loc, scale):
    return 1 + np.linalg.norm(loc / scale) / np.sqrt(len(loc))


@pytest.mark.parametrize("form", FORMS)
@given(instance=batches())
def test_value_and_information_against_fifty_digits(form, instance):
    terms, loc, scale = instance
    bound = bilbo(terms, loc, scale, form)
    with mp.workdps(50):
        truth = exact_information(loc, scale, form)
        off = float(abs(mpf(float(bound.information)) - truth))
        value_off = float(abs(mpf(float(bound.value)) - (mp.fsum(terms) / len(terms) - truth)))
    rounding = gamma(100 * loc.shape[1]) * spread(loc, scale)
    assert off <= rounding, f"information off by {off:.3g}, rounding explains {rounding:.3g}"
    rounding += gamma(100) * (np.abs(terms).max() + float(truth))
    assert value_off <= rounding, f"value off by {value_off:.3g}, not {rounding:.3g}"


@given(instance=batches())
def test_the_floating_prior_has_the_moments_of_the_aggregate_posterior(instance):
    terms, loc, scale = instance
    size = gamma(100) * (np.abs(loc).max() ** 2 + scale.max() ** 2)
    second = loc.T @ loc / len(loc) + np.diag(scale**2)
    mean = loc.mean(axis=0)
    for form, (prior_loc, prior_cov) in {
        "diagonal": (0 * mean, np.diag(np.diagonal(second))),
        "centred": (mean, np.diag(np.diagonal(second - np.outer(mean, mean)))),
        "full": (mean, second - np.outer(mean, mean)),
    }.items():
        bound = bilbo(terms, loc, scale, form)
        assert np.abs(bound.prior_loc - prior_loc).max() <= size, f"{form}: {bound.prior_loc}"
        assert np.abs(bound.prior_cov - prior_cov).max() <= 4 * size, f"{form}: {bound.prior_cov}"
        if form == "full":
            assert bound.information_per_dim is None, "the full form has no summands"
        else:
            off = abs(bound.information_per_dim.sum() - bound.information)
            assert off <= gamma(10) * bound.information, f"{form}: summands miss by {off:.3g}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("attribute", ["value", "corrected"])
@pytest.mark.parametrize("shape", SHAPES[2:])
def test_gradients_are_those_of_differences_and_of_forward_mode(form, attribute, shape):
    rng = np.random.default_rng(4)
    inputs = [rng.normal(size=shape[0]), rng.normal(size=shape), rng.uniform(0.5, 2, shape[1])]
    for number in range(3):

        def f(x, number=number):
            return getattr(
                bilbo(*[x if i == number else v for i, v in enumerate(inputs)], form), attribute
            )

        slope, at = grad(f)(inputs[number]), inputs[number]
        direction = rng.normal(size=at.shape)
        steps = (2.0**-10, 2.0**-11)
        coarse, fine = ((f(at + h * direction) - f(at - h * direction)) / (2 * h) for h in steps)
        off = abs((4 * fine - coarse) / 3 - (slope * direction).sum())
        # What the extrapolation leaves is less than what it changed; rounding over the step.
        size = np.abs(inputs[0]).max() + 10
        bound = abs(fine - coarse) + gamma(100) * size / steps[1]
        assert off <= bound, f"input {number}: off by {off:.3g}, differences allow {bound:.3g}"
        forward = make_jvp(f)(at)(direction)[1]
        off = abs(forward - (slope * direction).sum())
        assert off <= gamma(1000) * size, f"input {number}: forward mode off by {off:.3g}"


@pytest.mark.parametrize("form", FORMS)
@given(instance=batches())
def test_gradients_in_closed_form(form, instance):
    terms, loc, scale = instance
    size, d = loc.shape
    by_term, by_loc, by_scale = (
        grad(lambda *x: bilbo(*x, form).value, number)(terms, loc, scale) for number in range(3)
    )
    bound = bilbo(terms, loc, scale, form)
    # d information = tr(V^-1 dCov) / 2: in the means V^-1 (m - mu) / B, in s 1 / s - s V^-1_jj.
    inverse = np.linalg.inv(bound.prior_cov)
    rounding = gamma(200 * d) * np.linalg.cond(bound.prior_cov) * spread(loc, scale) ** 2
    rounding *= 1 / scale.min()
    off = np.abs(by_loc + (loc - bound.prior_loc) @ inverse / size).max()
    assert off <= rounding, f"in the means off by {off:.3g}, rounding explains {rounding:.3g}"
    off = np.abs(by_scale - (1 / scale - scale * np.diagonal(inverse))).max()
    assert off <= rounding, f"in the scale off by {off:.3g}, rounding explains {rounding:.3g}"
    off = np.abs(by_term - 1 / size).max()
    assert off <= gamma(4), f"in the log likelihoods off by {off:.3g}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("size", "scale"),
    [(1e150, 1e-150), (1e150, 1e150), (1e-150, 1e-150), (1.0, 1e-150), (1e150, 1.0), (1e-9, 1.0)],
)
def test_extreme_sizes_keep_their_digits(form, size, scale):
    loc = size * np.array([[0.5, 1.0], [1.0, 0.75], [0.25, -0.5]])
    deviations = scale * np.array([1.0, 0.75 if scale > 1 else 1.5])
    terms = np.zeros(3)
    bound = bilbo(terms, loc, deviations, form)
    with mp.workdps(700):
        truth = exact_information(loc, deviations, form)
    # Relative: the digits of a tiny information are kept too.
    off = abs(bound.information - float(truth))
    assert off <= gamma(2000) * float(truth), f"{bound.information} for {float(truth)}"
    for attribute in ("value", "corrected"):
        for number, unit in ((1, size), (2, scale)):
            slope = grad(lambda *x, a=attribute: getattr(bilbo(*x, form), a), number)(
                terms, loc, deviations
            )
            assert np.isfinite(slope).all(), f"{attribute}: a gradient of {slope}"
            assert number == 1 or (slope * unit > 0).any() or attribute == "corrected", f"{slope}"


def test_a_tiny_spread_keeps_its_digits():
    # log1p(t) for t = 1e-18, where 1 + t is 1.
    for form in FORMS:
        information = bilbo([0.0, 0.0], [[1e-9], [-1e-9]], [1.0], form).information
        off = abs(information - 0.5e-18)
        assert off <= gamma(100) * 0.5e-18, f"{form}: {information} for 5e-19"


@pytest.mark.parametrize("size", [3, 49, 107])
def test_equal_means_of_any_size_have_no_spread(size):
    loc = np.full((size, 2), 1e150) / 3
    for form in ("centred", "full"):
        bound = bilbo(np.zeros(size), loc, [1.0, 1.0], form)
        assert bound.information == 0, f"{form}, {size} equal means: {bound.information}"


def test_collinear_means_far_beyond_the_scale():
    # 1 + 2 t^2 with t = 1e10: a Gram matrix would lose the one.
    t = 1e10
    loc = t * np.array([[1.0, 1.0], [-1.0, -1.0]])
    information = bilbo([0.0, 0.0], loc, [1.0, 1.0], "full").information
    off = abs(information - 0.5 * np.log1p(2 * t**2))
    assert off <= gamma(100) * information, f"off by {off:.3g}"
    # Fewer data than dimensions: the covariance is singular, the information is not.
    loc = np.array([[1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]])
    information = bilbo([0.0, 0.0], loc, 0.5, "full").information
    off = abs(information - 0.5 * np.log1p(4 * 30))
    assert off <= gamma(100) * information, f"off by {off:.3g}"


FIVE = np.array([[1.0, 2.0, 0.3], [2.0, 1.5, -1.7], [0.5, -1.0, 0.9], [0.25, 3, 1], [1, -2, 0.7]])


@pytest.mark.parametrize("scale", [[1, 1e-20, 1e-40], [1e-20, 1e-40, 1], [1e-150, 1, 1e150]])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("graded", [False, True])
def test_few_data_at_tiny_scales(size, scale, graded):
    # Centred, B data have B - 1 directions: rounding in the last one must not count as spread.
    loc, deviations = FIVE[:size], np.array(scale if graded else [min(scale)] * 3)
    bound = bilbo(np.zeros(size), loc, deviations, "full")
    with mp.workdps(1000):
        truth = float(exact_information(loc, deviations, "full"))
    off, most = abs(bound.information - truth), gamma(500) * (truth + 3)
    assert off <= most, f"off by {off:.3g}, bound {most:.3g}"


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (6, 2)])
def test_second_derivatives_of_the_full_form(shape):
    rng = np.random.default_rng(0)
    loc, scale = rng.normal(size=shape), rng.uniform(0.5, 2.0, shape[1])
    step, direction = 2.0**-10, rng.normal(size=shape)

    def slope(m):
        return grad(lambda x: bilbo(np.zeros(len(x)), x, scale, "full").value)(m)

    product = grad(lambda m: anp.sum(slope(m) * direction))(loc)
    estimates = [
        (slope(loc + h * direction) - slope(loc - h * direction)) / (2 * h)
        for h in (step, 2 * step)
    ]
    # Richardson's extrapolation leaves the fourth power of the step.
    expected = (4 * estimates[0] - estimates[1]) / 3
    most = np.abs(estimates[0] - estimates[1]).max() * step + gamma(1000) / step
    off = np.abs(product - expected).max()
    assert off <= most, f"off by {off:.3g}, bound {most:.3g}"


def test_degenerate_singular_values_have_a_gradient():
    loc = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    slope = grad(lambda m: bilbo(np.zeros(4), m, 1.0, "full").information)(loc)
    off = np.abs(slope - loc / 6).max()
    assert off <= gamma(100), f"off by {off:.3g}"


def test_a_batch_of_one():
    for form in FORMS:
        bound = bilbo([-2.0], [[3.0]], [1.0], form)
        truth = 0.5 * np.log(10) if form == "diagonal" else 0.0
        assert abs(bound.information - truth) <= gamma(10), f"{form}: {bound.information}"
        for attribute in ("optimism", "corrected"):
            with pytest.raises(ValueError, match="expected a batch of at least two data"):
                getattr(bound, attribute)


@pytest.mark.parametrize("form", FORMS)
@given(instance=batches().filter(lambda i: len(i[0]) > 1))
def test_the_correction_is_the_first_order_bias_with_the_batch_for_the_data(form, instance):
    terms, loc, scale = instance
    bound = bilbo(terms, loc, scale, form)
    batch = Batch(tuple(map(tuple, loc)), tuple(scale))
    truth = coefficient(batch, form) / len(loc)
    rounding = gamma(200 * len(scale)) * spread(loc, scale) ** 4 * 10
    assert abs(bound.optimism - truth) <= rounding, f"{bound.optimism}, not {truth}"
    off = abs(bound.corrected - (bound.value - bound.optimism))
    assert off <= gamma(4) * (abs(bound.value) + 1), f"corrected is off by {off:.3g}"
    weights = np.full((1, len(loc)), 1 / len(loc))
    assert moment_forms(weights, batch, form)[1][0] >= -rounding, "a pessimistic coefficient"


def test_the_corrected_value_is_not_a_lower_bound_of_the_infinite_batch():
    # A batch of both data of a data set of two is the data set itself; the correction overshoots.
    loc = [[1.0], [2.0]]
    whole = bilbo([0.0, 0.0], loc, 1.0)
    assert whole.corrected < whole.value, "the correction of the whole data set is not zero"
    # A batch of one datum twice sees no spread of squares, and stays above.
    lucky = bilbo([0.0, 0.0], [[1.0], [1.0]], 1.0)
    assert lucky.corrected > whole.value, f"{lucky.corrected} <= {whole.value}"


@pytest.mark.parametrize("form", FORMS)
def test_the_bound_is_invariant_to_the_scale_and_the_order_of_the_latents(form):
    rng = np.random.default_rng(0)
    terms, loc, scale = rng.normal(size=6), rng.normal(size=(6, 3)), np.array([0.5, 1.0, 2.0])
    value = bilbo(terms, loc, scale, form).value
    stretched = bilbo(terms, loc * [1e3, 1.0, 1e-3], scale * [1e3, 1.0, 1e-3], form).value
    assert abs(stretched - value) <= gamma(1000) * 10, f"stretched: {stretched}, not {value}"
    turned = bilbo(terms[::-1], loc[::-1, ::-1], scale[::-1], form).value
    assert abs(turned - value) <= gamma(1000) * 10, f"reordered: {turned}, not {value}"


def test_a_number_serves_all_dimensions_also_when_traced():
    loc = np.array([[1.0, 2.0], [0.5, -1.0]])
    for form in FORMS:
        one, all_ = bilbo([0.0, 0.0], loc, 0.5, form), bilbo([0.0, 0.0], loc, [0.5, 0.5], form)
        assert one.value == all_.value, f"{form}: {one.value}, not {all_.value}"
        slope = grad(lambda s, f=form: bilbo([0.0, 0.0], loc, s, f).value)(0.5)
        whole = grad(lambda s, f=form: bilbo([0.0, 0.0], loc, s, f).value)(np.array([0.5, 0.5]))
        assert abs(slope - whole.sum()) <= gamma(100) * abs(slope), f"{form}: {slope}, {whole}"


def test_training_with_it_raises_it():
    # A linear encoder and decoder of a plane cloud: gradient ascent on all of it, traced at once.
    rng = np.random.default_rng(1)
    X = rng.normal(size=(32, 2)) * [2.0, 0.5]

    def objective(parameters):
        w, v, log_scale = parameters[:2], parameters[2:4], parameters[4:]
        loc, scale = anp.dot(X, w[:, None]), anp.exp(log_scale)
        residual = X - loc * v
        # E_q ||x - v z||^2 = residual^2 + s^2 ||v||^2.
        square = anp.sum(residual**2, axis=1) + scale**2 * anp.sum(v**2)
        return bilbo(-0.5 * square - np.log(2 * np.pi), loc, scale).value

    parameters = np.array([0.1, 0.1, 0.1, 0.1, 0.0])
    values = [objective(parameters)]
    for _ in range(200):
        parameters = parameters + 0.05 * grad(objective)(parameters)
        values.append(objective(parameters))
    assert values[-1] > values[0] + 0.25, f"from {values[0]} to {values[-1]}"
    # The maximum of a linear model is its log evidence, principal components' own.
    evidence = -0.5 * np.trace(X.T @ X / 32) - np.log(2 * np.pi)
    top = np.linalg.eigvalsh(X.T @ X / 32)[-1]
    evidence += 0.5 * (top - 1 - np.log(top))
    assert values[-1] <= evidence + gamma(1000) * 10, f"{values[-1]} above {evidence}"
    assert values[-1] > evidence - 0.05, f"{values[-1]} far below {evidence}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [[1.0], [2.0]], [1.0]), r"one of each per datum, got shapes \(1,\) and \(2, 1\)"),
        (([], np.zeros((0, 2)), [1.0, 1.0]), r"loc: expected a non-empty data set"),
        (([0.0], np.zeros((1, 0)), []), r"loc: expected a non-empty data set"),
        (([[0.0]], [[1.0]], [1.0]), "log_likelihood: expected a number or one a datum"),
        (([0.0], [1.0], [1.0]), r"loc: expected a non-empty data set of shape \(N, D\), got \(1,"),
        (([0.0], [[1.0, 2.0]], [1.0]), r"scale: expected a number or shape \(2,\) for loc of"),
        (([0.0], [[1.0, 2.0]], np.ones((2, 2))), "scale: expected a number or a vector"),
        (([0.0], [[1.0]], [0.0]), "scale: expected positive numbers, got 0.0"),
        (([0.0], [[1.0]], [-1.0]), "scale: expected positive numbers, got -1.0"),
        (([np.nan], [[1.0]], [1.0]), "log_likelihood: expected finite numbers, got nan"),
        (([-np.inf], [[1.0]], [1.0]), "log_likelihood: expected finite numbers, got -inf"),
        (([0.0], [[np.nan]], [1.0]), "loc: expected finite numbers, got nan"),
        (([0.0], [[1.0]], [np.nan]), "scale: expected finite numbers, got nan"),
        (([0.0], [[2e150]], [1.0]), r"loc: expected numbers of at most 1e\+150 in size, got 2e"),
        (([0.0], [[1.0]], [1e-160]), "scale: expected numbers from 1e-150 to"),
        (([0.0], [["a"]], [1.0]), "loc: expected an array of real numbers"),
        (([0.0], [[1.0]], [1.0], "banded"), "form: expected one of diagonal, centred, full; got"),
    ],
)
def test_bad_input_is_a_value_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        bilbo(*arguments)


def test_bad_values_are_found_while_tracing():
    with pytest.raises(ValueError, match="scale: expected positive numbers"):
        grad(lambda s: bilbo([0.0], [[1.0]], s).value)(np.array([-1.0]))
