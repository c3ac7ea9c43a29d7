"""Checks that the derivatives and the last layer of a decoder are those of its values."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.decoders._affine_maps import is_affine_map, latents_near_and_far
from vaetheory.decoders._outputs import double
from vaetheory.decoders.base import Decoder, LastLayer
from vaetheory.differences import slopes

#: A larger relative difference is a mistake, not rounding.
_WRONG = 1e-3
#: Share of all outputs and derivatives that may be rounding of terms that cancel in a decoder.
_CANCELLED = 1e-9
#: Difference, relative to the moduli of all terms, that is rounding.
_ROUNDING = 1e-12


def require_derivatives(
    decoder: Decoder,
    z: Array,
    name: str = "decoder",
    known: tuple[Array, Array] | None = None,
) -> None:
    """Raise a ValueError if `jacobian` or `hessian` are not the derivatives of the decoder.

    They are compared along one direction with extrapolated central differences. An error is raised
    only if the differences have converged to another value, so that a decoder that is too rough for
    differences passes.

    Parameters
    ----------
    decoder : Decoder
    z : array (d,)
        The point.
    name : str
        Name of the decoder in error messages.
    known : tuple of array, optional
        `jacobian` and `hessian` at the one point, where they are known already.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.decoders import Circle
    >>> require_derivatives(Circle(2.0), np.array([0.3]))
    """
    d = len(z)
    # No two entries have a simple ratio, which could hide a mistake in a periodic decoder.
    direction = np.sqrt(np.arange(2.0, d + 2)) % 1.0 + 0.3
    point = z[None]
    jacobian, hessian = known or (decoder.jacobian(point), decoder.hessian(point))
    first, second = double(jacobian, f"{name}.jacobian"), double(hessian, f"{name}.hessian")
    size = np.shape(decoder(point))[-1]
    for kind, array, shape in (
        ("jacobian", first, (1, size, d)),
        ("hessian", second, (1, size, d, d)),
    ):
        if array.shape != shape:
            raise ValueError(
                f"{name}: expected {kind} to map shape (1, {d}) to {shape}, got {array.shape}"
            )
    ones = np.linspace(1.0, 2.0, size)
    weighted = double(decoder.weighted_hessian(point, ones[None]), f"{name}.weighted_hessian")
    if weighted.shape != (1, d, d):
        raise ValueError(
            f"{name}: expected weighted_hessian to map shapes (1, {d}) and (1, {size}) to "
            f"(1, {d}, {d}), got {weighted.shape}"
        )
    back = double(decoder.vjp(point, ones[None]), f"{name}.vjp")
    if back.shape != (1, d):
        raise ValueError(
            f"{name}: expected vjp to map shapes (1, {d}) and (1, {size}) to (1, {d}), got "
            f"{back.shape}"
        )
    # Where layers cancel or saturate, derivatives are rounding errors of much greater terms.
    # Derivatives that overflow internally are NaN and are not compared.
    scale = _CANCELLED * max(_greatest(a) for a in (np.asarray(decoder(point)), first, second))
    for kind, given, function in (
        ("jacobian", first[0] @ direction, lambda x: np.asarray(decoder(x), dtype=float)),
        ("hessian", second[0] @ direction, lambda x: np.asarray(decoder.jacobian(x), dtype=float)),
    ):
        slope, error = slopes(function, z, direction, given).against(given, _WRONG)
        off = np.abs(given - slope)
        bad = off > _WRONG * np.maximum(np.abs(given), np.abs(slope)) + error + scale
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            what = "values" if kind == "jacobian" else "Jacobian"
            raise ValueError(
                f"{name}: expected `{kind}` to be the derivative of its {what}, but at z = "
                f"{z.tolist()} along {direction.round(3).tolist()} entry {at} is {given[at]:.6g}, "
                f"and differences give {slope[at]:.6g}"
            )
    pulled = ones @ first[0]
    if (np.abs(back[0] - pulled) > _WRONG * (ones @ np.abs(first[0])) + 2 * size * scale).any():
        raise ValueError(
            f"{name}: expected `vjp` to be the weighted sum of `jacobian`, got {back[0].tolist()} "
            f"for {pulled.tolist()} at z = {z.tolist()}"
        )
    summed = np.einsum("i,ijk->jk", ones, second[0])
    most = np.einsum("i,ijk->jk", ones, np.abs(second[0]))
    if (np.abs(weighted[0] - summed) > _WRONG * most + 2 * size * scale).any():
        raise ValueError(
            f"{name}: expected `weighted_hessian` to be the weighted sum of `hessian`, got "
            f"{weighted[0].tolist()} for {summed.tolist()} at z = {z.tolist()}"
        )


def agreeing_last_layer(decoder: Decoder, dim: int) -> LastLayer | None:
    """The last layer of a decoder of `dim` latents, or None if it has none that can be trusted.

    A class that changes the values of another one must say anew what its last layer is. That of a
    class outside the package is compared with the decoder at random latents, near and far.

    Examples
    --------
    >>> from vaetheory.decoders import Affine
    >>> agreeing_last_layer(Affine([[1.0], [2.0]]), 1).weight.tolist()
    [[1.0], [2.0]]
    """
    kind = type(decoder)
    values, hook = (
        next(i for i, c in enumerate(kind.__mro__) if name in vars(c))
        for name in ("__call__", "last_layer")
    )
    changed = values < hook and not _of_the_package(kind.__mro__[values])
    if changed or (layer := decoder.last_layer()) is None:
        return None
    if _of_the_package(kind):
        return layer
    z = latents_near_and_far(dim)
    with np.errstate(all="ignore"):
        out, hidden = (np.asarray(f(z), dtype=float) for f in (decoder, layer.hidden))
    if out.shape != (len(z), len(layer.weight)):
        return None
    return layer if is_affine_map(out, hidden, layer.weight, layer.bias, _ROUNDING) else None


def _of_the_package(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "vaetheory"


def _greatest(array: Array) -> float:
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
