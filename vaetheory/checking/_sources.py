"""Claims that a Python file or a module defines."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from vaetheory.checking.claim import Claim

#: A file, or an object in it, and an object of a module.
_FILE = re.compile(r"(?P<place>.+\.py)(?::(?P<name>[A-Za-z_][\w.]*))?")
_MODULE = re.compile(r"(?P<place>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)?")

_WHAT = "a Claim, or a list or tuple of Claims"


@dataclass(frozen=True)
class Source:
    """Claims and figures of one file or module.

    Attributes
    ----------
    name : str
        The name by which it was loaded; another process loads it by the same name.
    claims : tuple of Claim
    figures : mapping of str to callable
        The module's `FIGURES`: functions that draw on an empty Matplotlib figure, by the name that
        propositions have in `figure`.
    """

    name: str
    claims: tuple[Claim, ...]
    figures: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)


def is_source(text: str) -> bool:
    """Whether a word names a file or a module, and not a claim or a proposition.

    Examples
    --------
    >>> [is_source(text) for text in ("my_claims.py", "package.module:CLAIMS", "3f")]
    [True, True, False]
    """
    return bool(_FILE.fullmatch(text) or _MODULE.fullmatch(text))


@cache
def load(name: str) -> Source:
    """The claims of a file or module; its code runs once in this process.

    Parameters
    ----------
    name : str
        "my_claims.py", "my_claims.py:NAME", "package.module:" or "package.module:NAME". The object
        is a `Claim` or a sequence of them. Without its name, `CLAIMS` is taken if there is one,
        and else every `Claim` of the module, in the order of their definitions.

    Raises
    ------
    ValueError
        If there is no such file or module, it raises an exception, or it has no claims.

    Notes
    -----
    What the module prints goes to standard error.
    """
    match = _FILE.fullmatch(name) or _MODULE.fullmatch(name)
    if match is None:
        raise ValueError(
            f"claims: expected FILE.py, FILE.py:NAME or package.module:NAME, got {name!r:.80}"
        )
    module = _imported(match["place"])
    found = _claims(module, match["place"], match["name"])
    figures = getattr(module, "FIGURES", {})
    if not isinstance(figures, Mapping) or not all(map(callable, figures.values())):
        raise ValueError(
            f"{match['place']}: expected FIGURES to be a mapping of names to functions that draw, "
            f"got {figures!r:.80}"
        )
    return Source(name, found, figures)


def _imported(place: str) -> ModuleType:
    """The module of a file or of a dotted name, or a ValueError that says what its code raised."""
    importing = _file if place.endswith(".py") else importlib.import_module
    try:
        with redirect_stdout(sys.stderr):
            return importing(place)
    except (Exception, SystemExit) as error:
        where = [f for f in traceback.extract_tb(error.__traceback__) if _theirs(f.filename)]
        line = f", line {where[-1].lineno} of {Path(where[-1].filename).name}" if where else ""
        raise ValueError(
            f"{place}: expected a module that can be imported, got {type(error).__name__}: "
            f"{error}{line}"
        ) from error


def _theirs(file: str) -> bool:
    return file != __file__ and not file.startswith("<frozen") and "importlib" not in file


def _file(place: str) -> ModuleType:
    """The module of a Python file, which may import its neighbours."""
    path = Path(place).resolve()
    if not path.is_file():
        raise FileNotFoundError("there is no such file")
    package = path.parent
    while (package / "__init__.py").is_file():
        package = package.parent
    if str(package) not in sys.path:
        sys.path.insert(0, str(package))
    if package != path.parent:
        return importlib.import_module(".".join(path.relative_to(package).with_suffix("").parts))
    # A name of its own: a file may be called as a module of the standard library is.
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    name = f"_claims_of_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _claims(module: ModuleType, place: str, name: str | None) -> tuple[Claim, ...]:
    """The claims of a module, or those of one of its objects."""
    if name is None and not hasattr(module, "CLAIMS"):
        own = [value for value in vars(module).values() if isinstance(value, Claim)]
        found = tuple({id(claim): claim for claim in own}.values())
        if not found:
            raise ValueError(f"{place}: expected at least one Claim, got none")
        return found
    name = name or "CLAIMS"
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise ValueError(f"{place}: expected an object {name}, got none of this name")
        value = getattr(value, part)
    claims = (value,) if isinstance(value, Claim) else value
    if not isinstance(claims, Iterable) or isinstance(claims, str):
        raise ValueError(f"{place}:{name}: expected {_WHAT}, got {value!r:.80}")
    claims = tuple(claims)
    if not claims or not all(isinstance(claim, Claim) for claim in claims):
        raise ValueError(f"{place}:{name}: expected {_WHAT}, got {value!r:.80}")
    return claims
