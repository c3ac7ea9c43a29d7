"""Versions of Python, the platform and the packages on which results depend."""

from __future__ import annotations

import platform
from importlib import metadata

from vaetheory import __version__

_PACKAGES = ("numpy", "scipy", "autograd", "hypothesis", "scikit-learn")


def environment() -> dict[str, str]:
    """Versions of Python, the platform and the packages on which the results depend."""
    versions = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "vaetheory": __version__,
    }
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions
