"""Libraries that need not be here: their tests are skipped, or fail where they are required."""

import importlib
import importlib.util
import os

import pytest

FRAMEWORKS = ("torch", "jax")
#: Libraries on them, each with the extra that installs it.
LIBRARIES = {
    **dict.fromkeys(("flax", "optax", "equinox"), "jax-test"),
    "sklearn": "data",
    "mlxtend": "images",
    "zuko": "flows-test",
    "distributed": "distributed",
    "sphinx": "docs",
    "latex2mathml": "report",
    "selenium": "browser",
}


def framework(name):
    """Import a framework or another library, or skip the tests that need it.

    Those that `VAETHEORY_REQUIRE` names, separated by commas, must be here.
    """
    if importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    reason = f"{name} is not here: pip install '.[{LIBRARIES.get(name, name)}]'"
    if name in os.environ.get("VAETHEORY_REQUIRE", "").split(","):
        pytest.fail(f"VAETHEORY_REQUIRE names it, but {reason}", pytrace=False)
    return pytest.skip(reason, allow_module_level=True)
