"""The ELBO and its stationary points: closed forms, and error figures that cover the truth."""

from fractions import Fraction
from math import factorial

import autograd.numpy as anp
import numpy as np
import pytest
from elbo_cases import (
    DIGITS,
    FAMILIES,
    NETWORKS,
    OPERATIONS,
    divergence_from_prior,
    exact,
    integers,
    linear,
    normal_log_density,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.special import gammaln

from vaetheory import (
    LatentModel,
    Posterior,
    decoders,
    derivatives,
    elbo,
    likelihoods,
    log_evidence,
    stationary_posterior,
)
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.rounding import gamma


@settings(max_examples=40)
@given(linear())
def test_linear_gaussian_closed_form(instance):
    # E_q log N(x; Wz + b, L) = log N(x; Wm + b, L) - tr(W^T L^-1 W S) / 2.
    model, x, loc, cov = instance
    result = elbo(model, x, Posterior(loc, cov=cov))
    with mp.workdps(DIGITS):
        W, b, m, S = (
            exact(model.decoder.weight),
            exact(model.decoder.bias).T,
            exact(loc).T,
            exact(cov),
        )
        L = exact(model.likelihood.covariance(len(x)))
        inner = W.T * mp.inverse(L) * W * S
        value = normal_log_density(exact(x).T, W * m + b, L)
        value -= mp.fsum(inner[i, i] for i in range(len(loc))) / 2
        off = float(abs(mpf(float(result.value)) - (value - divergence_from_prior(m, S))))
    assert result.reached, f"a quadratic integrand was not reached: {result.error:.3g}"
    assert off <= result.error, f"true error {off:.3g}, stated {result.error:.3g}"


@settings(max_examples=40)
@given(st.data())
def test_quadratic_decoders_by_moments(data):
    # All moments are rational, so the truth is a fraction plus logarithms.
    coefficients = data.draw(integers((3, 2), -4, 4), label="coefficients") / 2
    x = data.draw(integers(2, -8, 8), label="x") / 2
    m, s = data.draw(st.integers(-8, 8)) / 4, data.draw(st.integers(1, 16)) / 8
    scale = 2.0 ** -data.draw(st.integers(-1, 6), label="-log2 scale")
    decoder = decoders.Polynomial([[0], [1], [2]], coefficients)
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scale), 1)
    result = elbo(model, x, Posterior([m], scale=s))
    mean, var = Fraction(m), Fraction(s) ** 2
    moments = [
        Fraction(1),
        mean,
        mean**2 + var,
        mean**3 + 3 * mean * var,
        mean**4 + 6 * mean**2 * var + 3 * var**2,
    ]
    square = Fraction(0)
    for i in range(2):
        residual = [-Fraction(c) for c in coefficients[:, i]]
        residual[0] += Fraction(x[i])
        for j, a in enumerate(residual):
            for k, b in enumerate(residual):
                square += a * b * moments[j + k]
    quotient = square / Fraction(scale) ** 2
    with mp.workdps(DIGITS):
        value = -mpf(quotient.numerator) / quotient.denominator / 2
        value -= mp.log(2 * mp.pi * mpf(scale) ** 2)
        value -= divergence_from_prior(mp.matrix([m]), mp.matrix([[mpf(s) ** 2]]))
        off = float(abs(mpf(float(result.value)) - value))
    assert result.reached, f"a quartic integrand was not reached: {result.error:.3g}"
    assert off <= result.error, f"true error {off:.3g}, stated {result.error:.3g}"


