"""Likelihoods: each family is the density it says, and its parts are those of that density.

A family's moments are summed over its support (a lattice of the support where it is continuous),
so one sum tells whether density, mean parameters, Fisher information and divergence agree.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from likelihood_cases import (
    OPERATIONS,
    instances,
    integers,
    scipy_log_prob,
    second_writing,
    support,
    terms,
)
from mpmath import mp, mpf
from scipy import stats
from scipy.special import expit, logit, logsumexp

from vaetheory import derivatives
from vaetheory.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    Exponential,
    ExponentialFamily,
    Gamma,
    Gaussian,
    GaussianMeanScale,
    Laplace,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    Support,
    Uniform,
    VonMises,
    stirling_remainder,
)
from vaetheory.likelihoods.special import log_weighted_mean
from vaetheory.rounding import gamma


@given(instances())
def test_log_prob_is_scipys(instance):
    family, params, _, x = instance
    ours, theirs = family.log_prob(x, params), scipy_log_prob(family, x, params)
    # scipy's Bernoulli takes probabilities and loses up to exp(|logit|) of one roundoff in 1 - p.
    slack = np.exp(np.abs(params).max()) if isinstance(family, Bernoulli) else 1.0
    bound = gamma(OPERATIONS) * terms(family, x, params) * slack
    off = abs(ours - theirs)
    assert ours.shape == (), f"one datum has one log density, got shape {ours.shape}"
    assert off <= bound, f"log density off by {off:.3g}, rounding explains {bound:.3g}"


@given(instances(exponential=True))
def test_the_exponential_family_form_is_the_log_density(instance):
    family, params, _, x = instance
    product = (family.statistics(x) * family.natural_parameters(params)).sum(-1)
    form = product - family.log_partition(params) + family.log_base(x)
    size = terms(family, x, params)
    if isinstance(family, Gaussian):
        # Here the square is expanded.
        least = np.linalg.eigvalsh(family.covariance(len(x)))[0]
        size = size + np.linalg.cond(family.covariance(len(x))) * (x @ x + params @ params) / least
    off, bound = abs(form - family.log_prob(x, params)), gamma(OPERATIONS) * size
    assert off <= bound, f"T . phi - A + h differs from log p by {off:.3g}, bound {bound:.3g}"


@given(instances(), st.data())
def test_score_and_information_are_derivatives_of_the_log_density(instance, data):
    family, params, _, x = instance
    size, d = len(params), data.draw(st.integers(1, 2), label="d")
    jacobian = data.draw(integers((size, d), -3, 3), label="jacobian")
    function = second_writing(family, x)
    bound = gamma(OPERATIONS) * terms(family, x, params)
    if isinstance(family, Gaussian):
        bound /= min(1.0, np.linalg.eigvalsh(family.covariance(size))[0])
    if isinstance(family, GaussianMeanScale):
        bound *= 1 + 4 * np.exp(-2 * params[len(x) :].min())
    score, oracle = family.score(x, params), derivatives.jacobian(function, params)[0]
    off = np.abs(score - oracle).max()
    assert off <= bound, f"the score is off by {off:.3g}, rounding explains {bound:.3g}"
    information = family.observed_information(x, params, jacobian)
    pulled = jacobian.T @ -derivatives.hessian(function, params)[0] @ jacobian
    bound = bound * (1 + (np.abs(jacobian).sum(axis=0) ** 2).max())
    off = np.abs(information - pulled).max()
    assert information.shape == (d, d), f"shape {information.shape}, expected {(d, d)}"
    assert off <= bound, f"the information is off by {off:.3g}, rounding explains {bound:.3g}"


@settings(max_examples=40)
@given(instances(most=2))
def test_moments_over_the_support(instance):
    family, params, other, _ = instance
    points, weights = support(family, params)
    size = len(params)
    mass = weights * np.exp(family.log_prob(points, params))
    # Each mass carries the rounding of its logarithm, and the lattice points theirs.
    relative = gamma(OPERATIONS) * (1 + terms(family, points, params))
    score = family.score(points, params)
    outer = score[:, :, None] * score[:, None, :]
    eye = np.broadcast_to(np.eye(size), (len(points), size, size))
    observed = family.observed_information(
        points, np.broadcast_to(params, (len(points), size)), eye
    )
    ratio = family.log_prob(points, params) - family.log_prob(points, other)
    scale = terms(family, points, params) + terms(family, points, other)
    statements = {
        "the density sums to one": (np.ones(len(points)), 1.0, 1.0),
        "the score has mean zero": (score, np.zeros(size), 1.0),
        "Fisher information is E[score score^T]": (
            outer,
            family.fisher_information(params),
            1.0,
        ),
        "Fisher information is the mean of the observed one": (
            np.broadcast_to(observed, outer.shape),
            family.fisher_information(params),
            1.0,
        ),
    }
    if isinstance(family, ExponentialFamily):
        statistics, mean = family.statistics(points), family.mean(params)
        statements["mean parameters are E[T]"] = (statistics, mean, 1.0)
        statements["the divergence is E[log p - log q]"] = (
            ratio,
            family.kl_divergence(params, other),
            1.0 + np.abs(ratio) + scale,
        )
    for what, (values, expected, extra) in statements.items():
        flat = np.reshape(values, (len(points), -1))
        total = mass @ flat
        # |values| or what cancelled in them; where these are small the mass itself is the scale.
        bound = (mass * relative * extra) @ (1 + np.abs(flat)) + gamma(OPERATIONS) * np.abs(
            expected
        ).max()
        off = np.abs(total - np.ravel(expected))
        assert (off <= bound).all(), f"{what}: off by {off.max():.3g}, bound {bound.max():.3g}"


@given(instances(exponential=True))
def test_the_divergence_is_positive_and_zero_at_itself(instance):
    family, params, other, _ = instance
    divergence = family.kl_divergence(params, other)
    size = np.abs(family.mean(params) * family.natural_parameters(params)).sum()
    size += np.abs(family.mean(params) * family.natural_parameters(other)).sum()
    size += np.abs(family.log_partition(params)) + np.abs(family.log_partition(other))
    assert divergence >= -gamma(OPERATIONS) * size, f"a negative divergence, {divergence}"
    itself = family.kl_divergence(params, params)
    assert itself == 0, f"the divergence of a density from itself is {itself}"


@given(
    instances(count=4, exponential=True),
    st.lists(st.integers(1, 5), min_size=4, max_size=4),
    st.data(),
)
def test_fit_matches_mean_parameters_and_is_the_greatest(instance, counts, data):
    family, _, _, x = instance
    weights = np.array(counts) / sum(counts)
    fitted = family.fit(x, np.log(weights))
    moments = weights @ family.statistics(x)
    if isinstance(family, GaussianMeanScale):
        mean, square = np.split(moments, 2)
        moments = np.r_[mean, mean**2 + np.maximum(square - mean**2, family.least_scale**2)]
    off = np.abs(family.mean(fitted) - moments)
    # Of a logit, the mean moves by at most a quarter of the logit's own rounding.
    bound = gamma(OPERATIONS) * (1 + np.abs(family.statistics(x)).max())
    if isinstance(family, Beta):
        slope = np.diagonal(family.fisher_information(fitted)) / family.concentration
        bound = bound * (1 + slope / (expit(fitted) * expit(-fitted)))
    if isinstance(family, ContinuousBernoulli):
        # If all data are at one end, the logit is limited to 1e6, where the mean is 1e-6 from it.
        bound = bound + 1.001e-6
    if isinstance(family, VonMises):
        # A curved family: only the direction is matched, which is where the mean score is nought.
        off = weights @ family.score(x, np.broadcast_to(fitted, x.shape))
        bound = bound * family.concentration
    assert (off <= bound).all(), f"mean parameters {family.mean(fitted)}, data have {moments}"
    steps = data.draw(integers(len(fitted), -4, 4), label="step") / 16
    if isinstance(family, GaussianMeanScale):
        floor = np.r_[
            np.full(x.shape[1], -np.inf), np.log(family.least_scale) + np.zeros_like(x[0])
        ]
        steps = np.maximum(steps, np.minimum(floor - fitted, 0.0))
    finite = np.where(np.isfinite(fitted), fitted, np.sign(fitted) * 40)
    best, worse = (
        weights @ family.log_prob(x, t) for t in (finite, np.where(steps, finite + steps, finite))
    )
    slack = gamma(OPERATIONS) * (
        weights @ (terms(family, x, finite) + terms(family, x, finite + steps))
    )
    # At 40 nats from the boundary less than 4 exp(-40) of a nat is missing.
    slack += 4 * len(steps) * np.exp(-40 + 0.25) if np.isinf(fitted).any() else 0.0
    assert worse <= best + slack, f"parameters {fitted + steps} are better by {worse - best:.3g}"


@pytest.mark.parametrize(
    ("family", "x", "log_weights", "expected"),
    [
        (Poisson(), [[0.0], [3.0]], [0.0, -800.0], np.log(3) - 800),
        (Bernoulli(), [[0.0], [1.0]], [0.0, -800.0], -800.0),
        (Bernoulli(), [[0.0], [1.0]], [-800.0, 0.0], 800.0),
        (Bernoulli(), [[1.0], [1.0]], np.log([0.5, 0.5]), np.inf),
        (Bernoulli(), [[0.0], [0.0]], np.log([0.5, 0.5]), -np.inf),
        (Poisson(), [[0.0], [0.0]], np.log([0.5, 0.5]), -np.inf),
        (Gamma(shape=2.0), [[1e-300], [1.0]], [0.0, -800.0], -300 * np.log(10)),
    ],
)
def test_fit_keeps_the_digits_of_tiny_weights(family, x, log_weights, expected):
    fitted = family.fit(np.array(x), np.asarray(log_weights))
    assert np.isclose(fitted[0], expected, rtol=gamma(20), atol=0), f"{fitted[0]}, not {expected}"


def test_a_categorical_fit_keeps_the_digits_of_tiny_weights():
    fitted = Categorical().fit(np.eye(3), np.array([0.0, -5.0, -800.0]))
    np.testing.assert_allclose(
        fitted - fitted[0], [0, -5, -800], rtol=gamma(20), err_msg="log weights are the logits"
    )


@pytest.mark.parametrize(
    "a", ["0.01", "0.5", "1", "3.7", "9.999", "10", "12.5", "100", "1e6", "1e12"]
)
def test_stirling_remainder_keeps_its_digits(a):
    with mp.workdps(60):
        t = mpf(float(a))
        exact = mp.loggamma(t) - (t - 0.5) * mp.log(t) + t - mp.log(2 * mp.pi) / 2
        off = float(abs(mpf(float(stirling_remainder(np.array(float(a))))) - exact))
        size, exact = float(abs(mp.loggamma(t)) + t * (1 + abs(mp.log(t))) + 1), float(exact)
    # Below 10 the terms cancel; from there on the series' next term is what is missing.
    truncation = 3617 / 122400 / float(a) ** 15
    bound = gamma(20) * size if float(a) < 10 else gamma(20) * exact + truncation
    assert off <= bound, f"off by {off:.3g} at a = {a}, bound {bound:.3g}"


@pytest.mark.parametrize(
    ("family", "x", "params", "expected"),
    [
        (Bernoulli(), [0.0], [800.0], -800.0),
        (Bernoulli(), [1.0], [800.0], 0.0),
        (Bernoulli(), [1.0], [-800.0], -800.0),
        (Categorical(), [0.0, 1.0], [1000.0, -1000.0], -2000.0),
        (Poisson(), [0.0], [-800.0], 0.0),
        (Poisson(), [2.0], [-800.0], -1600.0 - np.log(2.0)),
        (Gamma(shape=1.0), [1.0], [600.0], -600.0),
        (Gaussian(scale=1e-4), [40e-4], [0.0], -800 - 0.5 * np.log(2 * np.pi) + 4 * np.log(10)),
    ],
)
def test_far_out_parameters_neither_overflow_nor_underflow(family, x, params, expected):
    value = family.log_prob(np.array(x), np.array(params))
    assert np.isclose(value, expected, rtol=gamma(20), atol=0), f"{value}, not {expected}"


#: Two-sided level 1e-6 for each of the statements below.
Z = stats.norm.isf(0.5e-6)
COV = np.array([[1.0, 0.6], [0.6, 2.0]])


@pytest.mark.parametrize(
    ("family", "params"),
    [
        (Gaussian(scale=0.5), [1.0, -2.0]),
        (Gaussian(scale=[0.5, 2.0]), [1.0, -2.0]),
        (Gaussian(cov=COV), [1.0, -2.0]),
        (Bernoulli(), [0.0, 1.5]),
        (Poisson(), [0.0, 2.0]),
        (Gamma(shape=0.5), [0.0, 1.0]),
        (Gamma(shape=4.0), [0.0, 1.0]),
        (Exponential(), [0.0, 1.0]),
        (NegativeBinomial(shape=0.5), [0.0, 2.0]),
        (NegativeBinomial(shape=1e8), [0.0, 2.0]),
        (LogNormal(scale=[0.5, 2.0]), [1.0, -2.0]),
        (VonMises(concentration=0.5), [1.0, -2.0]),
        (VonMises(concentration=1e4), [1.0, -20.0]),
        (Beta(concentration=1.0), [0.0, 1.0]),
        (Beta(concentration=100.0), [0.0, 3.0]),
        (StudentT(dof=1.0, scale=0.5), [0.0, 100.0]),
        (StudentT(dof=8.0, scale=[0.5, 2.0]), [0.0, 100.0]),
        (Categorical(), [0.0, 1.0, -1.0]),
    ],
    ids=str,
)
def test_samples_have_the_mean_parameters_and_the_fisher_information(family, params):
    rng, count = np.random.default_rng(1), 40_000
    params = np.array(params)
    x = family.sample(np.broadcast_to(params, (count, len(params))), rng)
    family.check_data(x)
    assert x.shape == (count, len(params)), f"shape {x.shape} from one row a parameter vector"
    if isinstance(family, ExponentialFamily):
        statistics = family.statistics(x)
        deviation = np.abs(statistics.mean(axis=0) - family.mean(params))
        bound = Z * statistics.std(axis=0) / np.sqrt(count)
        assert (deviation <= bound).all(), f"means off by {deviation}, {bound} expected at most"
    score = family.score(x, params)
    deviation = np.abs(score.mean(axis=0))
    bound = Z * score.std(axis=0) / np.sqrt(count)
    assert (deviation <= bound).all(), f"mean scores {deviation}, {bound} expected at most"
    outer = score[:, :, None] * score[:, None, :]
    deviation = np.abs(outer.mean(axis=0) - family.fisher_information(params))
    bound = Z * outer.std(axis=0) / np.sqrt(count) + gamma(OPERATIONS)
    assert (deviation <= bound).all(), f"second moments off by {deviation}, bound {bound}"


def test_gaussian_scale_forms_agree():
    x, params = np.array([[1.0, 2.0]]), np.array([[0.5, -1.0]])
    forms = [Gaussian(scale=0.5), Gaussian(scale=[0.5, 0.5]), Gaussian(cov=0.25 * np.eye(2))]
    values = [f.log_prob(x, params)[0] for f in forms]
    assert np.ptp(values) <= gamma(20) * max(np.abs(values)), f"three forms, values {values}"
    assert [f.data_dim for f in forms] == [None, 2, 2], "a number fits any data dimension"
    for form in forms:
        assert (form.covariance(2) == 0.25 * np.eye(2)).all(), f"covariance {form.covariance(2)}"


def test_the_bernoulli_fit_is_the_logit_of_the_mean():
    fitted = Bernoulli().fit(np.array([[0.0], [1.0], [1.0]]), np.log(np.full(3, 1 / 3)))
    assert np.isclose(fitted[0], logit(2 / 3), rtol=gamma(20)), f"{fitted[0]}, not log 2"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(), "expected exactly one of scale and cov, got neither"),
        (lambda: Gaussian(1.0, cov=np.eye(2)), "expected exactly one of scale and cov, got both"),
        (lambda: Gaussian(scale=0.0), "scale: expected positive"),
        (lambda: Gaussian(scale=-1.0), "scale: expected positive"),
        (lambda: Gaussian(scale=[1.0, 0.0]), "scale: expected positive"),
        (lambda: Gaussian(scale=[]), "scale: expected positive numbers, got an empty array"),
        (lambda: Gaussian(scale=np.nan), "scale: expected finite"),
        (lambda: Gaussian(scale=np.inf), "scale: expected finite"),
        (lambda: Gaussian(scale=np.eye(2)), "scale: expected a number or a vector"),
        (lambda: Gaussian(scale="wide"), "scale: expected an array of real numbers"),
        (lambda: Gaussian(cov=1.0), "cov: expected square matrices"),
        (lambda: Gaussian(cov=np.ones((2, 3))), "cov: expected square matrices"),
        (lambda: Gaussian(cov=[[1.0, 0.5], [0.4, 1.0]]), "cov: expected symmetric"),
        (lambda: Gaussian(cov=[[1.0, 2.0], [2.0, 1.0]]), "cov: expected positive-definite"),
        (lambda: Gaussian(cov=[[1.0, 1.0], [1.0, 1.0]]), "cov: expected positive-definite"),
        (lambda: Gaussian(cov=np.zeros((2, 2))), "cov: expected positive-definite"),
        (lambda: Gaussian(cov=[[np.nan]]), "cov: expected finite"),
        (lambda: Gaussian(cov=np.eye(2)[None]), r"cov: expected shape \(D, D\)"),
        (lambda: Gamma(shape=0.0), "shape: expected positive"),
        (lambda: Gamma(shape=-2.0), "shape: expected positive"),
        (lambda: Gamma(shape=[1.0, 2.0]), "shape: expected a number"),
        (lambda: Gamma(shape=np.nan), "shape: expected finite"),
        (lambda: NegativeBinomial(shape=0.0), "shape: expected positive"),
        (lambda: NegativeBinomial(shape=[1.0]), "shape: expected a number"),
        (lambda: LogNormal(scale=-1.0), "scale: expected positive"),
        (lambda: LogNormal(scale=np.eye(2)), "scale: expected a number or a vector"),
        (lambda: StudentT(dof=0.0, scale=1.0), "dof: expected positive"),
        (lambda: StudentT(dof=1.0, scale=[1.0, -1.0]), "scale: expected positive"),
        (lambda: StudentT(dof=np.inf, scale=1.0), "dof: expected finite"),
        (lambda: VonMises(concentration=0.0), "concentration: expected positive"),
        (lambda: VonMises(concentration="high"), "concentration: expected an array of real"),
        (lambda: Beta(concentration=-2.0), "concentration: expected positive"),
        (lambda: Laplace(scale=0.0), "scale: expected positive"),
    ],
)
def test_bad_constructor_input_is_a_value_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


ANY = [
    *(Gaussian(scale=1.0), Bernoulli(), Poisson(), Gamma(shape=1.0), Categorical()),
    *(NegativeBinomial(shape=1.0), Exponential(), LogNormal(scale=1.0), Beta(concentration=2.0)),
    *(StudentT(dof=3.0, scale=1.0), VonMises(concentration=1.0), Uniform(), Laplace(scale=1.0)),
]


@pytest.mark.parametrize("family", ANY, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[np.nan, 1.0]], "x: expected finite numbers, got nan"),
        ([[np.inf, 1.0]], "x: expected finite numbers, got inf"),
        (1.0, "x: expected at least 1 axis"),
        (np.zeros((0, 2)), "x: expected at least one vector"),
        (np.zeros((2, 0)), "x: expected"),
        ([["one", "two"]], "x: expected an array of real numbers"),
        ([[1.0], [1.0, 0.0]], "x: expected an array of real numbers"),
    ],
    ids=str,
)
def test_data_that_no_family_takes(family, x, message):
    with pytest.raises(ValueError, match=message):
        family.check_data(x)


@pytest.mark.parametrize(
    ("family", "x", "message"),
    [
        (Gaussian(scale=[1.0, 2.0]), [[1.0, 2.0, 3.0]], r"x: expected shape \(..., 2\)"),
        (Gaussian(cov=np.eye(3)), [[1.0, 2.0]], r"x: expected shape \(..., 3\)"),
        (Bernoulli(), [[0.0, 0.5]], "expected zeros and ones .*got 0.5"),
        (Bernoulli(), [[0.0, -1.0]], "expected zeros and ones .*got -1"),
        (Poisson(), [[1.0, -2.0]], "expected counts .*got -2"),
        (Poisson(), [[1.0, 2.5]], "expected counts .*got 2.5"),
        (Gamma(shape=2.0), [[1.0, 0.0]], "expected positive numbers .*got 0"),
        (Gamma(shape=2.0), [[1.0, -3.0]], "expected positive numbers .*got -3"),
        (Exponential(), [[1.0, 0.0]], r"expected positive numbers \(Exponential\), got 0"),
        (LogNormal(scale=1.0), [[-1.0]], r"expected positive numbers \(LogNormal\), got -1"),
        (LogNormal(scale=[1.0, 2.0]), [[1.0]], r"x: expected shape \(..., 2\)"),
        (NegativeBinomial(shape=1.0), [[0.5]], r"expected counts .*NegativeBinomial\), got 0.5"),
        (Beta(concentration=2.0), [[0.5, 1.0]], r"inside \(0, 1\) \(Beta\), got 1"),
        (Beta(concentration=2.0), [[0.0, 0.5]], r"inside \(0, 1\) \(Beta\), got 0"),
        (Uniform(), [[0.0]], r"expected positive numbers \(Uniform\), got 0"),
        (StudentT(dof=1.0, scale=[1.0, 2.0]), [[1.0]], r"x: expected shape \(..., 2\)"),
        (Categorical(), [[1.0, 1.0]], r"expected one-hot .*got \[1.0, 1.0\]"),
        (Categorical(), [[0.0, 0.0]], "expected one-hot"),
        (Categorical(), [0.5, 0.5], r"expected one-hot .*got \[0.5, 0.5\]"),
        (Categorical(), [[1.0, 0.0], [2.0, -1.0]], r"expected one-hot .*got \[2.0, -1.0\]"),
    ],
)
def test_data_outside_the_support_is_refused(family, x, message):
    with pytest.raises(ValueError, match=message):
        family.check_data(x)


@pytest.mark.parametrize("family", ANY, ids=lambda f: type(f).__name__)
def test_data_in_the_support_come_back_as_float64(family):
    if family.support is Support.UNIT_INTERVAL:
        x = family.check_data(np.array([[0.25, 0.5]], dtype=np.float32))
    elif family.support is Support.POSITIVE:
        x = family.check_data([[1, 2]])
    else:
        x = family.check_data([[True, False], [False, True]])
    assert x.dtype == np.float64, f"expected float64, got {x.dtype}"


#: Families with usual parameters, and their log densities by SciPy.
USUAL = {
    "normal": (Gaussian(scale=0.5), stats.norm.logpdf),
    "normal with scales": (GaussianMeanScale(1e-3), stats.norm.logpdf),
    "laplace": (Laplace(0.4), stats.laplace.logpdf),
    "bernoulli": (
        Bernoulli(),
        lambda x, logits: stats.bernoulli.logpmf(x, expit(logits)),
    ),
    "poisson": (Poisson(), lambda x, rate: stats.poisson.logpmf(x, rate)),
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_parameters_are_those_of_scipy(name):
    likelihood, log_density = USUAL[name]
    rng = np.random.default_rng(0)
    params = rng.normal(size=(3, 8 if name == "normal with scales" else 4))
    x = rng.integers(0, 2, size=(3, 4)).astype(float)
    family, parts = likelihood.usual_parameters(params)
    assert family == name.split()[0], f"another family: {family}"
    off = np.abs(log_density(x, **parts).sum(-1) - likelihood.log_prob(x, params)).max()
    assert off < 1e-12, f"another density, off by {off:.2g}"


def test_other_families_have_no_usual_parameters():
    for likelihood in (Gaussian(cov=np.eye(2)), Exponential()):
        assert likelihood.usual_parameters(np.ones(2)) is None, f"{likelihood!r} has some"


@given(
    x=st.lists(st.sampled_from((0.0, 1.0, 7.0, 1e6)), min_size=1, max_size=5),
    logs=st.lists(st.integers(-1000, 0), min_size=5, max_size=5),
)
def test_weighted_means_keep_their_digits_where_weights_underflow(x, logs):
    data, log_weights = np.array(x)[:, None], np.array(logs[: len(x)], dtype=float)
    with np.errstate(divide="ignore"):
        exact = logsumexp(log_weights + np.log(data[:, 0]))
    found = log_weighted_mean(data, log_weights)[0]
    assert found == exact or abs(found - exact) <= gamma(20) * (1 + abs(exact)), (
        f"{found} for {exact}"
    )
