"""Functions and modules of JAX as decoders and encoders (extra `jax`).

`JaxDecoder(fn, params)` decodes by `fn(params, z)`. It accepts plain functions and modules of flax
and equinox, and computes in float64 without changing JAX's global settings. The user's parameters
are copied. `posterior_of` converts the output of an encoder.
"""

from __future__ import annotations

try:
    import jax as _jax  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ImportError("vaetheory.jax needs JAX: pip install 'vaetheory[jax]'") from None

from vaetheory.jax._decoder import JaxDecoder
from vaetheory.jax._posteriors import posterior_of

__all__ = ["JaxDecoder", "posterior_of"]