@settings(max_examples=40)
@given(st.integers(1, 2), st.integers(1, 2), st.booleans(), st.data())
def test_linear_log_means_by_the_moment_generating_function(d, size, poisson, data):
    # E exp(+-(w . z + b)) = exp(+-(w . m + b) + w . S w / 2).
    weight = data.draw(integers((size, d), -4, 4), label="weight") / 4
    bias = data.draw(integers(size, -4, 4), label="bias") / 2
    loc = data.draw(integers(d, -4, 4), label="loc") / 2
    factor = data.draw(integers((d, d), -2, 2), label="factor") / 2
    x = data.draw(integers(size, 0, 8), label="x") + (0.0 if poisson else 0.25)
    cov = factor @ factor.T + np.eye(d) / 4
    likelihood = likelihoods.Poisson() if poisson else likelihoods.Gamma(shape=2.0)
    model = LatentModel(decoders.Affine(weight, bias), likelihood, d)
    result = elbo(model, x, Posterior(loc, cov=cov))
    with mp.workdps(DIGITS):
        W, b, m, S = exact(weight), exact(bias).T, exact(loc).T, exact(cov)
        eta, spread = W * m + b, W * S * W.T
        value = -divergence_from_prior(m, S)
        for i in range(size):
            t, v, datum = eta[i], spread[i, i], mpf(x[i])
            if poisson:
                value += datum * t - mp.exp(t + v / 2) - mp.loggamma(datum + 1)
            else:
                value += 2 * mp.log(2) - 2 * t - 2 * datum * mp.exp(v / 2 - t) + mp.log(datum)
        off = float(abs(mpf(float(result.value)) - value))
    assert off <= result.error, f"true error {off:.3g}, stated {result.error:.3g}"
    assert result.reached, f"an entire integrand was not reached: {result.error:.3g}"


@settings(max_examples=40)
@given(st.data())
def test_circles_by_their_characteristic_function(data):
    # ||x - f||^2 = |x|^2 + r^2 - 2 r (x_1 cos(z/r) + x_2 sin(z/r)), and E exp(iz/r) is known.
    r, scale = data.draw(st.integers(1, 8)) / 4, 2.0 ** -data.draw(st.integers(0, 6))
    x = data.draw(integers(2, -4, 4), label="x") / 2
    m, s = data.draw(st.integers(-16, 16)) / 4, data.draw(st.integers(1, 40)) / 8
    model = LatentModel(decoders.Circle(r), likelihoods.Gaussian(scale=scale), 1)
    result = elbo(model, x, Posterior([m], scale=s))
    with mp.workdps(DIGITS):
        damp = mp.exp(-(mpf(s) ** 2) / (2 * mpf(r) ** 2))
        along = mpf(x[0]) * mp.cos(mpf(m) / r) + mpf(x[1]) * mp.sin(mpf(m) / r)
        square = mpf(x[0]) ** 2 + mpf(x[1]) ** 2 + mpf(r) ** 2 - 2 * r * along * damp
        value = -square / (2 * mpf(scale) ** 2) - mp.log(2 * mp.pi * mpf(scale) ** 2)
        value -= divergence_from_prior(mp.matrix([m]), mp.matrix([[mpf(s) ** 2]]))
        off = float(abs(mpf(float(result.value)) - value))
    assert off <= result.error, f"true error {off:.3g}, stated {result.error:.3g}"
    assert result.reached, f"an entire integrand was not reached: {result.error:.3g}"


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("phase", [0.0, 0.7])
def test_wavy_decoders_of_every_frequency(d, phase):
    # E sin and E sin^2 by the characteristic function. A wide posterior is a high frequency;
    # nodes that are equally spaced take some of these for slow ones.
    deviations = np.arange(0.5, 240, 0.5) if d == 1 else np.array([1.0, 4, 12, 25, 60, 188])
    model = LatentModel(
        decoders.Sine([1.0], np.ones((1, d)), [phase]), likelihoods.Gaussian(scale=1.0), d
    )
    x, loc = 0.5, np.full((len(deviations), d), 0.25)
    cov = np.ones((len(deviations), d)) * deviations[:, None] ** 2
    cov[:, 1:] = 0.01
    posterior = Posterior(loc, cov=cov[:, :, None] * np.eye(d))
    result = elbo(model, np.full((len(deviations), 1), x), posterior)
    angle, spread = loc.sum(axis=1) + phase, cov.sum(axis=1)
    first = np.sin(angle) * np.exp(-spread / 2)
    second = 0.5 - 0.5 * np.cos(2 * angle) * np.exp(-2 * spread)
    divergence = 0.5 * (cov + loc**2 - 1 - np.log(cov)).sum(axis=1)
    truth = -0.5 * (x**2 - 2 * x * first + second) - 0.5 * np.log(2 * np.pi) - divergence
    off = np.abs(result.value - truth)
    # The reference rounds too, by a few roundings of the divergence.
    allowed = result.error + gamma(20) * (2 + cov.sum(axis=1))
    wrong = off > allowed
    assert not wrong.any(), (
        f"{wrong.sum()} deviations, {deviations[wrong].min()} to {deviations[wrong].max()}: true "
        f"error up to {off[wrong].max():.3g}, stated {result.error[wrong].min():.3g}, "
        f"status {set(result.status[wrong])}"
    )


