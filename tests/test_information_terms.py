"""Surgery of the rate, the plane of rate and distortion, and beta: other routes, and bad input."""

import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from vaetheory import AggregatePosterior, LatentModel, decoders, elbo, likelihoods
from vaetheory.bounds import (
    bilbo,
    elbo_surgery,
    linear_beta_vae,
    linear_vae_optimum,
    rate_distortion,
    reverse_water_filling,
)

X = np.random.default_rng(4).normal(size=(20, 4)) * [3.0, 2.0, 1.0, 0.7] + [5.0, 0.0, -1.0, 0.0]
SPECTRUM = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]


def test_information_is_that_of_an_adaptive_integral():
    encoder = AggregatePosterior([[-1.0], [0.5], [2.0]], scale=[[0.5], [1.0], [0.3]])
    found = elbo_surgery(encoder)

    def integrand(z):
        shares = encoder.responsibilities([z])
        logs = encoder.log_responsibilities([z])
        return float(np.exp(encoder.aggregate_log_prob([z])) * (shares @ logs))

    inner, error = quad(integrand, -12, 14, epsabs=1e-12, limit=400)
    off = abs(found.information - np.log(3) - inner)
    assert off <= found.error + error, f"off by {off}"
    assert found.reached, "the tolerance was not reached"
    assert np.isclose(found.rate, found.information + found.divergence, rtol=1e-14)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_codes_say_nothing_and_codes_far_apart_say_all(count):
    equal = elbo_surgery(AggregatePosterior(np.ones((count, 2)), scale=0.5))
    assert abs(equal.information) <= equal.error, f"equal codes say {equal.information}"
    far = elbo_surgery(AggregatePosterior(40.0 * np.arange(count)[:, None], scale=0.5))
    assert abs(far.information - np.log(count)) <= far.error, f"{count}: {far.information}"
    for found in (equal, far):
        assert found.reached, "the tolerance was not reached"
        assert found.error < 1e-9, f"an error of {found.error}"


def test_a_gaussian_aggregate_has_the_information_of_6e_in_the_limit_of_many_codes():
    # Codes on a fine grid with Gaussian weights, as counts: q(z) is nearly Gaussian.
    nodes = np.linspace(-3, 3, 25)
    counts = np.maximum(np.round(40 * np.exp(-(nodes**2) / 2)), 1).astype(int)
    loc = np.repeat(nodes, counts)[:, None]
    found = elbo_surgery(AggregatePosterior(loc, scale=1.0), rtol=1e-6)
    bound = bilbo(np.zeros(len(loc)), loc, [1.0], form="full").information
    assert found.information <= bound + found.error, "more than the fitted Gaussian's"
    assert found.information >= bound - 1e-3, "far from the fitted Gaussian's"


def test_terms_add_up_to_the_elbo_and_lie_in_order():
    model = LatentModel(decoders.Affine([[2.0], [-1.0]], [0.0, 0.5]), likelihoods.Bernoulli(), 1)
    data = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    encoder = AggregatePosterior([[-1.0], [0.5], [1.5]], scale=0.7)
    found = rate_distortion(model, data, encoder)
    value = elbo(model, data, encoder).value.mean()
    assert np.isclose(-found.rate - found.distortion, value, rtol=1e-13), "another ELBO"
    assert found.lower <= found.information <= found.rate, "out of order"
    assert np.isclose(found.entropy, np.log(3)), "three equally likely data"


def test_equal_data_count_once_in_the_entropy_and_densities_have_none():
    model = LatentModel(decoders.Affine([[2.0]]), likelihoods.Bernoulli(), 1)
    encoder = AggregatePosterior([[-1.0], [1.0], [1.0], [0.5]], scale=0.7)
    found = rate_distortion(model, [[0.0], [1.0], [1.0], [1.0]], encoder)
    assert np.isclose(found.entropy, -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))
    assert found.lower <= found.information, "the bound holds for the index, too"
    density = LatentModel(decoders.Affine([[2.0]]), likelihoods.Gaussian(scale=1.0), 1)
    found = rate_distortion(density, [[0.0], [1.0], [1.0], [1.0]], encoder)
    assert (found.entropy, found.lower) == (None, None), "a bound for a density"


@pytest.mark.parametrize("units", [1, 2, 3])
@pytest.mark.parametrize("beta", [0.4, 1.0, 1.7, 3.0, 6.0])
def test_beta_with_a_learned_noise_is_the_maximum_of_a_search(units, beta):
    found = linear_beta_vae(X, units, beta=beta)

    def loss(log_noise):
        noise = float(np.exp(log_noise[0]))
        rate, square = reverse_water_filling(SPECTRUM, beta * noise, latent_dim=units)
        return float(2 * np.log(2 * np.pi * noise) + square / (2 * noise) + beta * rate)

    best = min(
        (minimize(loss, [s], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
         for s in (-2.0, 0.0, 2.0)), key=lambda r: r.fun,
    )  # fmt: skip
    assert np.isclose(found.value, -best.fun, rtol=0, atol=1e-10), f"{found.value}, {-best.fun}"
    assert np.isclose(found.variance, np.exp(best.x[0]), rtol=1e-4), "another noise"
    assert found.active == (beta * found.variance < SPECTRUM[:units]).sum(), "another number"


def test_beta_one_is_the_linear_vae_and_a_fixed_noise_only_widens():
    one, vae = linear_beta_vae(X, 2), linear_vae_optimum(X, 2)
    assert np.isclose(one.value, vae.value, rtol=1e-12), "beta = 1 is no VAE"
    assert np.isclose(one.variance, vae.variance, rtol=1e-12), "another noise"
    wide = linear_beta_vae(X, 2, beta=3.0, variance=0.5)
    assert np.allclose(wide.vae.weight, linear_vae_optimum(X, 2, variance=1.5).weight)
    rate, square = reverse_water_filling(SPECTRUM, 1.5, latent_dim=2)
    assert np.isclose(wide.rate, rate, rtol=1e-10), "another rate"
    told = 2 * np.log(2 * np.pi * 0.5) + square / (2 * 0.5)
    assert np.isclose(wide.distortion, told, rtol=1e-12), "another distortion"


def test_data_without_a_rest_have_a_best_noise_only_above_a_beta():
    flat = np.array([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    with pytest.raises(ValueError, match="no maximum over sigma"):
        linear_beta_vae(flat, 2, beta=1.4)
    found = linear_beta_vae(flat, 2, beta=1.6)
    lam = np.array([4.5, 0.5])
    s = found.variance
    assert np.isclose(np.minimum(lam, 1.6 * s).sum(), 3 * s), "not stationary in sigma"


def test_water_levels_broadcast_and_order_does_not_matter():
    rate, square = reverse_water_filling([0.5, 4.0, 1.0], [[0.25], [2.0]])
    assert rate.shape == square.shape == (2, 1), "levels have lost their shape"
    assert np.allclose(rate[:, 0], [0.5 * np.log(4 * 16 * 2), 0.5 * np.log(2.0)])
    assert np.allclose(square[:, 0], [0.75, 3.5])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: elbo_surgery([[0.0]]), "encoder: expected an AggregatePosterior, got list"),
        (lambda: reverse_water_filling([-1.0], 1.0), "spectrum: expected eigenvalues of at least"),
        (lambda: reverse_water_filling([1.0], 0.0), "level: expected positive numbers, got 0.0"),
        (
            lambda: reverse_water_filling([1.0], 1.0, latent_dim=2),
            "latent_dim: expected an integer of at most 1, got int 2",
        ),
        (lambda: linear_beta_vae(X, 2, beta=-1.0), "beta: expected positive numbers, got -1.0"),
        (lambda: linear_beta_vae(X, 5), "latent_dim: expected an integer of at most 4"),
        (
            lambda: rate_distortion(
                LatentModel(decoders.Affine([[1.0]]), likelihoods.Bernoulli(), 1),
                [[0.0], [1.0]],
                AggregatePosterior([[0.0]], scale=1.0),
            ),
            "encoder: expected one posterior for each of 2 data, got 1",
        ),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call()
