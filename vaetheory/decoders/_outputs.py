"""Checks that a decoder returns NumPy arrays in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import short

_HINT = (
    "write it with autograd.numpy, or give a Decoder whose `__call__`, `jacobian` and `hessian` "
    "return float64 arrays"
)
_HINT_ON_JAX = (
    "give vaetheory.jax.JaxDecoder(function), or JaxDecoder(function, params) for a function of "
    "(params, z)"
)


def as_output(raw: object, name: str = "decoder") -> NDArray[Any]:
    """Return a decoder's output as an array, or raise an error about its type.

    Examples
    --------
    >>> as_output([1.0]).tolist()
    [1.0]
    """
    if type(raw) is np.ndarray:
        return raw
    if isinstance(raw, np.ma.MaskedArray) and np.ma.getmaskarray(raw).any():
        raise ValueError(f"{name}: expected arrays without masked entries, got {short(raw)}")
    known = isinstance(raw, np.ndarray | np.generic | list | tuple | int | float)
    if not known and (hasattr(raw, "__array__") or hasattr(raw, "detach")):
        library = type(raw).__module__.partition(".")[0]
        hint = _HINT_ON_JAX if library.startswith("jax") else _HINT
        raise ValueError(
            f"{name}: expected NumPy arrays, got a {library}.{type(raw).__name__}, which autograd "
            f"cannot trace: {hint}"
        )
    try:
        return np.asarray(raw)
    except Exception:
        raise ValueError(f"{name}: expected arrays of numbers, got {short(raw)}") from None


def double(raw: object, name: str) -> NDArray[Any]:
    """As `as_output`, for real numbers of at least double precision."""
    array = as_output(raw, name)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got an array of {array.dtype}")
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        raise ValueError(
            f"{name}: expected float64 arrays, got {array.dtype}: {single(array.dtype)}"
        )
    return array


def single(kind: object = "float32") -> str:
    """Text that says why single precision is not enough, and what to do about it."""
    return (
        f"the precision of {kind} leaves too few digits for evidences and derivatives; compute in "
        "float64 (a PyTorch module: .double())"
    )
