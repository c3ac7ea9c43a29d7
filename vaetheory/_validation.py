"""Input checks with error messages of one form: `name: expected ..., got ...`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeAlias, cast

import numpy as np
from autograd.tracer import isbox
from numpy.typing import ArrayLike, NDArray

from vaetheory._trust import TRUST

Array: TypeAlias = NDArray[np.floating[Any]]
Index: TypeAlias = NDArray[np.intp]


class Traced:
    """Base class of objects that replace arrays in traced computations; checks skip them."""


def _is_traced(value: object) -> bool:
    return isinstance(value, Traced)


#: Largest number whose square is sure to fit in float64.
SQUARABLE = 1e150
#: Products of longer vectors BLAS may share out among threads, which then spin.
_LONG = 8192
#: Largest integer of 64 bits, and the largest dimension for which arrays fit in memory.
LARGEST_INTEGER, LARGEST_DIMENSION = 2**63 - 1, 10**6
#: NumPy makes no arrays of lists that are nested deeper than this.
_DEEPEST = 64


def _masked(value: object, depth: int = 0) -> int:
    """Number of masked entries of an array, or of arrays in lists."""
    if isinstance(value, np.ma.MaskedArray):
        return int(np.ma.getmaskarray(value).sum())
    if isinstance(value, list | tuple) and depth < _DEEPEST:
        return sum(_masked(v, depth + 1) for v in value if not isinstance(v, int | float))
    return 0


def _unwrapped(value: Any) -> Any:
    """Convert tensors of PyTorch, and pandas objects with nullable numbers, to float64 arrays."""
    # A folder called torch, or a broken installation, is a module without tensors.
    if (tensor := getattr(sys.modules.get("torch"), "Tensor", None)) is not None:
        if isinstance(value, list | tuple) and any(isinstance(v, tensor) for v in value):
            return [_unwrapped(v) for v in value]
        if isinstance(value, tensor) and not value.is_complex():
            # On any device, with or without gradients, in any precision.
            return value.detach().double().cpu().numpy()
    if type(value).__module__.partition(".")[0] != "pandas" or not hasattr(value, "dtypes"):
        return value
    kinds = list(value.dtypes) if np.ndim(value) == 2 else [value.dtypes]
    numeric = all(getattr(kind, "kind", "O") in "iuf" for kind in kinds)
    return value.to_numpy(dtype=np.float64) if numeric else value


def all_within(array: Array, limit: float = SQUARABLE) -> bool:
    """Whether all entries are certainly at most `limit` in size: no NaN, none infinite.

    The sum of the squares shows it in one pass, in a tenth of the time of a maximum of a short
    array. False if the sum exceeds `limit` squared; then an entry need not.

    Examples
    --------
    >>> all_within(np.array([1.0, -2.0])), all_within(np.array([1.0, np.nan]))
    (True, False)
    """
    if array.size > _LONG:
        return bool(array.min() >= -limit and array.max() <= limit)
    flat = array.ravel(order="K")
    # `vdot` does not warn of an overflow. A comparison with NaN is false.
    return bool(np.vdot(flat, flat) <= limit * limit)


def _real(name: str, value: ArrayLike, *, copy: bool) -> Array:
    """Return `value` as a float64 array of any shape."""
    if type(value) is np.ndarray and value.dtype == np.float64:
        return value.copy(order="K") if copy else value
    if type(value) is not np.ndarray and (hidden := _masked(value)):
        raise ValueError(
            f"{name}: expected numbers, got an array with {hidden} masked "
            f"entr{'y' if hidden == 1 else 'ies'}; fill them or leave their data out"
        )
    try:
        array = np.asarray(_unwrapped(value))
        if array.dtype.kind not in "biuf" and not _of_extension(array.dtype):
            raise TypeError
        # A number of another type that is too large becomes infinite; later checks reject it.
        with np.errstate(over="ignore"):
            return array.astype(np.float64, copy=copy)
    except Exception:
        # An object's own conversion may raise any error: it is no array of numbers then.
        raise ValueError(f"{name}: expected an array of real numbers, got {short(value)}") from None


def _of_extension(dtype: np.dtype[Any]) -> bool:
    """Whether numbers are of a type such as bfloat16, by which JAX extends NumPy."""
    return dtype.kind == "V" and dtype.type.__module__.partition(".")[0] == "ml_dtypes"


def _flattened(shape: tuple[int, ...], size: int | None) -> str:
    """Advice how to flatten an array of images to vectors of `size` entries, if possible."""
    for lead in range(1, len(shape) - 1):
        if size == math.prod(shape[lead:]):
            return f" (flatten them: reshape to {(*shape[:lead], size)})"
    return ""


def as_array(
    name: str, value: ArrayLike, *, ndim: int | None = None, min_ndim: int = 0, copy: bool = True
) -> Array:
    """Return `value` as a finite float64 array of so many axes; without `copy` perhaps itself."""
    array = _real(name, value, copy=copy)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} axes, got an array of shape {array.shape}")
    if array.ndim < min_ndim:
        raise ValueError(
            f"{name}: expected at least {min_ndim} ax{'is' if min_ndim == 1 else 'es'}, "
            f"got an array of shape {array.shape}"
        )
    return finite(name, array)


def finite(name: str, array: Array) -> Array:
    """Return `array`, or raise if an entry of it is not finite."""
    if all_within(array):
        return array
    good = np.isfinite(array)
    if not good.all():
        where = tuple(int(i) for i in np.unravel_index(good.argmin(), array.shape))
        at = f" at index {where}" if where else ""
        raise ValueError(f"{name}: expected finite numbers, got {array[where]}{at}")
    return array


def vectors(name: str, value: ArrayLike, size: int | None, *, copy: bool = True) -> Array:
    """Return `value` as an array `(..., size)`; `size=None` accepts any positive size."""
    if _is_traced(value) or (TRUST.given and type(value) is np.ndarray):
        return cast(Array, value)
    array = as_array(name, value, min_ndim=1) if copy else finite_numbers(name, value)
    if size is None and array.shape[-1] == 0:
        raise ValueError(f"{name}: expected vectors of at least one entry, got {array.shape}")
    if size is not None and array.shape[-1] != size:
        raise ValueError(
            f"{name}: expected shape (..., {size}), got {array.shape}"
            f"{_flattened(array.shape, size)}"
        )
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one vector, got an empty array {array.shape}")
    return array


def flattened(name: str, value: ArrayLike, shape: tuple[int, ...] | None) -> ArrayLike:
    """Flatten an array `(..., *shape)` to vectors; return any other value unchanged."""
    if shape is None or len(shape) < 2 or _is_traced(value):
        return value
    array = _real(name, value, copy=False)
    if array.shape[array.ndim - len(shape) :] != shape or array.ndim < len(shape):
        return value
    return array.reshape(*array.shape[: array.ndim - len(shape)], math.prod(shape))


def points(name: str, value: ArrayLike, size: int, *, limit: float = np.inf) -> Array:
    """As `vectors`, with entries of at most `limit`; tracers of autograd are not checked."""
    if isbox(value):
        return cast(Array, value)
    array = vectors(name, value, size)
    if np.isfinite(limit) and not _is_traced(array) and np.abs(array).max() > limit:
        raise ValueError(
            f"{name}: expected entries of at most {limit:g} in size, got {np.abs(array).max():g}"
        )
    return array


def data_set(name: str, value: ArrayLike) -> Array:
    """Return `value` as a non-empty `(N, D)` array."""
    array = as_array(name, value)
    shape_of_data(name, array.shape)
    return array


def shape_of_data(name: str, shape: tuple[int, ...]) -> None:
    """Raise unless `shape` is that of a non-empty `(N, D)` array."""
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"{name}: expected a non-empty data set of shape (N, D), got {shape}"
            f"{_flattened(shape, math.prod(shape[1:]))}"
        )


def matrix(name: str, value: ArrayLike) -> Array:
    """Return `value` as a finite matrix of at least one row and one column."""
    array = as_array(name, value, ndim=2)
    if array.size == 0:
        raise ValueError(f"{name}: expected at least one row and column, got {array.shape}")
    return array


def same_leading(name: str, array: Array, other_name: str, other: Array) -> None:
    """Raise a ValueError unless two arrays of vectors have the same leading axes."""
    if array.shape[:-1] != other.shape[:-1]:
        raise ValueError(
            f"{name} and {other_name}: expected the same leading axes, got shapes "
            f"{array.shape} and {other.shape}"
        )


def same_shape(name: str, array: Array, other_name: str, other: Array) -> None:
    """Raise a ValueError unless an array has the shape of another."""
    if array.shape != other.shape:
        raise ValueError(
            f"{name}: expected shape {tuple(other.shape)} to go with {other_name}, "
            f"got {tuple(array.shape)}"
        )


def aligned(
    first: ArrayLike,
    second: ArrayLike,
    names: tuple[str, str] = ("x", "params"),
    *,
    each: int = 1,
) -> tuple[Array, Array]:
    """Return two arrays without NaN of vectors of the same size; leading axes may broadcast.

    The vectors of the second array are `each` times as long as those of the first.
    """
    a, b = (_real(n, v, copy=False) for n, v in zip(names, (first, second), strict=True))
    both = " and ".join(names)
    if a.ndim == 0 or b.ndim == 0 or each * a.shape[-1] != b.shape[-1]:
        sizes = "of the same size" if each == 1 else f"(..., D) and (..., {each} D)"
        raise ValueError(
            f"{both}: expected vectors {sizes}, got shapes {a.shape} and {b.shape}"
            f"{_flattened(a.shape, b.shape[-1] // each) if b.ndim else ''}"
        )
    if a.size == 0 or b.size == 0:
        raise ValueError(
            f"{both}: expected at least one vector of each, got shapes {a.shape} and {b.shape}"
        )
    try:
        lead, other = a.shape[:-1], b.shape[:-1]
        if lead != other and lead and other:
            np.broadcast_shapes(lead, other)
    except ValueError:
        raise ValueError(
            f"{both}: expected leading axes that broadcast, got shapes {a.shape} and {b.shape}"
        ) from None
    for name, array in zip(names, (a, b), strict=True):
        if not all_within(array) and np.isnan(array).any():
            raise ValueError(f"{name}: expected numbers, got NaN")
    return a, b


def numbers(name: str, value: ArrayLike) -> Array:
    """Return `value` as a float64 array without NaN and with at least one axis.

    An array of that kind is not copied. Tracers of autograd and power series are not checked.
    """
    if type(value) is not np.ndarray and (isbox(value) or _is_traced(value)):
        return cast(Array, value)
    array = _with_axes(name, value)
    if not all_within(array) and np.isnan(array).any():
        raise ValueError(f"{name}: expected numbers, got NaN")
    return array


def finite_numbers(name: str, value: ArrayLike) -> Array:
    """As `numbers`, with finite entries."""
    if type(value) is not np.ndarray and (isbox(value) or _is_traced(value)):
        return cast(Array, value)
    return finite(name, _with_axes(name, value))


def _with_axes(name: str, value: ArrayLike) -> Array:
    array = _real(name, value, copy=False)
    if array.ndim == 0:
        raise ValueError(f"{name}: expected at least 1 axis, got the number {array:g}")
    if array.shape[-1] == 0:
        raise ValueError(f"{name}: expected vectors of at least one entry, got {array.shape}")
    return array


def generator(name: str, value: object) -> np.random.Generator:
    """Return `value` if it is a `numpy.random.Generator`."""
    if not isinstance(value, np.random.Generator):
        raise ValueError(f"{name}: expected a numpy.random.Generator, got {short(value)}")
    return value


def positive(name: str, value: ArrayLike, *, max_ndim: int = 0) -> Array:
    """Return `value` as an array of positive numbers with at most `max_ndim` axes."""
    array = as_array(name, value)
    if array.ndim > max_ndim:
        kind = "a number" if max_ndim == 0 else "a number or a vector"
        raise ValueError(f"{name}: expected {kind}, got an array of shape {array.shape}")
    if array.size == 0 or not (array > 0).all():
        came = f"{array.min()}" if array.size else "an empty array"
        raise ValueError(f"{name}: expected positive numbers, got {came}")
    return array


def scales(name: str, value: ArrayLike, *, max_ndim: int = 1) -> Array:
    """Return `value` as positive numbers whose squares and inverses fit in float64."""
    array = positive(name, value, max_ndim=max_ndim)
    if array.max() > SQUARABLE or array.min() < 1 / SQUARABLE:
        raise ValueError(
            f"{name}: expected numbers from {1 / SQUARABLE:g} to {SQUARABLE:g}, got "
            f"{array.min():g}..{array.max():g}"
        )
    return array


def squarable(name: str, array: Array, unit: str = "") -> Array:
    """Return `array`, or raise if the square of an entry would not fit in float64."""
    if all_within(array):
        return array
    most = float(np.abs(array).max(initial=0.0))
    if most > SQUARABLE:
        raise ValueError(
            f"{name}: expected numbers of at most {SQUARABLE:g}{unit} in size, got {most:g}"
        )
    return array


def representable(name: str, array: Array, what: str) -> Array:
    """Return `array`, which contains the `what` of `name`, or raise if it overflowed."""
    if not all_within(array) and not np.isfinite(array).all():
        raise ValueError(f"{name}: expected {what} that fit in float64, got an overflow")
    return array


def exponential(name: str, array: Array) -> Array:
    """Return the exponential of an array called `name`, or raise if it overflows."""
    with np.errstate(over="ignore"):
        return representable(name, np.exp(array), "logarithms of numbers")


def require(name: str, value: object, kind: type[Any], what: str = "") -> Any:
    """Return `value` if it is an instance of `kind`, or raise; `what` names what is expected."""
    if not isinstance(value, kind):
        expected = what or f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
        raise ValueError(f"{name}: expected {expected}, got {short(value)}")
    return value


def sequence(name: str, value: object) -> list[Any]:
    """Return the entries of a list, a tuple, or an array or a series of at least one axis."""
    if isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "pandas":
        if hidden := _masked(value):
            raise ValueError(f"{name}: expected no masked entries, got {hidden}")
        array = np.asarray(value)
        if array.ndim:
            return list(array)
    if isinstance(value, list | tuple | range):
        return list(value)
    raise ValueError(f"{name}: expected a list or a tuple, got {short(value)}")


def require_callable(name: str, value: object, maps: str) -> None:
    """Raise a ValueError if `value` is not callable; `maps` describes its arguments and result."""
    if not callable(value):
        raise ValueError(f"{name}: expected a callable {maps}, got {type(value).__name__}")


def integer(name: str, value: object, *, low: int = 0, high: int = LARGEST_INTEGER) -> int:
    """Return `value` as an integer in [low, high]."""
    # NumPy's time spans are integers by type.
    no_count = isinstance(value, bool | np.timedelta64)
    if no_count or not isinstance(value, int | np.integer) or value < low:
        raise ValueError(f"{name}: expected an integer of at least {low}, got {short(value)}")
    if value > high:
        raise ValueError(f"{name}: expected an integer of at most {high}, got {short(value)}")
    return int(value)


def dimension(name: str, value: object) -> int:
    """Return `value` as a number of dimensions, or another size of arrays."""
    return integer(name, value, low=1, high=LARGEST_DIMENSION)


def boolean(name: str, value: object) -> bool:
    """Return `value` if it is True or False; numbers are not accepted."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected True or False, got {short(value)}")
    return bool(value)


