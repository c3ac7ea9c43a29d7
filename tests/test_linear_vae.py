"""The linear VAE in closed form: against other routes, hard data and bad input."""

import dataclasses
import re

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from vaetheory import elbo, log_evidence
from vaetheory.bounds import LinearVAE, linear_vae, linear_vae_optimum

RNG_DATA = np.random.default_rng(7).normal(size=(9, 4)) * [3.0, 2.0, 1.0, 0.5] + [
    1.0,
    0.0,
    -2.0,
    5.0,
]


def exact_value(X, W, noise):
    """The profile ELBO with 50 digits, from the definition of 12a."""
    with mpmath.workdps(50):
        data, weight = mpmath.matrix(X.tolist()), mpmath.matrix(W.tolist())
        s = mpmath.mpf(noise)
        count, dim = data.rows, data.cols
        mean = [mpmath.fsum(data[n, i] for n in range(count)) / count for i in range(dim)]
        total = weight * weight.T + s * mpmath.eye(dim)
        inverse = total**-1
        square = mpmath.mpf(0)
        for n in range(count):
            x = mpmath.matrix([data[n, i] - mean[i] for i in range(dim)])
            square += (x.T * inverse * x)[0]
        diagonal = [
            mpmath.fsum(weight[i, j] ** 2 for i in range(dim)) + s for j in range(weight.cols)
        ]
        logs = mpmath.fsum(mpmath.log(v) for v in diagonal)
        constant = dim * mpmath.log(2 * mpmath.pi) + (dim - weight.cols) * mpmath.log(s)
        return -(constant + square / count + logs) / 2


@pytest.mark.parametrize("noise", [1e-6, 0.3, 1e6])
@pytest.mark.parametrize("d", [1, 3, 4, 6])
def test_the_error_holds_the_value_of_fifty_digits(noise, d):
    W = np.random.default_rng(d).normal(size=(4, d)) * 10.0 ** np.arange(0, -d, -1)
    found = linear_vae(RNG_DATA, W, variance=noise)
    off = abs(float(found.value - exact_value(RNG_DATA, W, noise)))
    assert off <= found.error, f"off by {off}, error {found.error}"
    assert found.error < 1e-6 * max(1.0, abs(found.value)), f"an error of {found.error}"


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_the_error_holds_far_from_the_origin(offset):
    W = np.random.default_rng(0).normal(size=(4, 2))
    found = linear_vae(RNG_DATA + offset, W, variance=0.3)
    off = abs(float(found.value - exact_value(RNG_DATA + offset, W, 0.3)))
    assert off <= found.error, f"off by {off}, error {found.error}"


def test_optimum_is_that_of_an_optimiser():
    best = linear_vae_optimum(RNG_DATA, 2)

    def loss(parameters):
        W, noise = parameters[:8].reshape(4, 2), np.exp(parameters[8])
        return -float(linear_vae(RNG_DATA, W, variance=noise).value)

    for seed in range(3):
        start = np.random.default_rng(seed).normal(size=9)
        found = minimize(loss, start, method="BFGS", options={"gtol": 1e-7})
        assert -found.fun <= best.value + best.error, f"start {seed}: above the maximum"
        assert -found.fun >= best.value - 1e-6, f"start {seed}: only {-found.fun}"


