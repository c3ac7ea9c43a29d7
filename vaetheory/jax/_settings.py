"""JAX's settings as the bridge needs them, for the time of a call."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax

#: In older releases it is elsewhere.
_enable_x64: Any = getattr(jax, "enable_x64", None)
if _enable_x64 is None:
    _enable_x64 = importlib.import_module("jax.experimental").enable_x64


#: Settings, of which users change some for debugging, with the values that the bridge needs.
_SETTINGS: dict[str, tuple[Any, Any]] = {
    "jax_enable_x64": (_enable_x64, True),
    "jax_numpy_dtype_promotion": (jax.numpy_dtype_promotion, "standard"),
    "jax_debug_nans": (jax.debug_nans, False),
    "jax_debug_infs": (jax.debug_infs, False),
    "jax_disable_jit": (jax.disable_jit, False),
    "jax_transfer_guard_host_to_device": (jax.transfer_guard_host_to_device, None),
    "jax_transfer_guard_device_to_host": (jax.transfer_guard_device_to_host, None),
}


@contextmanager
def double_precision(device: jax.Device) -> Iterator[None]:
    """Compute in 64 bits on a device; the settings of the process stay as they are.

    Far from the data a decoder may overflow, which is no error.
    """
    with ExitStack() as stack:
        stack.enter_context(jax.default_device(device))
        for name, (setting, value) in _SETTINGS.items():
            # Entering a setting takes longer than reading it.
            if getattr(jax.config, name) != value:
                stack.enter_context(setting("allow" if value is None else value))
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
