"""Versions of what results rest on."""

from __future__ import annotations

import platform
from importlib import metadata

from vaetheory import __version__

_PACKAGES = ("numpy", "scipy", "autograd", "hypothesis", "scikit-learn")


def environment() -> dict[str, str]:
    """Versions of what the results rest on."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "vaetheory": __version__,
    }
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
