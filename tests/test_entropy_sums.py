"""Entropy sums: 30-digit references, every family, draws, trained models, and bad input."""

import re

import mpmath
import numpy as np
import pytest

from vaetheory import LatentModel, Posterior, decoders, likelihoods
from vaetheory.bounds import entropy_sum, linear_vae_optimum, pseudo_entropy

#: A family and data of two entries.
FAMILIES = [
    (likelihoods.Bernoulli(), [[0.0, 1.0], [1.0, 1.0]]),
    (likelihoods.Categorical(), [[0.0, 1.0], [1.0, 0.0]]),
    (likelihoods.ContinuousBernoulli(), [[0.0, 0.3], [1.0, 0.9]]),
    (likelihoods.Poisson(), [[0.0, 4.0], [1.0, 2.0]]),
    (likelihoods.NegativeBinomial(shape=0.7), [[0.0, 4.0], [1.0, 2.0]]),
    (likelihoods.Exponential(), [[0.1, 4.0], [1.0, 2.0]]),
    (likelihoods.Gamma(shape=300.0), [[0.9, 1.4], [1.0, 2.0]]),
    (likelihoods.LogNormal(scale=0.1), [[0.9, 1.4], [1.0, 2.0]]),
    (likelihoods.Beta(concentration=3.0), [[0.1, 0.4], [0.7, 0.5]]),
    (likelihoods.VonMises(concentration=4.0), [[0.1, 0.4], [-2.7, 3.1]]),
    (likelihoods.Gaussian(scale=1e-3), [[0.1, 0.4], [-2.7, 3.1]]),
    (likelihoods.Gaussian(cov=[[1.0, 0.99], [0.99, 1.0]]), [[0.1, 0.4], [-2.7, 3.1]]),
]
NAMES = [type(f).__name__ for f, _ in FAMILIES]


def network(d, outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    return decoders.TanhNetwork(
        [rng.normal(size=(3, d)), rng.normal(size=(outputs, 3))],
        [rng.normal(size=3), rng.normal(size=outputs)],
    )


def missing(found):
    """What the terms miss of the ELBO, over what they state."""
    left = found.elbo - found.value - found.remainder - found.latent_remainders.sum()
    return abs(left) / (2 * found.error + found.remainder_error)


@pytest.mark.parametrize(("family", "X"), FAMILIES, ids=NAMES)
def test_the_terms_add_up_to_the_elbo(family, X):
    q = Posterior([[0.3], [-1.0]], scale=[[0.5], [0.2]])
    found = entropy_sum(LatentModel(network(1), family, 1), X, q)
    assert missing(found) <= 1, f"{type(family).__name__}: {missing(found)} times the error"
    wide = Posterior(np.ones((2, 20)), scale=0.3)
    drawn = entropy_sum(
        LatentModel(network(20), family, 20), X, wide, draws=8, rng=np.random.default_rng(1)
    )
    left = drawn.elbo - drawn.value - drawn.remainder - drawn.latent_remainders.sum()
    # The identity holds draw by draw, so that only rounding is left.
    size = 1 + abs(drawn.elbo) + abs(drawn.log_base) + abs(drawn.pseudo_entropy)
    assert abs(left) <= 1e-11 * size, f"{type(family).__name__}: {left} of {size} after draws"


@pytest.mark.parametrize(
    ("family", "params", "exact"),
    [
        (likelihoods.Bernoulli(), [0.3], lambda p: mpmath.log1p(mpmath.e**p)
         - p / (1 + mpmath.e**-p)),
        (likelihoods.Poisson(), [1.7], lambda p: mpmath.e**p * (1 - p)),
        (likelihoods.Exponential(), [-2.0], lambda p: 1 + p),
        (likelihoods.Gamma(shape=3.0), [0.4], lambda p: 3 * p + 3),
        (likelihoods.Gaussian(scale=0.5), [1.5], lambda p: -2 * p**2),
        (likelihoods.NegativeBinomial(shape=2.0), [1.0], lambda p: 2 * mpmath.log1p(mpmath.e**p / 2)
         - mpmath.e**p * mpmath.log(mpmath.e**p / (mpmath.e**p + 2))),
    ],
)  # fmt: skip
def test_pseudo_entropies_with_thirty_digits(family, params, exact):
    with mpmath.workdps(30):
        value = float(exact(mpmath.mpf(params[0])))
    found = float(pseudo_entropy(family, params))
    assert abs(found - value) <= 1e-14 * (1 + abs(value)), f"{family}: {found}, exactly {value}"


def test_a_constant_base_measure_gives_the_entropy():
    x, weights = np.polynomial.legendre.leggauss(40)
    x, weights = (x + 1) / 2, weights / 2
    logs = likelihoods.ContinuousBernoulli().log_prob(x[:, None], [2.5])
    entropy = -float(weights @ (np.exp(logs) * logs))
    found = float(pseudo_entropy(likelihoods.ContinuousBernoulli(), [2.5]))
    assert abs(found - entropy) < 1e-13, f"{found}, the entropy is {entropy}"
    mean_scale = likelihoods.GaussianMeanScale(least_scale=1e-3)
    found = float(pseudo_entropy(mean_scale, [3.0, np.log(0.2)]))
    assert abs(found - np.log(0.2) - 0.5) < 1e-13, "half a nat less the constant base measure"


def test_a_poisson_line_in_closed_form():
    W, b, m, s, x = 0.7, -0.2, 0.4, 0.5, 3.0
    model = LatentModel(decoders.Affine([[W]], [b]), likelihoods.Poisson(), 1)
    found = entropy_sum(model, [[x]], Posterior([[m]], scale=s))
    with mpmath.workdps(30):
        mean, v = mpmath.mpf(W) * m + b, (mpmath.mpf(W) * s) ** 2
        rate = mpmath.exp(mean + v / 2)
        pseudo, remainder = float(rate * (1 - mean - v)), float(x * mean - rate * (mean + v))
    assert abs(found.pseudo_entropy - pseudo) <= found.error, "another pseudo-entropy"
    assert abs(found.remainder - remainder) <= found.remainder_error, "another remainder"
    assert found.error < 1e-9, "a wide error"


def test_draws_agree_with_quadrature_within_their_error():
    family, X = FAMILIES[3]
    model, q = LatentModel(network(2), family, 2), Posterior([[0.3, 0.0], [-1.0, 1.0]], scale=0.3)
    exact = entropy_sum(model, X, q)
    drawn = entropy_sum(model, X, q, draws=4000, rng=np.random.default_rng(0))
    for name, error in (("remainder", drawn.remainder_error), ("elbo", drawn.error)):
        away = abs(getattr(drawn, name) - getattr(exact, name))
        assert away < 5 * error, f"{name}: {away / error} standard errors away"
    assert drawn.posterior_entropy == exact.posterior_entropy, "an entropy that was drawn"


def test_the_optimum_of_a_linear_vae_leaves_no_remainder():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4))
    best = linear_vae_optimum(X, 2)
    noise = likelihoods.Gaussian(scale=np.sqrt(best.variance))
    model = LatentModel(decoders.Affine(best.weight, best.bias), noise, 2)
    q = Posterior((X - best.bias) @ best.encoder.T, scale=np.sqrt(best.posterior_variances))
    found = entropy_sum(model, X, q, learned_scale=True)
    assert abs(found.remainder) < 1e-10, f"3h leaves {found.remainder}"
    assert np.abs(found.latent_remainders).max() < 1e-10, f"12f leaves {found.latent_remainders}"
    assert abs(found.elbo - found.value) < 1e-9, "the ELBO is no sum of entropies"
    # The scale of the centred means is stationary too; that of the data's mean is not learned here.
    shifted = LatentModel(decoders.Affine(best.weight), model.likelihood, 2)
    centred = entropy_sum(shifted, X - X.mean(axis=0), q)
    assert abs(centred.remainder) < 1e-9, f"the means' scale leaves {centred.remainder}"
    wrong = model.with_likelihood(likelihoods.Gaussian(scale=1.2 * np.sqrt(best.variance)))
    off = entropy_sum(wrong, X, q, learned_scale=True)
    assert abs(off.remainder - 2 * (1 - 1 / 1.44)) < 1e-9, "a wrong noise is not told"


