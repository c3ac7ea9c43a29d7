"""Functions that are equal to a network of this library, which is evaluated faster."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from vaetheory.decoders import TanhNetwork
from vaetheory.decoders._affine_maps import latents_near_and_far
from vaetheory.jax._functions import Call
from vaetheory.jax._last_layer import affine_chain, affine_map, outputs_of

#: Tolerated difference from the function's own values, relative to the largest of them.
_ROUNDING = 1e-13


def tanh_network(flat: Call, arrays: list[Any], dim: int) -> TanhNetwork | None:
    """The network equal to a function of affine layers with tanh between them, or None.

    Parameters
    ----------
    flat : callable
        `flat(arrays, z)`, latents `(n, d)` to outputs `(n, D)`.
    arrays : list of arrays
    dim : int

    Returns
    -------
    TanhNetwork or None
        None also if its values differ from the function's at random latents, near and far.
    """
    places = latents_near_and_far(dim)

    def parts(arrays: list[Any], z: Any) -> Any:
        out = outputs_of(flat, arrays, z)
        if out is None:
            return None
        value, layers = out, []
        while True:
            chain = affine_chain(value)
            if any(v.value.ndim != 2 or len(v.value) != len(z) for v in (chain[0], chain[-1])):
                return None
            layers.append(affine_map(chain))
            if chain[-1].step is None:
                return out.value, layers[::-1]
            if (inner := chain[-1].inside("tanh")) is None:
                return None
            value = inner

    try:
        found = jax.jit(parts)(arrays, places)
    except Exception:
        # What fails here fails again, with a message, where it is needed.
        return None
    if found is None:
        return None
    out, layers = np.asarray(found[0]), [[np.array(v) for v in layer] for layer in found[1]]
    try:
        network = TanhNetwork(*zip(*layers, strict=True))
    except ValueError:
        return None
    off = np.abs(network(places) - out).max()
    return network if off <= _ROUNDING * np.abs(out).max() else None