def fraction(name: str, value: object, *, low: float, high: float) -> float:
    """Return `value` as a number in [low, high]."""
    number = as_array(name, value, ndim=0)  # type: ignore[arg-type]
    if not low <= number <= high:
        raise ValueError(f"{name}: expected a number in [{low:g}, {high:g}], got {number:g}")
    return float(number)


def option(name: str, value: object, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}; got {short(value)}")
    return value


def known_label(
    value: object, known: Iterable[str], *, what: str = "a claim or a proposition"
) -> str:
    """Return `value` if it is one of `known`; the error names only similar labels."""
    labels = list(known)
    if isinstance(value, str) and value in labels:
        return value
    near = get_close_matches(str(value).lower(), labels, n=3, cutoff=0.5)
    perhaps = f", perhaps {' or '.join(near)}" if near else ""
    raise ValueError(f"label: expected {what} (see `vaetheory list`){perhaps}; got {value!r:.80}")


def covariances(name: str, value: ArrayLike, dim: int | None = None) -> Array:
    """Return `value` as symmetric positive-definite matrices `(..., dim, dim)`."""
    array = as_array(name, value)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2] or array.size == 0:
        raise ValueError(f"{name}: expected square matrices (..., n, n), got shape {array.shape}")
    if dim is not None and array.shape[-1] != dim:
        raise ValueError(f"{name}: expected shape (..., {dim}, {dim}), got {array.shape}")
    transposed = np.swapaxes(array, -1, -2)
    asymmetry = np.abs(array - transposed).max(axis=(-2, -1))
    # A computed product is symmetric only up to rounding.
    bad = asymmetry > 1e-12 * np.abs(array).max(axis=(-2, -1))
    if bad.any():
        raise ValueError(
            f"{name}: expected symmetric matrices, got entries that differ by "
            f"{asymmetry[bad].max():.3g}"
        )
    # The sum of two entries may overflow.
    array = array / 2 + transposed / 2
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(array)[..., 0].min()
        raise ValueError(
            f"{name}: expected positive-definite matrices, got a least eigenvalue of {least:.3g}"
        ) from None
    return array


