"""The model that is fixed from a training set agrees with the bound that training maximised."""

import tracemalloc

import numpy as np
import pytest
from frameworks import framework
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import LatentModel, decoders, elbo, evaluation_model, likelihoods, log_evidence
from vaetheory.bounds import FORMS, baggins, profile_likelihood
from vaetheory.bounds.after_training import fitted_likelihood
from vaetheory.training import Density, Units, Vae
from vaetheory.training.objectives import OBJECTIVES

NETWORK = decoders.TanhNetwork(
    [[[0.6, -0.3], [0.2, 0.9], [1.0, 0.1]], np.arange(12).reshape(4, 3) / 10],
    [[0.1, 0.0, -0.2], [0.0, 0.1, 0.2, 0.3]],
)


def training_set(seed, size=40):
    rng = np.random.default_rng(seed)
    loc = rng.normal(size=(size, 2)) * [2.0, 0.5] + [1.0, 0.0]
    return NETWORK(loc) + 0.1 * rng.normal(size=(size, 4)), loc


@given(st.integers(0, 1000), st.sampled_from(FORMS), st.booleans(), st.sampled_from([None, 0.5, 2]))
@settings(max_examples=25)
def test_the_bound_is_that_of_the_model(seed, form, pooled, information):
    X, loc = training_set(seed)
    scale = np.array([0.3, 0.7])
    found = evaluation_model(
        NETWORK, X, loc, information=information, scale=scale, pooled=pooled, form=form
    )
    posterior = found.posterior(loc)
    # The floating prior is the one whose mean rate is the information of the batch.
    off = abs(posterior.kl_to_prior().mean() - found.bound.information)
    assert off <= 1e-12 * (1 + found.bound.information), f"the mean rate is off by {off:.2g}"
    # The same latents, decoded by the encoder's decoder and by the model.
    z = loc + scale * np.random.default_rng(0).standard_normal(loc.shape)
    turned = np.linalg.solve(np.linalg.cholesky(found.prior_cov), (z - found.prior_loc).T).T
    off = np.abs(found.model.decode(turned) - NETWORK(z)).max()
    assert off <= 1e-12, f"reconstructions differ by {off:.2g}"
    sampled = found.model.log_likelihood(X, turned).mean() - found.bound.information
    assert found.bound.value <= sampled + 1e-10, f"{found.bound.value} above {sampled}"
    if information is None:
        off = abs(found.bound.value - sampled)
        assert off <= 1e-10, f"the profile likelihood is off by {off:.2g}"
    assert len(set(found.scale)) == (1 if pooled else 4), f"pooled is {pooled}: {found.scale}"


def test_many_draws_are_the_expectation_over_the_posteriors():
    # For f(z) = w z + b the mean square of x - f(z) is (x - f(m))^2 + (w s)^2.
    rng = np.random.default_rng(0)
    loc, s, w = rng.normal(size=(500, 1)), 0.5, np.array([[1.0], [-2.0]])
    X = loc @ w.T + 0.1 * rng.normal(size=(500, 2))
    found = evaluation_model(
        decoders.Affine(w), X, loc, information=2.0, scale=s, draws=200, rng=rng
    )
    expected = ((X - loc @ w.T) ** 2).mean(0) + (w[:, 0] * s) ** 2 + X.var(0) * np.exp(-4.0)
    # A mean over 100,000 samples: its deviation is about half a percent.
    assert np.allclose(found.scale**2, expected, rtol=0.03), f"{found.scale**2} for {expected}"
    other = evaluation_model(decoders.Affine(w), X, loc, information=2.0, scale=s, rng=rng)
    assert not np.array_equal(other.scale, found.scale), "the samples do not count"


def test_it_is_the_density_of_the_experiment():
    X, _ = training_set(5)
    vae = Vae(OBJECTIVES["half"], 4, 2, (5,), Units.of(X, "pooled"), 1.5, False)
    params = vae.initial(0)
    loc, log_scale = vae.encode(params, X)
    rng = np.random.default_rng(7)
    noise = np.stack([rng.standard_normal(loc.shape) for _ in range(3)])
    density = Density.of(vae, params, X, noise=noise)
    assert np.array_equal(log_scale, 0 * log_scale), "the half-network has s = 1"
    plain = Density(vae, params, np.ones(2), density.log_sigma).decoder()
    found = evaluation_model(plain, X, loc, information=1.5, draws=3, rng=np.random.default_rng(7))
    prior = np.sqrt(np.diagonal(found.prior_cov))
    assert np.allclose(prior, density.prior_scale, rtol=1e-14), f"{prior} {density.prior_scale}"
    assert np.allclose(np.log(found.scale), density.log_sigma, atol=1e-13), "scales differ"
    one, other = (log_evidence(m, X[:3]) for m in (found.model, density.latent_model()))
    off = np.abs(one.value - other.value)
    assert (off <= one.error + other.error).all(), f"evidences differ by {off.max():.2g}"


def test_the_elbo_of_the_encoder_is_below_the_evidence():
    X, loc = training_set(1)
    found = evaluation_model(NETWORK, X, loc, information=1.0, scale=0.4, form="full")
    fresh, means = training_set(2)
    own = elbo(found.model, fresh, found.posterior(means))
    evidence = log_evidence(found.model, fresh)
    assert (own.value - own.error <= evidence.value + evidence.error).all(), "an ELBO above"


