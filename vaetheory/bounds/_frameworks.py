"""What the objectives ask of an array framework: NumPy with autograd, PyTorch and JAX.

An objective is written once. `framework` finds out whose arrays it got, and this module has what
the frameworks spell differently. PyTorch and JAX are never imported here: if an argument is a
tensor, its framework has been imported.
"""

from __future__ import annotations

import sys
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.tracer import getval, isbox

from vaetheory._validation import Array, as_array, weights_of


def value_of(x: Any) -> Any:
    """The plain value of an input that autograd may be tracing, at any depth."""
    while isbox(x):
        x = getval(x)
    return x


class NumPy:
    """NumPy arrays and the boxes in which autograd traces them; their values are checked.

    `xp` has the functions that all frameworks call by the same name: those of autograd only where
    it traces, because they take much longer for small arrays.
    """

    name, checked = "NumPy", True
    #: A number above which 1 + ratio^2 is ratio^2 in rounding, and whose square does not overflow.
    huge = 1e100

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def read(self, name: str, value: Any) -> Array:
        """The plain values of an argument, as a new float64 array of finite numbers."""
        return as_array(name, value_of(value))

    def borrow(self, name: str, value: Any) -> Array:
        """As `read`, without a copy if it is such an array: it must not be changed or kept."""
        return as_array(name, value_of(value), copy=False)

    def carry(self, value: Any, plain: Array) -> Any:
        """What is computed with: `value` itself if autograd traces it, else what `read` gave."""
        return value if isbox(value) else plain

    def frozen(self, x: Any) -> Any:
        """`x` without its derivative, for units and conditions."""
        return value_of(x)

    def zeros(self, *shape: int) -> Any:
        """Zeros of a shape."""
        return np.zeros(shape)

    def ones(self, *shape: int) -> Any:
        """Ones of a shape."""
        return np.ones(shape)

    def weighted_sum(self, weights: Any, x: Any) -> Any:
        """Sum over data of weight times row, `(B,), (B, D) -> (D,)`."""
        return self.xp.dot(weights, x)

    def shares(self, weights: Any, size: int) -> Any:
        """Normalised weights of data, `(B,)`."""
        return weights_of("weights", weights, size)

    def row_of_largest(self, weights: Any, x: Any) -> Any:
        """The row of the largest weight, `(1, D)`."""
        return x[int(np.argmax(weights))][None]

    def gram(self, x: Any) -> Any:
        """x^T x, `(B, d) -> (d, d)`."""
        return self.xp.dot(x.T, x)

    def diagonal_matrix(self, x: Any) -> Any:
        """The matrix with a diagonal, `(d,) -> (d, d)`."""
        return self.xp.diag(x)

    def largest(self, x: Any, axis: int | None = 0) -> Any:
        """The largest modulus of each column, `(D,)`, or of all entries, `(1,)`; no derivative."""
        return np.abs(value_of(x)).max(axis=axis, keepdims=axis is None).ravel()

    def exponent(self, top: Any) -> Any:
        """Least n with 2^n above each number; any other number for zero."""
        return np.frexp(top)[1].astype(float)

    def times_power(self, x: Any, power: Any) -> Any:
        """The product x 2^power in two steps: no factor overflows if the product does not."""
        half = np.floor(power / 2)
        first, second = (np.exp2(np.clip(p, -1074, 1023)) for p in (half, power - half))
        x = x * first
        # The first product is a new array.
        return np.multiply(x, second, out=x) if type(x) is np.ndarray else x * second