def step_by_mpmath(k, c, x, scale):
    """E log N(x; tanh(k (z - c)), scale^2) under N(0, 1), by panels that resolve the step."""
    with mp.workdps(25):
        edges = {-12.0, -6.0, -3.0, 0.0, 3.0, 6.0, 12.0}
        edges |= {c + sign * j / k for j in (0, 1, 3, 8, 20) for sign in (1, -1)}
        panels = sorted(e for e in edges if -12 <= e <= 12)
        square, doubt = mp.quad(
            lambda z: (x - mp.tanh(k * (z - c))) ** 2 * mp.npdf(z), panels, error=True
        )
        assert doubt < 1e-18, f"the reference itself is off by {doubt}"
        return -square / (2 * mpf(scale) ** 2) - mp.log(2 * mp.pi * mpf(scale) ** 2) / 2


@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("c", [0.0, 0.5, 2.0, 3.0, 4.0])
def test_error_figures_cover_the_truth_at_a_steep_step(k, c):
    scale, x = 0.25, 0.5
    decoder = decoders.TanhNetwork([[[float(k)]], [[1.0]]], [[-k * c], [0.0]])
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scale), 1)
    result = elbo(model, [x], Posterior([0.0], scale=1.0))
    with mp.workdps(25):
        off = float(abs(mpf(float(result.value)) - step_by_mpmath(k, c, x, scale)))
    assert off <= result.error, f"true error {off:.3g}, stated {result.error:.3g} ({result.status})"


def square_rate():
    return LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Poisson(), 1)


@pytest.mark.parametrize("variance", [0.5, 0.52, 0.6, 0.75, 1.0, 1.5, 2.0, 10.0])
@pytest.mark.parametrize("m", [0.0, 0.5])
def test_a_divergent_expectation_is_never_reached(variance, m):
    # E exp(z^2) is infinite from a variance of 1/2 on.
    result = elbo(square_rate(), [1.0], Posterior([m], cov=[[variance]]))
    assert not result.reached, f"{result.value} +- {result.error}, though the ELBO is -infinity"


@pytest.mark.parametrize("variance", [0.01, 0.1, 0.25, 0.4, 0.45, 0.48])
@pytest.mark.parametrize("m", [0.0, 0.5])
def test_error_figures_cover_the_truth_close_to_divergence(variance, m):
    # E exp(z^2) = exp(m^2 / (1 - 2 v)) / sqrt(1 - 2 v).
    result = elbo(square_rate(), [1.0], Posterior([m], cov=[[variance]]))
    with mp.workdps(DIGITS):
        v, mean = mpf(variance), mpf(m)
        value = mean**2 + v - mp.exp(mean**2 / (1 - 2 * v)) / mp.sqrt(1 - 2 * v)
        value -= divergence_from_prior(mp.matrix([mean]), mp.matrix([[v]]))
        off = float(abs(mpf(float(result.value)) - value))
    assert off <= result.error, f"true error {off:.3g}, stated {result.error:.3g} ({result.status})"


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=15)
@given(m=st.integers(-8, 8), s=st.integers(1, 8))
def test_the_elbo_is_a_lower_bound_of_the_log_evidence(name, m, s):
    likelihood, X = FAMILIES[name]
    model = LatentModel(NETWORKS[1], likelihood, 1)
    bound = elbo(model, X, Posterior(np.full((2, 1), m / 4), cov=[[s**2 / 16]]))
    evidence = log_evidence(model, X)
    over = bound.value - evidence.value
    assert (over <= bound.error + evidence.error).all(), f"the ELBO exceeds the evidence by {over}"


