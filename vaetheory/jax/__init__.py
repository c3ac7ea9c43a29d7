"""Functions and modules of JAX as decoders (extra `jax`).

`JaxDecoder(fn, params)` decodes by `fn(params, z)`. It accepts plain functions and modules of flax
and equinox, and computes in float64 without changing JAX's global settings. The user's parameters
are copied.
"""

from __future__ import annotations

try:
    import jax as _jax  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ImportError("vaetheory.jax needs JAX: pip install 'vaetheory[jax]'") from None

from vaetheory.jax._decoder import JaxDecoder

__all__ = ["JaxDecoder"]
