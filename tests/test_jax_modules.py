"""Modules of flax and equinox as decoders, and functions of JAX that are refused."""

import functools

import numpy as np
import pytest
from frameworks import framework

jax = framework("jax")
framework("flax")
eqx = framework("equinox")

import jax.numpy as jnp  # noqa: E402
from flax import linen, nnx  # noqa: E402
from jax_cases import PARAMS, mlp  # noqa: E402

from vaetheory import LatentModel, likelihoods  # noqa: E402
from vaetheory.jax import JaxDecoder  # noqa: E402

GAUSSIAN = likelihoods.Gaussian(scale=0.5)
POINTS = np.random.default_rng(5).normal(size=(3, 2))
SINGLE = jnp.asarray(POINTS, jnp.float32)


class Linen(linen.Module):
    dtype: object = None

    @linen.compact
    def __call__(self, z, train=False):
        h = linen.LayerNorm(dtype=self.dtype)(linen.Dense(8, dtype=self.dtype)(z))
        h = linen.BatchNorm(use_running_average=not train)(linen.silu(h))
        return linen.Dense(4)(linen.Dropout(0.5, deterministic=not train)(h)).reshape(-1, 2, 2)

    def twice(self, z):
        return 2 * self(z)


class Nnx(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first, self.norm = nnx.Linear(2, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.drop, self.last = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, z):
        return self.last(self.drop(self.norm(nnx.gelu(self.first(z)))))

    def decode(self, z):
        return self(z), z

    def twice(self, z):
        return 2 * self(z)


class Equinox(eqx.Module):
    first: eqx.nn.Linear
    last: eqx.nn.Linear
    drop: eqx.nn.Dropout

    def __init__(self):
        one, two = jax.random.split(jax.random.key(0))
        self.first, self.last = eqx.nn.Linear(2, 8, key=one), eqx.nn.Linear(8, 4, key=two)
        self.drop = eqx.nn.Dropout(0.5)

    def __call__(self, z):
        return self.last(self.drop(jnp.tanh(self.first(z))))


LINEN = Linen()
VARIABLES = LINEN.init(jax.random.key(0), SINGLE)


def evaluating(module):
    module.eval()
    return module


WAYS = {
    "linen apply": lambda: (JaxDecoder(LINEN.apply, VARIABLES), LINEN.apply(VARIABLES, SINGLE)),
    "linen module": lambda: (JaxDecoder(LINEN, VARIABLES), LINEN.apply(VARIABLES, SINGLE)),
    "linen method": lambda: (
        JaxDecoder(LINEN.twice, VARIABLES),
        2 * LINEN.apply(VARIABLES, SINGLE),
    ),
    "linen bound": lambda: (LINEN.bind(VARIABLES), LINEN.apply(VARIABLES, SINGLE)),
    "nnx": lambda: (Nnx(), evaluating(Nnx())(SINGLE)),
    "nnx method": lambda: (Nnx().twice, 2 * evaluating(Nnx())(SINGLE)),
    "nnx by a function": lambda: (
        JaxDecoder(lambda m, z: m.decode(z)[0], Nnx()),
        evaluating(Nnx())(SINGLE),
    ),
    "equinox": lambda: (Equinox(), jax.vmap(eqx.nn.inference_mode(Equinox()))(SINGLE)),
    "equinox by a function": lambda: (
        JaxDecoder(lambda m, z: jax.vmap(m)(z), Equinox()),
        jax.vmap(eqx.nn.inference_mode(Equinox()))(SINGLE),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_values_are_those_of_the_module(way):
    given, own = WAYS[way]()
    model = LatentModel(given, GAUSSIAN, 2)
    assert isinstance(model.decoder, JaxDecoder), "it was not recognised"
    off = np.abs(model.decode(POINTS) - np.asarray(own).reshape(3, 4)).max()
    assert off < 2e-6, f"off by {off:.2g}, more than float32 is"


def test_a_module_of_nnx_stays_in_training():
    module = Nnx()
    before = jax.tree.map(np.asarray, jax.tree.leaves(nnx.state(module, nnx.Not(nnx.RngState))))
    made = JaxDecoder(module)
    first = made(POINTS)
    after = jax.tree.map(np.asarray, jax.tree.leaves(nnx.state(module, nnx.Not(nnx.RngState))))
    assert not module.drop.deterministic, "it was put into eval mode"
    assert not module.norm.use_running_average, "it was put into eval mode"
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype, "another type"
        assert np.array_equal(one, other), "other numbers"
    module.last.bias[...] = module.last.bias[...] + 1.0
    assert (made(POINTS) == first).all(), "later training counts"


def noisy(params, z):
    return mlp(params, z) + jax.random.normal(jax.random.key(0), (5,))


def with_weight(value, kind="float32"):
    return {**PARAMS, "b": PARAMS["b"].at[2].set(value).astype(kind)}


REFUSED = {
    "noise": (noisy, PARAMS, "draws no random numbers.*deterministic=True"),
    "noise of NumPy": (
        lambda p, z: mlp(p, z) + np.random.default_rng().normal(),
        PARAMS,
        "draws no random numbers",
    ),
    "a key is needed": (
        lambda p, z, key: mlp(p, z),
        PARAMS,
        r"TypeError.*'key' \(it is called as fn\(params, z\)",
    ),
    "dropout in training": (
        lambda v, z: LINEN.apply(v, z, train=True, mutable=["batch_stats"])[0],
        VARIABLES,
        r"got InvalidRngError.*\(it needs random numbers: use deterministic=True",
    ),
    "statistics in training": (
        lambda v, z: LINEN.apply(v, z, train=True, rngs={"dropout": jax.random.key(0)}),
        VARIABLES,
        "use train=False, so that no statistics",
    ),
    "no collection": (LINEN.apply, VARIABLES["params"], "with the collection 'params'"),
    "no variables": (LINEN, None, r"params: expected the variables of the Linen, got none"),
    "cast at the end": (
        lambda p, z: mlp(p, z).astype(jnp.float32),
        PARAMS,
        r"got float32: it converts to lower precision inside: replace x.astype",
    ),
    "cast within": (
        lambda p, z: mlp(p, z.astype(jnp.float32)).astype(z.dtype),
        PARAMS,
        "got a conversion to float32: it converts",
    ),
    "cast in a jitted part": (
        lambda p, z: jax.jit(lambda h: jnp.sin(h.astype(jnp.bfloat16)).astype(h.dtype))(mlp(p, z)),
        PARAMS,
        "got a conversion to bfloat16",
    ),
    "module in float32": (Linen(jnp.float32), VARIABLES, "conversion to float32.*without dtype="),
    "statistics": (
        lambda p, z: mlp(p, z) - mlp(p, z).mean(0),
        PARAMS,
        "a single point has other outputs",
    ),
    "batch as a sequence": (
        lambda p, z: jnp.cumsum(mlp(p, z), 0),
        PARAMS,
        "takes the batch for a sequence",
    ),
    "NaN": (mlp, with_weight(jnp.nan), r"params: expected numbers, got NaN at `params\['b'\]`"),
    "float16": (mlp, with_weight(0, "float16"), r"float32 or float64, got float16 at `params\['b"),
    "bfloat16": (mlp, with_weight(0, "bfloat16"), "too few digits for an evidence"),
    "tuple": (lambda p, z: (z, z), PARAMS, r"got a tuple: select the likelihood's parameters"),
    "one row": (lambda p, z: mlp(p, z)[0], PARAMS, r"shape \(64, \.\.\.\) for.*batched=False"),
    "one number": (lambda p, z: mlp(p, z).sum(-1), PARAMS, r"got \(64,\)"),
    "integers": (lambda p, z: mlp(p, z).astype(int), PARAMS, "got int64"),
    "wrong dimension": (mlp, {**PARAMS, "a": PARAMS["a"][:1]}, r"\(is latent_dim right\?"),
    "NumPy": (lambda p, z: np.tanh(np.asarray(z)), PARAMS, "use jax.numpy instead of NumPy"),
    "if": (lambda p, z: z if (z > 0).all() else -z, PARAMS, "jnp.where instead of if"),
    "detached": (
        lambda p, z: mlp(p, jax.lax.stop_gradient(z)),
        PARAMS,
        "expected `jacobian` to be the derivative",
    ),
    "no function": (3, PARAMS, r"expected a function \(params, z\) -> array or a module, got int"),
    "two sets of weights": (Equinox(), PARAMS, "params: expected None with a module that holds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_is_refused_with_what_to_do(name):
    function, params, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        LatentModel(JaxDecoder(function, params), GAUSSIAN, 2)
    text = str(caught.value)
    assert text.startswith(("decoder: expected ", "params: expected ")), text
    assert "\n" not in text, "more than a sentence"


@pytest.mark.parametrize("function", [lambda z: jnp.tanh(z), jax.jit(jnp.tanh)])
def test_a_bare_function_is_pointed_to_the_bridge(function):
    with pytest.raises(ValueError, match=r"got a jax.*: give vaetheory.jax.JaxDecoder\(function"):
        LatentModel(function, GAUSSIAN, 2)


@pytest.mark.parametrize("device", ["nowhere", 3.5, None])
def test_devices_that_are_not_here_are_refused(device):
    with pytest.raises(ValueError, match=r"device: expected a jax\.Device"):
        JaxDecoder(mlp, PARAMS, device=device)


def test_another_latent_dimension_is_refused():
    decoder = JaxDecoder(jnp.tanh)
    decoder([[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"z: expected shape \(\.\.\., 2\), got \(\.\.\., 1\)"):
        decoder([[0.0]])


HELD = Nnx()


def by_default(z, module=HELD):
    return module(z)


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (lambda z: HELD(z), "HELD"),
        (by_default, "default 0"),
        (functools.partial(lambda module, z: module(z), HELD), "0"),
        (lambda z, kept=(HELD,): kept[0](z), "default 0"),
    ],
)
def test_functions_around_a_module_of_nnx_are_refused(fn, name):
    with pytest.raises(ValueError, match=f"uses the module `{name}` of flax.nnx.*JaxDec"):
        JaxDecoder(fn)


@pytest.mark.parametrize("kind", ["array of NumPy", "array of JAX", "equinox"])
def test_a_function_that_changes_is_refused(kind):
    weight = np.ones((2, 4))
    held = {"array of NumPy": weight, "array of JAX": jnp.array(weight), "equinox": Equinox()}
    state = {"of": held[kind]}

    def decode(z):
        return jax.vmap(state["of"])(z) if kind == "equinox" else z @ state["of"]

    if kind == "equinox":
        state["of"] = eqx.nn.inference_mode(state["of"])
    made = JaxDecoder(decode)
    before = made(POINTS)
    again = made(np.tile(POINTS, (40, 1)))[:3]
    assert np.allclose(again, before, rtol=1e-13, atol=1e-14), "another size, other outputs"
    if kind == "array of NumPy":
        weight[0] = 7.0
    elif kind == "array of JAX":
        state["of"] = 2 * state["of"]
    else:
        state["of"] = eqx.tree_at(lambda m: m.last.bias, state["of"], jnp.full(4, 3.0))
    for call in (lambda: made(np.tile(POINTS, (200, 1))), lambda: made.jacobian(POINTS)):
        with pytest.raises(ValueError, match="expected a function that stays the same, got other"):
            call()