def test_learned_scales_of_an_ordinary_vae():
    family = likelihoods.GaussianMeanScale(least_scale=1e-3)
    model = LatentModel(decoders.Affine([[1.0], [0.3]], [0.2, -0.5]), family, 1)
    q, X = Posterior([[0.1], [1.0]], scale=0.4), [[0.5], [1.0]]
    found = entropy_sum(model, X, q)
    assert missing(found) <= 1, "the terms do not add up"
    z, w = np.polynomial.hermite_e.hermegauss(60)
    at = q.loc + 0.4 * z
    squares = ((np.array(X) - at - 0.2) / np.exp(0.3 * at - 0.5)) ** 2
    exact = 0.5 * (1 - float((squares @ w).mean()) / w.sum())
    assert abs(found.remainder - exact) < 1e-9, f"{found.remainder}, half the squares say {exact}"


def test_the_order_and_the_axes_of_data_do_not_count():
    family, X = FAMILIES[0]
    model = LatentModel(network(1), family, 1)
    loc, scale = np.array([[0.3], [-1.0]]), np.array([[0.5], [0.2]])
    first = entropy_sum(model, X, Posterior(loc, scale=scale))
    for other in (
        entropy_sum(model, X[::-1], Posterior(loc[::-1], scale=scale[::-1])),
        entropy_sum(model, [X], Posterior([loc], scale=scale[None])),
    ):
        assert abs(other.remainder - first.remainder) < 1e-14, "another remainder"
        assert abs(other.elbo - first.elbo) < 1e-14, "another ELBO"


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        (likelihoods.StudentT(dof=3.0, scale=1.0), {}, "model.likelihood: expected"),
        (likelihoods.Bernoulli(), {"learned_scale": True}, "learned_scale: expected False"),
        (likelihoods.Bernoulli(), {"learned_scale": 1}, "learned_scale: expected True or False"),
        (likelihoods.Bernoulli(), {"draws": 1}, "draws: expected an integer"),
        (likelihoods.Bernoulli(), {"draws": 4}, "rng: expected a numpy.random.Generator"),
        (likelihoods.Bernoulli(), {"rtol": 1.0}, "rtol: expected a number"),
    ],
)
def test_bad_input_is_named(family, options, words):
    model = LatentModel(decoders.Affine([[1.0]]), family, 1)
    with pytest.raises(ValueError, match=re.escape(words)):
        entropy_sum(model, [[1.0]], Posterior([[0.0]], scale=1.0), **options)


def test_a_bad_parameter_is_named():
    with pytest.raises(ValueError, match="likelihood: expected"):
        pseudo_entropy(likelihoods.StudentT(dof=3.0, scale=1.0), [0.0])
    with pytest.raises(ValueError, match="params"):
        pseudo_entropy(likelihoods.Bernoulli(), [np.nan])
    with pytest.raises(ValueError, match="params: expected log rates of at most 700"):
        pseudo_entropy(likelihoods.Poisson(), [800.0])
