"""Tests of a decoder before it is used: shapes, types, determinism, precision, derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vaetheory._numbers_as_text import distinct_texts
from vaetheory._validation import Array
from vaetheory.decoders._agreement import require_derivatives
from vaetheory.decoders._bridges import advice_on
from vaetheory.decoders._outputs import double, single
from vaetheory.decoders.base import Decoder, FunctionDecoder

#: Number of points decoded twice; of points decoded more often; and how often these are decoded.
_POINTS, _FEW, _CALLS = 64, 4, 24
#: Share of the greatest output by which rounding may change an output.
_ROUNDING = 1e-12
#: Two steps for which a decoder in double precision is smooth, but one in float32 is rounded.
_STEPS = 2.0 ** -np.array([25.0, 22.0])
#: Noise relative to the outputs above this is that of single precision; float64 has 1e-16.
_SINGLE = 2.0**-27


def require_decoder(decoder: Decoder, dim: int, name: str = "decoder") -> int:
    """Test a decoder and return the number of its outputs, or raise a ValueError.

    An error is raised for outputs of a wrong shape or type, of another library or in single
    precision, for a decoder that is random, does not work row by row or cannot be traced by
    autograd, and for derivatives that visibly differ from those of the values. A decoder that is
    all of this package is tested for shape and NaN only.

    Parameters
    ----------
    decoder : Decoder
    dim : int
        The latent dimension d.
    name : str
        Name of the decoder in error messages.

    Examples
    --------
    >>> from vaetheory.decoders import Circle
    >>> require_decoder(Circle(1.0), 1)
    2
    """
    # Two points detect a decoder that returns shape (D,) for every batch.
    try:
        probe = double(decoder(np.zeros((2, dim))), name)
    except Exception as error:
        if isinstance(decoder, FunctionDecoder) and (advice := advice_on(decoder.function)):
            raise ValueError(f"{name}: {advice}, got {type(error).__name__}: {error}") from error
        raise
    if probe.ndim != 2 or len(probe) != 2 or probe.shape[1] == 0:
        raise ValueError(
            f"{name}: expected to map shape (2, {dim}) to (2, D), got shape {probe.shape}"
        )
    if np.isnan(probe).any():
        raise ValueError(f"{name}: expected numbers, got NaN at z = {[0.0] * dim}")
    size = probe.shape[1]
    if _of_the_library(decoder):
        # The rest is the same for every model with a decoder of this package, and its tests do it.
        return size
    _require_axes(decoder, dim, size, name)
    z = _places(dim)
    with np.errstate(all="ignore"):
        _require_the_same(decoder, z, name)
        _require_double(decoder, z[0], name)
    _require_rows(decoder, dim, name)
    traced = _traced(decoder, z[:1], name) if isinstance(decoder, FunctionDecoder) else None
    require_derivatives(decoder, z[0], name, traced)
    return size


def _places(dim: int) -> Array:
    """Irregular points `(_POINTS, dim)`: unlikely places for kinks, and no float32 numbers."""
    steps = np.arange(1, _POINTS * dim + 1).reshape(_POINTS, dim)
    return 3.0 * ((steps * np.sqrt(5.0) / 2 + 0.123) % 1.0) - 1.5


def _of_the_library(decoder: object) -> bool:
    """Whether a decoder contains no code from outside this package."""
    if isinstance(decoder, Decoder) and decoder.runs_user_code:
        return False
    if type(decoder).__module__.partition(".")[0] != "vaetheory":
        return False
    return all(_of_the_library(part) for part in _parts(tuple(vars(decoder).values())))


def _parts(values: tuple[Any, ...]) -> Iterator[Decoder]:
    for value in values:
        if isinstance(value, Decoder):
            yield value
        elif isinstance(value, tuple):
            yield from _parts(value)


def _require_axes(decoder: Decoder, dim: int, size: int, name: str) -> None:
    """Raise a ValueError unless the decoder works with any number of leading axes."""
    expected = f"{name}: expected to map shape (2, 1, {dim}) to (2, 1, {size}), got"
    hint = "(index with [..., j] and join along axis=-1)"
    try:
        shape = double(decoder(np.linspace(-0.5, 0.75, 2 * dim).reshape(2, 1, dim)), name).shape
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{expected} {type(error).__name__}: {error} {hint}") from None
    if shape != (2, 1, size):
        raise ValueError(f"{expected} shape {shape} {hint}")


def _require_rows(decoder: Decoder, dim: int, name: str) -> None:
    """Raise a ValueError if a point's outputs depend on the other points of its batch."""
    z = np.linspace(-0.5, 0.75, 2 * dim).reshape(2, dim)
    together = double(decoder(z), name)
    # Both points alone: a recurrence along the batch changes only the later or the earlier one.
    alone = np.concatenate([double(decoder(point[None]), name) for point in z])
    if not np.allclose(together, alone, rtol=1e-6, atol=1e-9):
        raise ValueError(
            f"{name}: expected to work row by row, got another value for a point when a "
            f"second one is decoded with it: {together.tolist()} and {alone.tolist()}"
        )


