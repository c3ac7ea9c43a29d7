"""JAX's settings as the bridge needs them, for the time of a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax

if hasattr(jax, "enable_x64"):
    _enable_x64: Any = jax.enable_x64
else:
    from jax.experimental import enable_x64 as _enable_x64


@contextmanager
def double_precision(device: jax.Device) -> Iterator[None]:
    """Compute in 64 bits on a device; the settings of the process stay as they are.

    Settings that the user has changed for debugging are as by default: far from the data a
    decoder may overflow, which is no error.
    """
    with ExitStack() as stack:
        for setting in (
            _enable_x64(True),
            jax.default_device(device),
            jax.numpy_dtype_promotion("standard"),
            jax.transfer_guard("allow"),
            jax.debug_nans(False),
            jax.debug_infs(False),
            jax.disable_jit(False),
        ):
            stack.enter_context(setting)
        yield


def device_of(device: object) -> jax.Device:
    """Return a device, or the first one of a platform such as "cpu", or raise a ValueError."""
    try:
        if isinstance(device, jax.Device):
            return device
        if isinstance(device, str):
            return jax.local_devices(backend=device)[0]
    except Exception as error:
        raise ValueError(
            f"device: expected a jax.Device or a platform that is here, got {device!r}"
        ) from error
    raise ValueError(f"device: expected a jax.Device or the name of a platform, got {device!r}")