def test_the_model_is_the_rescaled_network():
    X, loc = training_set(3)
    found = evaluation_model(NETWORK, X, loc, information=1.0, form="centred")
    root = np.sqrt(np.diagonal(found.prior_cov))
    weights, biases = list(NETWORK.weights), list(NETWORK.biases)
    biases[0] = biases[0] + weights[0] @ loc.mean(axis=0)
    weights[0] = weights[0] * root
    by_hand = LatentModel(
        decoders.TanhNetwork(weights, biases), likelihoods.Gaussian(scale=found.fit.scale), 2
    )
    one, other = (log_evidence(m, X[:3]) for m in (found.model, by_hand))
    off = np.abs(one.value - other.value)
    assert (off <= one.error + other.error).all(), f"evidences differ by {off.max():.2g}"


def test_modules_and_tensors_of_pytorch():
    torch = framework("torch")
    X, loc = training_set(4)
    layers = [torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 4)]
    with torch.no_grad():
        for layer, w, b in zip(layers[::2], NETWORK.weights, NETWORK.biases, strict=True):
            layer.weight.copy_(torch.tensor(w))
            layer.bias.copy_(torch.tensor(b))
    single = decoders.TanhNetwork(
        [layer.weight.detach().double().numpy() for layer in layers[::2]],
        [layer.bias.detach().double().numpy() for layer in layers[::2]],
    )
    module = torch.nn.Sequential(*layers, torch.nn.Unflatten(1, (2, 2)))
    images = torch.tensor(X).reshape(-1, 2, 2)
    means = torch.tensor(loc, requires_grad=True)
    found = evaluation_model(module, images, means, information=2.0, scale=torch.tensor(0.5))
    same = evaluation_model(single, X, loc, information=2.0, scale=0.5)
    assert np.allclose(found.scale, same.scale, rtol=1e-13), f"{found.scale} {same.scale}"
    assert np.allclose(found.prior_cov, same.prior_cov, rtol=1e-14), "priors differ"
    one, other = log_evidence(found.model, images[:2]), log_evidence(same.model, X[:2])
    off = np.abs(one.value - other.value)
    assert (off <= one.error + other.error).all(), f"evidences differ by {off.max():.2g}"
    # What the loss computes from the whole set, with the same samples.
    z = loc + 0.5 * np.random.default_rng(0).standard_normal(loc.shape)
    loss = baggins(torch.tensor(X), torch.tensor(single(z)), information=2.0)
    off = abs(float(loss.value) - found.fit.value)
    assert off <= 1e-12, f"another value than the loss has: {off:.2g}"


def test_functions_and_arrays_of_jax():
    framework("jax")
    import jax.numpy as jnp

    from vaetheory.jax import JaxDecoder

    X, loc = training_set(4)
    decoder = JaxDecoder(lambda w, z: z @ w, np.array([[1.0, 0.0, 2.0, 0.5], [0.3, 1.0, 0.0, 0.1]]))
    found = evaluation_model(decoder, jnp.asarray(X), jnp.asarray(loc), information=2.0)
    affine = decoders.Affine(np.array([[1.0, 0.0, 2.0, 0.5], [0.3, 1.0, 0.0, 0.1]]).T)
    X, loc = (np.asarray(jnp.asarray(v), dtype=float) for v in (X, loc))
    same = evaluation_model(affine, X, loc, information=2.0)
    assert np.allclose(found.scale, same.scale, rtol=1e-12), f"{found.scale} {same.scale}"


X, LOC = training_set(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loc": LOC[:-1]}, "X and loc: expected one mean a datum, got shapes"),
        ({"loc": LOC[:, :1]}, "z: expected"),
        ({"X": X[:, :-1]}, r"X: expected shape \(..., 4\)"),
        ({"loc": LOC * np.nan}, "loc: expected finite numbers"),
        ({"scale": 0.0}, "scale: expected positive numbers"),
        ({"scale": np.ones(3)}, r"scale: expected a number or shape \(2,\)"),
        ({"scale": np.ones(LOC.shape)}, "scale: expected a number or a vector"),
        ({"form": "round"}, "form: expected"),
        ({"draws": 0}, "draws: expected"),
        ({"rng": 3}, "rng: expected a numpy.random.Generator"),
        ({"information": -1.0}, "information: expected numbers from 0"),
        ({"pooled": "yes"}, "pooled: expected True or False"),
        ({"X": X * [1, 1, 1, 0]}, "constant column 3; leave it out, or pool the dimensions"),
        ({"decoder": 3.0}, "decoder: expected"),
    ],
)
def test_bad_input_is_refused(change, message):
    given = {"decoder": NETWORK, "X": X, "loc": LOC, "information": 1.0} | change
    with pytest.raises(ValueError, match=message):
        evaluation_model(given.pop("decoder"), given.pop("X"), given.pop("loc"), **given)


def test_other_means_of_the_encoder_are_checked():
    found = evaluation_model(NETWORK, X, LOC, information=1.0)
    with pytest.raises(ValueError, match=r"loc: expected shape \(\.\.\., 2\)"):
        found.posterior(np.zeros((2, 3)))


@pytest.mark.parametrize("information", [None, 1.5])
def test_a_fit_to_many_pixels_keeps_no_copies(information):
    rng = np.random.default_rng(4)
    X, xhat = rng.normal(size=(2, 400, 700))
    X.flags.writeable = xhat.flags.writeable = False
    tracemalloc.start()
    try:
        found = fitted_likelihood(X, [xhat], information=information, pooled=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Two arrays of the size of the data at a time, and vectors.
    assert peak < 2.2 * X.nbytes, f"a peak of {peak / X.nbytes:.2f} times the data"
    expected = profile_likelihood(X, xhat)
    if information is not None:
        expected = baggins(X, xhat, information=information)
    assert found == expected, "another likelihood"
    again = fitted_likelihood(np.asfortranarray(X), [xhat], information=information, pooled=False)
    assert again == found, "it depends on the order of the numbers in memory"