class _Tensors:
    """What PyTorch and JAX have in common: nothing depends on values, so that they can trace it.

    Numbers of fewer than 32 bits are widened to float32.
    """

    checked = False

    def __init__(self, xp: Any, dtype: Any, double: bool, **place: Any) -> None:
        self.xp, self.dtype, self.place = xp, dtype, place
        self.huge = 1e100 if double else 1e15
        # The exponents of normal numbers whose inverses are normal.
        self.most = 1022 if double else 126

    def borrow(self, name: str, value: Any) -> Any:
        return self.read(name, value)

    def carry(self, value: Any, plain: Any) -> Any:
        return plain

    def zeros(self, *shape: int) -> Any:
        return self.xp.zeros(shape, dtype=self.dtype, **self.place)

    def ones(self, *shape: int) -> Any:
        return self.xp.ones(shape, dtype=self.dtype, **self.place)

    def weighted_sum(self, weights: Any, x: Any) -> Any:
        # No product of matrices: under autocast it would be rounded to half precision.
        return self.xp.sum(weights[:, None] * x, axis=0)

    def shares(self, weights: Any, size: int) -> Any:
        """Normalised weights of data, `(B,)`, without a derivative."""
        shares = self.frozen(self.read("weights", weights))
        if tuple(shares.shape) != (size,):
            raise ValueError(f"weights: expected shape ({size},), got {tuple(shares.shape)}")
        shares = shares / self.xp.max(shares)
        return shares / self.xp.sum(shares)

    def read(self, name: str, value: Any) -> Any:
        """The values of an argument in the dtype of the call."""
        raise NotImplementedError

    def frozen(self, x: Any) -> Any:
        """`x` without its derivative."""
        raise NotImplementedError

    def diagonal_matrix(self, x: Any) -> Any:
        return self.xp.diag(x)

    def times_power(self, x: Any, power: Any) -> Any:
        return x * self.power_of_two(self.xp.clip(power, -self.most, self.most))

    def power_of_two(self, n: Any) -> Any:
        """2^n, exactly, for whole numbers n."""
        raise NotImplementedError

    def half_log_det(self, rows: Any) -> tuple[Any, Any]:
        """1/2 log det(I + rows^T rows), `(n, d) -> ()`, and Q of (rows; I) = Q R, `(n + d, d)`."""
        below = self.xp.eye(rows.shape[1], dtype=self.dtype, **self.place)
        q, r = self.xp.linalg.qr(self.xp.concatenate([rows, below]))
        return self.xp.sum(self.xp.log(self.xp.abs(self.xp.diagonal(r)))), q


class Torch(_Tensors):
    """PyTorch tensors of one dtype on one device."""

    name = "PyTorch"

    def __init__(self, dtype: Any, device: Any) -> None:
        torch = sys.modules["torch"]
        self.device = device
        super().__init__(torch, dtype, dtype == torch.float64, device=device)

    @classmethod
    def of(cls, values: list[Any]) -> Torch:
        """For all tensors of a call."""
        torch = sys.modules["torch"]
        dtype = torch.float32
        floating = [v.dtype for v in values if v.dtype.is_floating_point]
        for each in floating or [torch.get_default_dtype()]:
            dtype = torch.float64 if each == torch.float64 else dtype
        # A number may be on another device than arrays are.
        arrays = [v for v in values if v.ndim] or values
        return cls(dtype, arrays[0].device)

    def read(self, name: str, value: Any) -> Any:
        if isinstance(value, self.xp.Tensor):
            if value.dtype.is_complex:
                raise ValueError(f"{name}: expected real numbers, got {value.dtype}")
            if value.layout != self.xp.strided:
                raise ValueError(f"{name}: expected a dense tensor, got {value.layout}")
            if value.ndim and value.device != self.device:
                raise ValueError(
                    f"{name}: expected a tensor on {self.device}, got one on {value.device}"
                )
            return value.to(device=self.device, dtype=self.dtype)
        if isinstance(value, int | float):
            return self.xp.full((), value, dtype=self.dtype, device=self.device)
        # The compiler traces NumPy's arrays as tensors, and cannot trace checks of their values.
        plain = value if self.xp.compiler.is_compiling() else as_array(name, value)
        return self.xp.as_tensor(plain, dtype=self.dtype, device=self.device)

    def frozen(self, x: Any) -> Any:
        return x.detach()

    def gram(self, x: Any) -> Any:
        with self.xp.autocast(x.device.type, enabled=False):
            return x.mT @ x

    def largest(self, x: Any, axis: int | None = 0) -> Any:
        top = self.xp.amax(x.detach().abs(), dim=0)
        return top if axis is not None else self.xp.amax(top, dim=0, keepdim=True)

    def row_of_largest(self, weights: Any, x: Any) -> Any:
        """The row of the largest weight, `(1, D)`."""
        return x.index_select(0, self.xp.argmax(weights, dim=0, keepdim=True))

    def exponent(self, top: Any) -> Any:
        return self.xp.clip(self.xp.frexp(top)[1].to(self.dtype), -self.most, self.most)

    def power_of_two(self, n: Any) -> Any:
        return self.xp.exp2(n)