@given(linear())
@settings(max_examples=40)
def test_the_second_order_elbo_of_a_linear_model_is_the_elbo(instance):
    model, x, loc, cov = instance
    posterior = Posterior(loc, cov=cov)
    result, second = elbo(model, x, posterior), second_order_elbo(model, x, posterior)
    _, hessian, _ = model.potential_derivatives(x, loc)
    trace = np.abs(hessian).sum() * np.abs(cov).max()
    condition = np.linalg.cond(model.likelihood.covariance(len(x))) + np.linalg.cond(cov)
    size = (np.abs(model.log_joint(x, loc)) + trace + 10) * condition
    off, bound = abs(second - result.value), result.error + gamma(OPERATIONS) * size
    assert off <= bound, f"off by {off:.3g}, bound {bound:.3g}"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("d", [1, 2])
def test_the_second_order_elbo_is_a_taylor_polynomial(name, d):
    likelihood, X = FAMILIES[name]
    model, x = LatentModel(NETWORKS[d], likelihood, d), np.array(X[0])
    network = NETWORKS[d]
    loc, cov = np.linspace(0.5, -0.25, d), 0.1 * np.eye(d) + 0.05

    def potential(z):
        hidden = anp.tanh(anp.dot(z, network.weights[0].T) + network.biases[0])
        t = anp.dot(hidden, network.weights[1].T) + network.biases[1]
        family = {
            "Gaussian": lambda: anp.sum((t - x) ** 2 / 0.5, -1),
            "Bernoulli": lambda: anp.sum(anp.logaddexp(0.0, t) - x * t, -1),
            "Poisson": lambda: anp.sum(anp.exp(t) - x * t, -1),
            "Gamma": lambda: anp.sum(2 * t + 2 * x * anp.exp(-t), -1),
            "Categorical": lambda: anp.log(anp.sum(anp.exp(t), -1)) - anp.sum(x * t, -1),
        }[name]()
        return (family + 0.5 * anp.sum(z**2, -1))[..., None]

    hessian = derivatives.hessian(potential, loc)[0]
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * cov)[1]
    truth = model.log_joint(x, loc) - 0.5 * np.trace(hessian @ cov) + entropy
    off = abs(second_order_elbo(model, x, Posterior(loc, cov=cov)) - truth)
    bound = gamma(OPERATIONS) * (np.abs(hessian).sum() + abs(model.log_joint(x, loc)) + 10)
    assert off <= bound, f"off by {off:.3g}, rounding explains {bound:.3g}"


@pytest.mark.parametrize("digits_lost", [2, 5, 8])
def test_the_condition_of_a_covariance_is_in_the_error(digits_lost):
    rng = np.random.default_rng(digits_lost)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    noise = (turn * 10.0 ** np.linspace(0, -digits_lost, 12)) @ turn.T
    noise = (noise + noise.T) / 2
    weight, loc, x = rng.normal(size=(12, 2)), rng.normal(size=2), rng.normal(size=12)
    # A plain function does not tell that it is affine, so that its outputs are not reduced.
    model = LatentModel(lambda z: anp.dot(z, weight.T), likelihoods.Gaussian(cov=noise), 2)
    found = elbo(model, x[None], Posterior(loc[None], cov=0.25 * np.eye(2)[None]))
    with mp.workdps(DIGITS):
        w, m, c = mp.matrix(weight.tolist()), mp.matrix(loc.tolist()), mp.matrix(noise.tolist())
        off = mp.matrix(x.tolist()) - w * m
        square = (off.T * mp.lu_solve(c, off))[0]
        square += sum((w[:, k].T * mp.lu_solve(c, w[:, k]))[0] for k in range(2)) / 4
        value = -square / 2 - mp.log(mp.det(c)) / 2 - 6 * mp.log(2 * mp.pi)
        # The divergence of N(m, I / 4) from the prior.
        value -= ((m.T * m)[0] + mpf(1) / 2 - 2 + 2 * mp.log(4)) / 2
        off = float(abs(mpf(float(found.value[0])) - value))
    assert off <= found.error[0], f"off by {off:.3g}, stated {found.error[0]:.3g}"


