"""Decoders of JAX, flax and equinox: each with what JAX itself needs to call it in float64."""

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory.jax import JaxDecoder


def in_64_bits():
    """JAX's own setting, which was elsewhere in older releases."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64(True)


def drawn(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def mlp(params, z):
    return jnp.tanh(z @ params["a"] + params["b"]) @ params["c"]


PARAMS = {"a": drawn(2, 8), "b": drawn(8, seed=1), "c": drawn(8, 5, seed=2)}


def normalised(params, z):
    h = jax.nn.gelu(z @ params["a"])
    h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)
    return h @ params["c"]


def looped(params, z):
    return jax.lax.fori_loop(0, 3, lambda i, h: jnp.sin(h @ params["a"][:, :2]), z)


def waited(params, z):
    """A loop of unknown length: no reverse mode."""
    done = jax.lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1] @ params["a"][:, :2])), (0, z)
    )
    return done[1]


def scanned(params, z):
    return jax.lax.scan(lambda h, a: (jnp.tanh(h * a), h), z, params["b"])[0]


def branched(params, z):
    return jax.lax.cond(params["b"][0] > 0, jnp.sin, jnp.cos, z @ params["a"])


@jax.custom_vjp
def own_reverse(x):
    return jnp.exp(-(x**2))


own_reverse.defvjp(lambda x: (jnp.exp(-(x**2)), x), lambda x, g: (-2 * x * jnp.exp(-(x**2)) * g,))


def attended(params, z):
    tokens = (z @ params["a"]).reshape(-1, 4, 2)
    scores = jax.nn.softmax(tokens @ jnp.swapaxes(tokens, -1, -2), axis=-1)
    return scores @ tokens


def convolved(params, z):
    image = (z @ params["a"]).reshape(-1, 2, 2, 2)
    kernel = params["c"][:, :4].reshape(4, 2, 2, 2)
    return jax.lax.conv_transpose(jnp.tanh(image), kernel.transpose(2, 3, 1, 0), (2, 2), "VALID")


#: Functions of `(params, z)`.
FUNCTIONS = {
    "tanh": mlp,
    "layer norm": normalised,
    "fori loop": looped,
    "while loop": waited,
    "scan": scanned,
    "condition": branched,
    "reverse mode of its own": lambda p, z: own_reverse(z @ p["a"]) @ p["c"],
    "attention": attended,
    "convolution": convolved,
    "einsum": lambda p, z: jnp.einsum("ni,ij,nk->njk", z, p["a"], jnp.cos(z)),
    "jitted": jax.jit(mlp),
    "checkpointed": jax.checkpoint(mlp),
    "Fourier": lambda p, z: jnp.fft.irfft(jnp.fft.rfft(jnp.tanh(z @ p["a"])) * p["b"][:5]),
    "constant": lambda p, z: jnp.zeros((len(z), 1)) + p["b"],
    "masked in float32": lambda p, z: (z @ p["a"]) * (z[:, :1] * 0 > -1).astype(jnp.float32),
    "weights once more in float32": lambda p, z: jnp.sin(z @ p["a"].astype(jnp.float32)),
    "numbers of NumPy": lambda p, z: jnp.sin(z @ np.float32(np.ones((2, 3))) * np.pi),
}


def decoder(name):
    return JaxDecoder(FUNCTIONS[name], PARAMS)