def weights_of(name: str, value: ArrayLike | None, size: int) -> Array:
    """Return `size` non-negative weights, normalised to sum 1; equal weights for None."""
    if value is None:
        return np.full(size, 1 / size)
    array = as_array(name, value)
    if array.shape != (size,):
        raise ValueError(f"{name}: expected shape ({size},), got {array.shape}")
    if (array < 0).any() or not array.any():
        raise ValueError(
            f"{name}: expected weights of at least 0, not all 0, got a least of {array.min():g} "
            f"and a greatest of {array.max():g}"
        )
    array = array / array.max()
    return array / array.sum()


def lower_triangular(name: str, value: ArrayLike, *shapes: tuple[int, ...]) -> Array:
    """Return `value`, of one of `shapes`, as lower triangular matrices with positive diagonals."""
    array = as_array(name, value)
    if array.shape not in shapes:
        raise ValueError(f"{name}: expected shape {one_of(shapes)}, got {array.shape}")
    diagonal, above = np.diagonal(array, axis1=-2, axis2=-1), np.abs(np.triu(array, 1))
    if above.any() or not (diagonal > 0).all():
        raise ValueError(
            f"{name}: expected a lower triangular matrix with a positive diagonal, got diagonal "
            f"entries from {diagonal.min(initial=np.inf):g} and entries up to "
            f"{above.max(initial=0.0):g} above it"
        )
    return array


def one_of(choices: Iterable[object]) -> str:
    """Choices as words: each once, in order, the last after "or".

    Examples
    --------
    >>> one_of([(2, 2), (3, 2, 2), (2, 2)])
    '(2, 2) or (3, 2, 2)'
    """
    words = list(dict.fromkeys(str(choice) for choice in choices))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def short(value: object, limit: int = 80) -> str:
    """Type and representation of an object on one line, for an error message."""
    try:
        text = " ".join(f"{type(value).__name__} {value!r}".split())
    except Exception:  # The representation of an object may raise any error.
        text = type(value).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