def _require_the_same(decoder: Decoder, z: Array, name: str) -> None:
    """Raise a ValueError if a decoder is random: the same latents must give the same outputs."""
    for points, calls in ((z, 1), (z[:_FEW], _CALLS)):
        first = double(decoder(points), name).copy()
        for _ in range(calls):
            again = double(decoder(points), name)
            unlike = np.abs(again - first) > _ROUNDING * np.abs(first).max(initial=0.0)
            unlike |= np.isnan(again) != np.isnan(first)
            if unlike.any():
                row, at = (int(i) for i in np.argwhere(unlike)[0])
                one, other = distinct_texts(float(first[row, at]), float(again[row, at]))
                raise ValueError(
                    f"{name}: expected the same outputs for the same latents, got "
                    f"{one} and then {other} for output {at} at "
                    f"z = {points[row].tolist()}: it is random (dropout or noise still switched "
                    f"on?). {_POINTS} points were decoded twice and {_FEW} of them {_CALLS} times "
                    "more, so that this is no coincidence"
                )


def _require_double(decoder: Decoder, z: Array, name: str) -> None:
    """Raise a ValueError if values are rounded to single precision on the way.

    For steps of about one unit in the last place of a float32, relative third differences are
    negligible in double precision and 1e-7 in single precision. In single precision they do not
    depend on the step; for a steep function they become smaller with the step.
    """
    noise = []
    for step in _STEPS:
        values = double(decoder(z + step * np.arange(_POINTS)[:, None]), name).astype(float)
        # The median, so that a kink or a jump does not count.
        third = np.median(np.abs(np.diff(values, n=3, axis=0)), axis=0).max()
        noise.append(third / np.sqrt(20) / max(np.abs(values).max(), np.finfo(float).tiny))
    if noise[0] > _SINGLE and noise[1] < 32 * noise[0]:
        raise ValueError(
            f"{name}: expected values computed in float64, got some with noise of "
            f"{noise[0]:.1g} of their size near z = {z.tolist()}, as float32 has it (or terms that "
            f"cancel): {single()}"
        )


def _traced(decoder: FunctionDecoder, z: Array, name: str) -> tuple[Array, Array]:
    """Jacobian and Hessian of a function, or a ValueError if autograd cannot trace it."""
    try:
        with np.errstate(all="ignore"):
            return decoder.jacobian(z), decoder.hessian(z)
    except Exception as error:
        raise ValueError(
            f"{name}: expected a function written with autograd.numpy, which autograd can trace, "
            f"got {type(error).__name__}: {error} (it cannot trace functions of PyTorch, JAX or "
            "SciPy, nor a sort of rows: give a PyTorch module itself, "
            "vaetheory.jax.JaxDecoder of a function of JAX, sort by maximum and minimum, or give a "
            "Decoder with a `jacobian` and a `hessian` of its own)"
        ) from None