class Jax(_Tensors):
    """JAX arrays and tracers of one dtype."""

    name = "JAX"

    def __init__(self, dtype: Any) -> None:
        self.lax = sys.modules["jax.lax"]
        super().__init__(sys.modules["jax.numpy"], dtype, dtype == np.float64)

    @classmethod
    def of(cls, values: list[Any]) -> Jax:
        """For all arrays of a call."""
        jnp = sys.modules["jax.numpy"]
        floating = [v.dtype for v in values if jnp.issubdtype(v.dtype, jnp.floating)]
        # The default is float64 where JAX computes with 64 bits.
        each = floating or [jnp.result_type(float)]
        return cls(jnp.dtype(np.float64 if np.float64 in each else np.float32))

    def read(self, name: str, value: Any) -> Any:
        if _is_jax(value):
            if self.xp.issubdtype(value.dtype, self.xp.complexfloating):
                raise ValueError(f"{name}: expected real numbers, got {value.dtype}")
            return value.astype(self.dtype)
        return self.xp.asarray(as_array(name, value), dtype=self.dtype)

    def frozen(self, x: Any) -> Any:
        return self.lax.stop_gradient(x)

    def gram(self, x: Any) -> Any:
        return self.xp.matmul(x.T, x, precision="highest")

    def largest(self, x: Any, axis: int | None = 0) -> Any:
        return self.xp.max(self.xp.abs(self.frozen(x)), axis=axis, keepdims=axis is None).ravel()

    def row_of_largest(self, weights: Any, x: Any) -> Any:
        return x[self.xp.argmax(weights)][None]

    def exponent(self, top: Any) -> Any:
        return self.xp.clip(self.xp.frexp(top)[1].astype(self.dtype), -self.most, self.most)

    def power_of_two(self, n: Any) -> Any:
        # XLA's exp2 is not exact for whole numbers.
        return self.xp.ldexp(self.ones(*n.shape), n.astype(np.int32))


_PLAIN, _TRACED = NumPy(np), NumPy(anp)
_PLAIN_TYPES = (np.ndarray, np.float64, float, type(None))


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _is_jax(value: Any) -> bool:
    jax = sys.modules.get("jax")
    # torch.compile cannot trace a test of its own tensors and arrays against JAX's class.
    if jax is None or isinstance(value, np.ndarray) or _is_torch(value):
        return False
    return isinstance(value, jax.Array)


def framework(*values: Any) -> Any:
    """The framework of the arrays of a call; NumPy arrays and numbers go with any tensors."""
    if all(type(v) in _PLAIN_TYPES for v in values):
        return _PLAIN
    torch = [v for v in values if _is_torch(v)]
    jax = [v for v in values if _is_jax(v)]
    traced = [v for v in values if isbox(v)]
    known = [("PyTorch", torch), ("JAX", jax), ("autograd", traced)]
    names = [name for name, found in known if found]
    if len(names) > 1:
        raise ValueError(f"arrays: expected those of one framework, got {' and '.join(names)}")
    if torch:
        return Torch.of(torch)
    return Jax.of(jax) if jax else _TRACED if traced else _PLAIN