def test_batches_equal_their_data_one_by_one():
    model = LatentModel(NETWORKS[2], likelihoods.Gaussian(scale=0.25), 2)
    X = np.array([[[1.0, 0.5], [0.0, 0.0], [9.0, -5.0]], [[0.3, 0.2], [-1.0, 1.0], [2.0, 2.0]]])
    loc = np.linspace(-1, 1, 12).reshape(2, 3, 2)
    cov = np.eye(2) * np.linspace(0.1, 2, 6).reshape(2, 3, 1, 1)
    posterior = Posterior(loc, cov=cov)
    together, q = elbo(model, X, posterior), stationary_posterior(model, X)
    second = second_order_elbo(model, X, posterior)
    assert together.value.shape == together.error.shape == (2, 3), f"{together.value.shape}"
    assert q.loc.shape == (2, 3, 2), f"means of shape {q.loc.shape}"
    assert q.cov.shape == (2, 3, 2, 2), f"covariances of shape {q.cov.shape}"
    for field in (together.status, q.value, q.error, q.deficit, q.status, second):
        assert field.shape == (2, 3), f"expected the leading axes of X, got {field.shape}"
    for i in np.ndindex(2, 3):
        alone = elbo(model, X[i], Posterior(loc[i], cov=cov[i]))
        assert alone.value.shape == (), f"one datum gives shape (), got {alone.value.shape}"
        off = abs(alone.value - together.value[i])
        assert off <= alone.error + together.error[i], f"ELBO of datum {i} is off by {off:.3g}"
        single = stationary_posterior(model, X[i])
        off = abs(single.value - q.value[i])
        assert off <= single.error + q.error[i], f"stationary ELBO {i} is off by {off:.3g}"
        off = abs(second_order_elbo(model, X[i], Posterior(loc[i], cov=cov[i])) - second[i])
        assert off <= gamma(OPERATIONS) * (1 + abs(second[i])), f"second order {i}: {off:.3g}"


def test_a_looser_tolerance_costs_no_more_and_still_covers_the_truth():
    model = LatentModel(NETWORKS[2], likelihoods.Poisson(), 2)
    posterior = Posterior([0.5, -0.5], cov=np.diag([1.0, 2.0]))
    fine = elbo(model, [1.0, 2.0], posterior)
    for rtol in (1e-2, 1e-4, 1e-8):
        coarse = elbo(model, [1.0, 2.0], posterior, rtol=rtol)
        off = abs(coarse.value - fine.value)
        assert coarse.nodes <= fine.nodes, f"rtol {rtol} took {coarse.nodes} > {fine.nodes} nodes"
        assert off <= coarse.error + fine.error, f"rtol {rtol}: off {off:.3g}, {coarse.error:.3g}"


def test_log_factorials_are_part_of_the_poisson_elbo():
    # A decoder without any latent: the ELBO at the prior is the log density itself.
    model = LatentModel(decoders.Affine([[0.0]], [0.0]), likelihoods.Poisson(), 1)
    result = elbo(model, [5.0], Posterior([0.0], scale=1.0))
    off = abs(result.value - (-1 - np.log(factorial(5))))
    assert off <= result.error, f"off by {off:.3g} = {off / gammaln(6):.3g} log 5!"


