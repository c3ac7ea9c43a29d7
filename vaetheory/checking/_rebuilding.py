"""Instances as text that Python reads back."""

from __future__ import annotations

import ast
import base64
import builtins
import pickle
import sys
import zlib
from collections.abc import Mapping
from typing import Any


def rebuilt(instance: object, names: Mapping[str, Any]) -> tuple[str, str]:
    """Python that makes an instance again.

    Parameters
    ----------
    instance : object
    names : mapping of str to object
        The names that are there already, for example the variables of the module with the claim.

    Returns
    -------
    imports : str
        The imports that the expression needs besides `names`; empty if there are none.
    expression : str
        The instance's repr if that rebuilds it, and else its pickle as text.

    Raises
    ------
    ValueError
        If neither rebuilds the instance.

    Examples
    --------
    >>> import numpy as np
    >>> rebuilt((1, 0.5), {})
    ('', '(1, 0.5)')
    >>> rebuilt(np.array([1, 2]), {})
    ('from numpy import array', 'array([1, 2])')
    """
    text = repr(instance)
    try:
        used = {n.id for n in ast.walk(ast.parse(text, mode="eval")) if isinstance(n, ast.Name)}
        missing = sorted(used - set(names) - set(dir(builtins)))
        places = [type(instance).__module__, "numpy"]
        homes = {n: next(p for p in places if hasattr(sys.modules[p], n)) for n in missing}
        more = {name: getattr(sys.modules[home], name) for name, home in homes.items()}
        if _same(eval(text, {**names, **more}), instance):
            return "; ".join(f"from {home} import {n}" for n, home in homes.items()), text
    except Exception:
        # Many objects have texts that are no expressions, such as "<object at 0x...>".
        pass
    try:
        packed = pickle.dumps(instance)
        if _same(pickle.loads(packed), instance):
            code = base64.b85encode(zlib.compress(packed)).decode()
            expression = f"pickle.loads(zlib.decompress(base64.b85decode({code!r})))"
            return "import base64, pickle, zlib", expression
    except Exception:
        pass
    raise ValueError(
        "instance: expected one that its text or its pickle rebuilds, got "
        f"{type(instance).__name__}"
    )


def _same(one: object, other: object) -> bool:
    """Whether two objects are equal; arrays within are compared by their bytes."""
    if type(one) is not type(other):
        return False
    try:
        return pickle.dumps(one) == pickle.dumps(other) or bool(one == other)
    except Exception:
        return bool(one == other)
