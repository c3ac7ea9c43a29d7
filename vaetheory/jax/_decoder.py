"""A function of JAX as a decoder with derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from vaetheory._validation import Array, boolean
from vaetheory.decoders import LastLayer, TanhNetwork
from vaetheory.decoders._bridged import BridgedDecoder, as_rows
from vaetheory.jax._derivatives import WAYS
from vaetheory.jax._functions import Call, brief, module_type, reading
from vaetheory.jax._last_layer import find_last_layer
from vaetheory.jax._networks import tanh_network
from vaetheory.jax._settings import device_of, double_precision
from vaetheory.jax._trial import Tried, outputs, require_rows, require_unchanged, trace

#: Numbers of rows for which functions are compiled.
_SIZES = (64, 128, 256, 512, 1024)
#: What a call costs besides its rows, as a number of rows.
_CALL = 32
#: Methods that evaluate a function, or its backward pass, once.
_ONE_PASS = ("__call__", "vjp")
#: Most numbers in the intermediate results of one call, so that memory stays bounded.
_NUMBERS = 2**24


class JaxDecoder(BridgedDecoder[Tried]):
    """A function or a module of JAX as a decoder: values and derivatives in float64.

    The parameters are copied, in float64; numbers in float32 are converted exactly. JAX's global
    setting `jax_enable_x64` stays as it is. The function is compiled for at most five sizes of
    batches.

    Parameters
    ----------
    fn : callable
        `fn(params, z)` maps latents `(n, d)` to the likelihood's parameters `(n, ...)`, row by
        row; `fn(z)` if there are no `params`. For example `module.apply` of flax.linen. A module
        of flax.nnx or equinox, a bound module of flax.linen, or a method of one, needs no
        `params`.
    params : pytree or module, optional
        Variables of flax.linen, or any tree of arrays and other objects; also a module of
        flax.nnx or equinox, to say how it decodes by `fn`. Modules are put into eval mode in the
        copy.
    batched : bool, optional
        False if `fn` decodes one point `(d,)`. By default False for a module of equinox, and True
        otherwise.
    device : jax.Device or str
        Where to compute; "cpu" by default.

    Attributes
    ----------
    event_shape : tuple of int or None
        Shape of the outputs of one latent, known after the first call. `decoder(z)` has shape
        `(..., D)`, in row-major order; a `LatentModel` accepts data of this shape.
    latent_dim : int or None
        Dimension d of the latents, known after the first call.

    Raises
    ------
    ValueError
        If parameters are missing, NaN or in half precision; at the first call, if the function
        draws random numbers, converts to lower precision inside, uses statistics of the batch, or
        returns anything but one array. Each error says what to do.

    Notes
    -----
    Jacobians and Hessians use forward mode, weighted Hessians forward over reverse mode; where a
    function has no derivatives of that mode, the other one is used. Affine layers with `tanh`
    between them are evaluated as a `decoders.TanhNetwork`. If the outputs are an affine
    map of a hidden layer, `last_layer` finds it in the trace of the function. Arrays that `fn` does
    not take from `params` are constants: if they change, a later call raises a ValueError. A module
    of flax.nnx is mutable, so that `fn` must take it from `params`. Two decoders are equal only if
    they are the same object. Pickling is not supported.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> decoder = JaxDecoder(lambda params, z: jnp.tanh(z @ params["w"]), {"w": jnp.ones((1, 3))})
    >>> decoder([[0.0], [1.0]]).shape, decoder.jacobian([[0.0]]).tolist()
    ((2, 3), [[[1.0], [1.0], [1.0]]])
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        params: Any = None,
        *,
        batched: bool | None = None,
        device: jax.Device | str = "cpu",
    ) -> None:
        self._device = device_of(device)
        if batched is None:
            batched = not isinstance(fn, module_type("equinox"))
        self._batched = boolean("batched", batched)
        with double_precision(self._device):
            self._call, arrays = reading(fn, params)
            self._arrays = jax.device_put(arrays, self._device)
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._network: TanhNetwork | None = None
        # The first trace has this size.
        self._traced = {("__call__", _SIZES[0])}

    @classmethod
    def around(cls, call: Call, arrays: list[Any], device: jax.Device) -> JaxDecoder:
        """A decoder that calls a given function of arrays and latents `(n, d)`."""
        made = cls.__new__(cls)
        made._device, made._batched = device, True
        made._call, made._arrays, made._compiled, made._network = call, arrays, {}, None
        made._traced = {("__call__", _SIZES[0])}
        return made

    def _find_last_layer(self, tried: Tried) -> LastLayer | None:
        if self._network is not None:
            return self._network.last_layer()
        with double_precision(self._device):
            found = find_last_layer(self._flat, self._arrays, tried.latent_dim)
        if found is None:
            return None
        hidden = JaxDecoder.around(found.hidden, self._arrays, self._device)
        return LastLayer(hidden, found.weight, found.bias)

    def __call__(self, z: Array) -> Array:
        return self._evaluated("__call__", z)

    def jacobian(self, z: Array) -> Array:
        return self._evaluated("jacobian", z)

    def hessian(self, z: Array) -> Array:
        return self._evaluated("hessian", z)

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self._evaluated("weighted_hessian", z, weights)

    def vjp(self, z: Array, weights: Array) -> Array:
        return self._evaluated("vjp", z, weights)

    def _evaluated(self, name: str, z: Array, *others: Array) -> Array:
        """Evaluate a method in parts of the sizes for which it is compiled."""
        lead, rows = as_rows(z, *others)
        with double_precision(self._device):
            tried = self._try(z.shape[-1])
            if self._network is not None and len(rows[0]):
                # On the CPU NumPy computes the same function faster.
                self._require_unchanged(name, _sizes(len(rows[0]), _SIZES[-1]), tried)
                found: Array = getattr(self._network, name)(z, *others)
                return found
            whole = self._in_parts(name, rows, tried)
        return whole.reshape(*lead, *whole.shape[1:])

    def _require_unchanged(self, name: str, sizes: Iterable[int], tried: Tried) -> None:
        """Trace the function again for each new number of rows, and compare its constants."""
        for size in sizes:
            if (name, size) not in self._traced:
                require_unchanged(self._rows, self._arrays, tried)
                self._traced.add((name, size))

    def _in_parts(self, name: str, rows: list[Array], tried: Tried) -> Array:
        most = _NUMBERS / tried.total / (1 if name in _ONE_PASS else rows[0].shape[1] ** 2)
        count, done, parts = len(rows[0]), 0, []
        for size in _sizes(count, most):
            some = [_padded(row[done : done + size], size) for row in rows]
            self._require_unchanged(name, [size], tried)
            if name not in self._compiled:
                self._compiled[name] = self._function(name, some)
            parts.append(np.asarray(self._compiled[name](self._arrays, *some))[: count - done])
            done += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _try_first(self, dim: int) -> Tried:
        tried = trace(self._rows, self._arrays, dim)
        require_rows(lambda z: self._in_parts("__call__", [z], tried), dim)
        if self._device.platform == "cpu":
            self._network = tanh_network(self._flat, self._arrays, dim)
        return tried

    def _rows(self, arrays: list[Any], z: Any) -> jax.Array:
        """The outputs, `(n, d) -> (n, ...)`."""
        if self._batched:
            return outputs(self._call(arrays, z), z.shape[:1])
        return jax.vmap(lambda point: outputs(self._call(arrays, point), ()))(z)

    def _flat(self, arrays: list[Any], z: Any) -> Any:
        """The outputs, `(n, d) -> (n, D)`."""
        out = self._rows(arrays, z)
        return out.reshape(len(z), math.prod(out.shape[1:]))

    def _function(self, name: str, rows: list[Array]) -> Callable[..., Any]:
        """A method as a compiled function of the arrays and of rows."""
        errors = []
        for way in WAYS[name]:
            function = jax.jit(
                lambda arrays, *rows, way=way: way(partial(self._flat, arrays), *rows)
            )
            try:
                # Some modes fail only when they are compiled.
                function(self._arrays, *rows)
            except Exception as error:
                errors.append(error)
            else:
                return function
        raise ValueError(
            f"decoder: expected a function that JAX differentiates twice, got "
            f"{type(errors[0]).__name__}: {brief(errors[0])}"
        ) from errors[0]


def _sizes(count: int, most: float) -> Iterator[int]:
    """The sizes of parts of `count` rows, with fewer rows than the last size as its padding."""
    allowed = tuple(size for size in _SIZES if size <= most) or _SIZES[:1]
    for _ in range(count // allowed[-1] - 1):
        yield allowed[-1]
        count -= allowed[-1]
    while True:
        size = -_cheapest(count, allowed)[1]
        yield size
        count -= size
        if count <= 0:
            return


@lru_cache(maxsize=4096)
def _cheapest(count: int, allowed: tuple[int, ...]) -> tuple[int, int]:
    """The least cost of `count` rows, in rows, and minus the size of their first part."""
    return min(
        (size + _CALL + (_cheapest(count - size, allowed)[0] if count > size else 0), -size)
        for size in allowed
    )


def _padded(rows: Array, size: int) -> Array:
    """Rows, and as many copies of the first one that there are `size`."""
    if len(rows) == size:
        return np.ascontiguousarray(rows)
    made = np.empty((size, rows.shape[1]))
    made[: len(rows)] = rows
    made[len(rows) :] = rows[0] if len(rows) else 0.0
    return made
