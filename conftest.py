"""What is not collected: doctests of bridges to frameworks that are not here."""

import importlib.util

collect_ignore = [
    f"vaetheory/{name}" for name in ("torch", "jax") if importlib.util.find_spec(name) is None
]
