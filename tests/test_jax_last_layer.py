"""Layers of a function of JAX, found in its trace: the last affine one, and those of a network."""

import numpy as np
import pytest
from frameworks import framework

jax = framework("jax")

import jax.numpy as jnp  # noqa: E402

from vaetheory import LatentModel, likelihoods, log_evidence, stationary_posterior  # noqa: E402
from vaetheory.jax import JaxDecoder  # noqa: E402

SIZE, WIDTH = 24, 6
_RNG = np.random.default_rng(0)
PARAMS = {
    "a": _RNG.normal(size=(2, WIDTH)),
    "b": _RNG.normal(size=(WIDTH, SIZE)),
    "c": _RNG.normal(size=SIZE),
}


def hidden(params, z):
    return jnp.sin(z @ params["a"])


def plain(params, z):
    return hidden(params, z) @ params["b"] + params["c"]


FOUND = {
    "plain": plain,
    "no bias": lambda p, z: hidden(p, z) @ p["b"],
    "compiled": jax.jit(plain),
    "compiled within": lambda p, z: jax.jit(lambda h: h @ p["b"])(jax.nn.relu(z @ p["a"])),
    "called twice": lambda p, z: jax.jit(jnp.add)(jax.jit(jnp.add)(plain(p, z), 1.0), 2.0),
    "scaled": lambda p, z: 255 * plain(p, z) - p["c"],
    "images": lambda p, z: plain(p, z).reshape(-1, 1, 4, 6),
    "transposed images": lambda p, z: jnp.swapaxes(plain(p, z).reshape(-1, 4, 6), 1, 2),
    "einsum": lambda p, z: jnp.einsum("ni,ijk->njk", hidden(p, z), p["b"].reshape(WIDTH, 4, 6)),
    "point by point": jax.vmap(plain, in_axes=(None, 0)),
}
NOT_FOUND = {
    "squashed": lambda p, z: jax.nn.sigmoid(plain(p, z)),
    "clipped far out": lambda p, z: jnp.clip(plain(p, z), -1e6, 1e6),
    "residual": lambda p, z: plain(p, z) + z[:, :1],
    "weights of the latents": lambda p, z: jnp.einsum(
        "ni,nij->nj", hidden(p, z), p["b"] * (1 + z[:, :1, None] ** 2)
    ),
    "square": lambda p, z: plain(p, z) ** 2,
    "product": lambda p, z: plain(p, z) * plain(p, z),
    "part of it wide": lambda p, z: jnp.concatenate([plain(p, z), jnp.sin(z)], axis=1),
}


@pytest.mark.parametrize("name", FOUND)
def test_last_layers_are_found_and_have_the_values_of_the_function(name):
    decoder = JaxDecoder(FOUND[name], PARAMS)
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 2)
    assert model.reduced(np.zeros((1, SIZE))).data.shape == (1, WIDTH), "it was not reduced"
    layer = decoder.last_layer()
    # Other sizes of batches are traced anew.
    for count in (1, 5, 300):
        z = np.random.default_rng(count).normal(size=(count, 2))
        for method in ("__call__", "jacobian", "hessian"):
            own, other = (getattr(f, method)(z) for f in (decoder, layer))
            np.testing.assert_allclose(other, own, rtol=0, atol=1e-11, err_msg=method)
    assert not jax.config.jax_enable_x64, "the setting of the process has changed"


@pytest.mark.parametrize("name", NOT_FOUND)
def test_no_last_layer_is_found_where_the_output_is_another(name):
    decoder = JaxDecoder(NOT_FOUND[name], PARAMS)
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 2)
    assert decoder.last_layer() is None, "a last layer was found"
    assert model.reduced(np.zeros((1, model.data_dim))).model is model, "it was reduced"