def test_the_model_and_the_posterior_go_into_the_functions_for_any_decoder():
    W = np.array([[1.0, 0.5], [0.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    vae = linear_vae(RNG_DATA, W, variance=0.5)
    bound = elbo(vae.model(), RNG_DATA, vae.posterior(RNG_DATA))
    evidence = log_evidence(vae.model(), RNG_DATA)
    assert np.allclose(bound.value.mean(), vae.value, rtol=0, atol=1e-11), "another ELBO"
    assert np.allclose(evidence.value - bound.value, vae.gap, rtol=0, atol=1e-10), "another gap"
    total = W @ W.T + 0.5 * np.eye(4)
    density = multivariate_normal.logpdf(RNG_DATA, RNG_DATA.mean(axis=0), total).mean()
    assert np.isclose(vae.log_evidence, density, rtol=1e-13), "another evidence"


def test_leading_axes_are_separate_data_sets():
    sets = np.stack([RNG_DATA, 2 * RNG_DATA])
    both = linear_vae_optimum(sets, 2, variance=[0.5, 0.1])
    for i, noise in enumerate((0.5, 0.1)):
        one = linear_vae_optimum(sets[i], 2, variance=noise)
        for field in dataclasses.fields(LinearVAE):
            together = np.asarray(getattr(both, field.name))[i]
            alone = np.asarray(getattr(one, field.name))
            assert np.allclose(together, alone, rtol=1e-12, atol=1e-12), (
                f"{i}: {field.name} differs"
            )
    with pytest.raises(ValueError, match=re.escape("model: expected one linear VAE")):
        both.model()
    with pytest.raises(ValueError, match=re.escape("posterior: expected one linear VAE")):
        both.posterior(RNG_DATA)


def test_a_unit_collapses_at_the_noise_of_its_axis_and_is_the_prior_then():
    spectrum = np.linalg.eigvalsh(np.cov(RNG_DATA.T, bias=True))[::-1]
    for factor, active in ((0.99, [True, True]), (1.01, [True, False])):
        vae = linear_vae_optimum(RNG_DATA, 2, variance=factor * spectrum[1])
        assert vae.active.tolist() == active, f"at {factor} of the second eigenvalue"
        assert (vae.divergences[1] == 0) == (not active[1]), f"KL {vae.divergences}"
        assert np.allclose(vae.posterior(RNG_DATA).loc[:, 1], 0) == (not active[1])


def test_fewer_data_than_units_and_data_of_lower_rank():
    X = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    vae = linear_vae_optimum(X, 3, variance=0.25)
    assert vae.active.tolist() == [True, False, False], "two data have one axis"
    assert np.isclose(vae.divergences[0], 0.5 * np.log(2 / 0.25)), "the axis has variance 2"
    with pytest.raises(ValueError, match="grows without bound"):
        linear_vae_optimum(X, 1)
    with pytest.raises(ValueError, match="grows without bound"):
        linear_vae_optimum(RNG_DATA, 4)


def test_units_of_the_data_shift_the_value_by_their_logarithm():
    best = linear_vae_optimum(RNG_DATA, 2)
    for unit in (1e-100, 1e-6, 1e6, 1e100):
        other = linear_vae_optimum(unit * RNG_DATA, 2)
        shift = 4 * np.log(unit)
        assert np.isclose(other.value, best.value - shift, rtol=1e-12), f"in units of {unit}"
        assert np.allclose(other.divergences, best.divergences, atol=1e-9), f"in units of {unit}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0, 2.0], [[1.0]], 1.0), "X: expected at least 2 axes"),
        (([[np.nan]], [[1.0]], 1.0), "X: expected finite numbers, got nan"),
        (([[1.0, 2.0]], [[1.0]], 1.0), "weight: expected shape (2, d) to go with X, got (1, 1)"),
        (([[1.0]], [[np.inf]], 1.0), "weight: expected finite numbers, got inf"),
        (([[1.0]], [[1.0]], 0.0), "variance: expected positive numbers, got 0.0"),
        (([[1.0]], [[1.0]], [1.0]), "variance: expected a number, got an array of shape (1,)"),
        (([[1e200]], [[1.0]], 1.0), "X: expected numbers of at most 1e+150 in size, got 1e+200"),
        (([[1e150], [-1e150]], [[1.0]], 1e-300), "expected ELBOs that fit in float64"),
    ],
)
def test_bad_input_is_named(arguments, words):
    X, weight, variance = arguments
    with pytest.raises(ValueError, match=re.escape(words)):
        linear_vae(X, weight, variance=variance)


@pytest.mark.parametrize(
    ("latent_dim", "words"),
    [
        (0, "latent_dim: expected an integer of at least 1, got int 0"),
        (5, "latent_dim: expected an integer of at most 4, got int 5"),
        (1.5, "latent_dim: expected an integer of at least 1, got float 1.5"),
    ],
)
def test_bad_dimensions_are_named(latent_dim, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        linear_vae_optimum(RNG_DATA, latent_dim, variance=1.0)


def test_the_arguments_are_not_changed_and_the_results_are_read_only():
    X, W = RNG_DATA.copy(), np.ones((4, 2))
    vae = linear_vae(X, W, variance=1.0)
    assert (X == RNG_DATA).all(), "the data were changed"
    W[0, 0] = 5.0
    assert vae.weight[0, 0] == 1.0, "the result shares memory with the argument"
    with pytest.raises(ValueError, match="read-only"):
        vae.weight[0, 0] = 0.0


def test_data_far_from_the_origin_are_known_to_the_stated_error():
    rng = np.random.default_rng(3)
    X, w = rng.normal(size=(7, 4)), rng.normal(size=(4, 2))
    near = linear_vae(X, w, variance=1.0)
    far = linear_vae(X + 1e9, w, variance=1.0)
    # The sum of data and shift is rounded to 1e-7.
    off, error = abs(far.value - near.value), far.error + near.error
    assert 1e-9 < off <= error, f"off by {off}, stated {error}"