MODEL = LatentModel(decoders.Affine([[1.0], [2.0]]), likelihoods.Gaussian(scale=1.0), 1)
Q = Posterior([[0.0]], scale=1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(MODEL, [[1.0]], Q), r"X: expected shape \(..., 2\), got \(1, 1\)"),
        (lambda f: f(MODEL, [[np.nan, 0.0]], Q), "X: expected finite"),
        (lambda f: f(MODEL, np.zeros((0, 2)), Q), "X: expected at least one vector"),
        (lambda f: f(MODEL, [0.0, 0.0], Q), "X and (posterior|start).loc: expected the same"),
        (lambda f: f(MODEL, np.zeros((3, 2)), Q), "X and (posterior|start).loc: expected the same"),
        (
            lambda f: f(MODEL, [[0.0, 0.0]], Posterior([[0.0, 0.0]], scale=1.0)),
            "(posterior|start): expected latent dimension 1, got 2",
        ),
    ],
)
@pytest.mark.parametrize("name", ["elbo", "second_order_elbo", "stationary_posterior"])
def test_data_and_posterior_must_fit(name, call, message):
    function = {
        "elbo": elbo,
        "second_order_elbo": second_order_elbo,
        "stationary_posterior": lambda model, X, q: stationary_posterior(model, X, start=q),
    }[name]
    with pytest.raises(ValueError, match=message):
        call(function)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: stationary_posterior(MODEL, [0.0, 0.0], structure="banded"),
            "structure: expected one of full, diagonal, shared; got str 'banded'",
        ),
        (lambda: stationary_posterior(MODEL, [0.0, 0.0], structure=None), "structure: expected"),
        (lambda: stationary_posterior(MODEL, [0.0, 0.0], rtol=0.0), "rtol: expected a number in"),
        (lambda: elbo(MODEL, [[0.0, 0.0]], Q, rtol=1.0), "rtol: expected a number in"),
        (lambda: elbo(MODEL, [[0.0, 0.0]], Q, rtol=-1.0), "rtol: expected a number in"),
        (lambda: elbo(MODEL, [[0.0, 0.0]], Q, rtol=np.nan), "rtol: expected finite"),
        (
            lambda: elbo(
                LatentModel(decoders.Affine([[1.0]]), likelihoods.Poisson(), 1), [[-1.0]], Q
            ),
            "x: expected counts",
        ),
        (
            lambda: elbo(
                LatentModel(
                    lambda z: anp.where(z > 3, np.nan, z), likelihoods.Gaussian(scale=1.0), 1
                ),
                [[0.0]],
                Posterior([[2.5]], scale=1.0),
            ),
            "decoder: expected numbers, got NaN at z",
        ),
    ],
)
def test_bad_options_data_and_decoders_are_value_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("d", [10, 20])
def test_a_linear_model_of_many_latents_is_in_closed_form(d):
    rng = np.random.default_rng(d)
    weight, bias, x = rng.normal(size=(3, d)), rng.normal(size=3), rng.normal(size=(2, 3))
    factor = rng.normal(size=(d, d)) / np.sqrt(d)
    q = Posterior(rng.normal(size=(2, d)), cov=[np.eye(d), factor @ factor.T + 0.1 * np.eye(d)])
    noise = np.array([0.5, 1.0, 2.0])
    model = LatentModel(decoders.Affine(weight, bias), likelihoods.Gaussian(scale=noise), d)
    found = elbo(model, x, q)
    # log p(x) - KL(q || p(z|x)), both of the joint Gaussian of x and z.
    marginal = weight @ weight.T + np.diag(noise**2)
    gain = np.linalg.solve(marginal, weight).T
    posterior = (x - bias) @ gain.T, np.eye(d) - gain @ weight
    for n in range(2):
        evidence = normal_density(x[n], bias, marginal)
        apart = q.loc[n] - posterior[0][n]
        divergence = np.trace(np.linalg.solve(posterior[1], q.cov[n])) - d
        divergence += apart @ np.linalg.solve(posterior[1], apart)
        divergence += np.linalg.slogdet(posterior[1])[1] - np.linalg.slogdet(q.cov[n])[1]
        off = abs(found.value[n] - evidence + divergence / 2)
        assert off < 1e-9, f"datum {n}: {found.value[n]}, off by {off:.2e}"
    assert found.reached.all(), f"status {found.status}"
    assert (found.error < 1e-9).all(), f"errors {found.error}"


def normal_density(x, mean, cov):
    apart = x - mean
    square = apart @ np.linalg.solve(cov, apart)
    return -0.5 * (square + np.linalg.slogdet(cov)[1] + len(x) * np.log(2 * np.pi))


def test_of_a_curved_model_of_many_latents_nothing_is_claimed():
    rng = np.random.default_rng(0)
    network = decoders.TanhNetwork(
        [rng.normal(size=(4, 20)), rng.normal(size=(3, 4))], [np.zeros(4), np.zeros(3)]
    )
    model = LatentModel(network, likelihoods.Bernoulli(), 20)
    found = elbo(model, [[1.0, 0.0, 1.0]], Posterior(np.zeros((1, 20)), scale=0.5))
    assert np.isinf(found.error).all(), f"{found.value} with an error of {found.error}"
    assert (found.status == "gave up").all(), f"status {found.status}"