@pytest.mark.parametrize("library", ["flax", "equinox"])
def test_layers_of_modules_are_found(library):
    made = framework(library)
    key = jax.random.PRNGKey(0)
    if library == "equinox":
        decoder = JaxDecoder(made.nn.MLP(2, SIZE, WIDTH, 2, key=key))
    else:
        linen = framework("flax.linen")
        module = linen.Sequential(
            [linen.Dense(WIDTH), linen.LayerNorm(), linen.gelu, linen.Dense(SIZE)]
        )
        decoder = JaxDecoder(module.apply, module.init(key, jnp.ones((1, 2))))
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 2)
    assert model.reduced(np.zeros((1, SIZE))).data.shape == (1, WIDTH), "it was not reduced"


def test_two_linear_layers_are_one():
    decoder = JaxDecoder(lambda p, z: (z @ p["a"]) @ p["b"], PARAMS)
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 2)
    assert model.reduced(np.zeros((1, SIZE))).data.shape == (1, 2), "the latents are the layer"


def test_evidences_and_posteriors_are_those_of_all_outputs():
    models = [
        LatentModel(JaxDecoder(plain, PARAMS), likelihoods.Gaussian(scale=0.3), 2) for _ in range(2)
    ]
    X = models[0].decoder(np.random.default_rng(0).normal(size=(3, 2))) + 0.1
    vars(models[1])["_last_layer"] = None
    for call in (log_evidence, stationary_posterior):
        one, other = (call(model, X) for model in models)
        off, allowed = np.abs(one.value - other.value), one.error + other.error
        assert (off <= allowed).all(), f"{call.__name__} is off by {off}, {allowed} is stated"


def layers(params, z):
    inner = jnp.tanh(z @ params["a"] + params["c"][:WIDTH])
    return jnp.tanh(inner @ params["b"][:, :WIDTH]) @ params["b"] + params["c"]


NETWORKS = {
    "two hidden layers": layers,
    "compiled": jax.jit(layers),
    "scaled, images": lambda p, z: (255 * layers(p, z) - 1).reshape(-1, 1, 4, 6),
    "ends with tanh, scaled": lambda p, z: 2 * jnp.tanh(z @ p["b"][:2]),
    "affine": lambda p, z: z @ p["b"][:2] + p["c"],
}
NO_NETWORKS = {
    "sine": plain,
    "sum of two": lambda p, z: layers(p, z) + jnp.tanh(z @ p["b"][:2]),
    "tanh of a square": lambda p, z: jnp.tanh((z @ p["b"][:2]) ** 2),
    "tanh at the end and outside": lambda p, z: jnp.tanh(z @ p["b"][:2]) * (1 + z[:, :1]),
}


def networks_of(decoder):
    """The network that a decoder evaluates, or None; it is known after the first call."""
    decoder(np.zeros((1, 2)))
    return decoder._network


@pytest.mark.parametrize("name", NETWORKS)
def test_affine_layers_with_tanh_between_them_are_a_network(name):
    decoder = JaxDecoder(NETWORKS[name], PARAMS)
    assert networks_of(decoder) is not None, "it is not evaluated as a network"
    other = JaxDecoder(NETWORKS[name], PARAMS)
    other(np.zeros((1, 2)))
    other._network = None
    for count, spread in ((1, 1.0), (5, 1.0), (300, 30.0)):
        z = spread * np.random.default_rng(count).normal(size=(count, 2))
        for method in ("__call__", "jacobian", "hessian"):
            own, there = (getattr(f, method)(z) for f in (decoder, other))
            largest = np.abs(there).max()
            np.testing.assert_allclose(own, there, rtol=0, atol=1e-12 * largest, err_msg=method)


@pytest.mark.parametrize("name", NO_NETWORKS)
def test_other_functions_are_no_networks(name):
    assert networks_of(JaxDecoder(NO_NETWORKS[name], PARAMS)) is None, "taken for a network"


def test_a_network_whose_constants_change_is_refused():
    shift = {"by": 0.0}
    decoder = JaxDecoder(lambda p, z: layers(p, z) + shift["by"], PARAMS)
    assert networks_of(decoder) is not None, "it is not evaluated as a network"
    shift["by"] = 1.0
    with pytest.raises(ValueError, match="decoder: expected"):
        decoder(np.zeros((300, 2)))
