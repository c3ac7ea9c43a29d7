"""Files that are not collected for doctests: bridges to frameworks that are not installed."""

import importlib.util

collect_ignore = [
    path
    for name in ("torch", "jax")
    if importlib.util.find_spec(name) is None
    for path in (
        f"vaetheory/{name}",
        f"vaetheory/audit/_{name}",
        f"vaetheory/training/_{name}",
        f"tests/{name}_cases.py",
    )
]
if importlib.util.find_spec("torch") is None:
    # The example of `audit` is one of PyTorch.
    collect_ignore += ["tests/audit_zoo", "vaetheory/audit/__init__.py"]
if any(importlib.util.find_spec(name) is None for name in ("jax", "flax", "equinox")):
    collect_ignore.append("tests/audit_zoo_jax")
