"""`vaetheory audit`."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaetheory.cli import _paths

if TYPE_CHECKING:
    from vaetheory.audit import Audit


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "audit", help="find out whether the loss of a VAE is its ELBO (runs the file that is given)"
    )
    parser.add_argument(
        "target",
        metavar="FILE.py:NAME",
        help="a Python file or module, and in it a mapping of the arguments of "
        "vaetheory.audit.audit, or a function that returns one",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the result as JSON; - is standard output"
    )
    parser.add_argument(
        "--junit", metavar="FILE", help="write the result as JUnit XML; - is standard output"
    )
    parser.add_argument(
        "--html", metavar="FILE", help="write the result as one HTML page; - is standard output"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Audit and print.

    The status is 0 if the loss is the ELBO of the declared model, 1 if something is wrong, and 2 if
    it could not be decided.
    """
    from vaetheory.audit import audit

    names = {name: getattr(options, name) for name in _FORMATS}
    targets = {name: _paths.writable(f"--{name}", given) for name, given in names.items()}
    table = _paths.table_goes_to(*names.values())
    arguments = _arguments(options.target)
    start = time.perf_counter()
    result = audit(**arguments)
    seconds = time.perf_counter() - start
    print(result, file=table)
    for name, target in targets.items():
        if target is not None:
            _paths.write(target, _FORMATS[name](result, options.target, seconds))
    return result.exit_status


def _json(result: Audit, name: str, seconds: float) -> str:
    return result.to_json() + "\n"


def _junit(result: Audit, name: str, seconds: float) -> str:
    from vaetheory.report.audit_junit import audit_as_junit
    from vaetheory.report.junit import junit_text

    now = datetime.now(timezone.utc)
    return junit_text(audit_as_junit(result, name=name, seconds=seconds, finished=now))


def _html(result: Audit, name: str, seconds: float) -> str:
    from vaetheory.report.audit_page import audit_page

    return audit_page(result, title=f"audit of {name}")


#: What makes the text of each file from the result, the name of the target, and the seconds taken.
_FORMATS: dict[str, Callable[[Audit, str, float], str]] = {
    "json": _json,
    "junit": _junit,
    "html": _html,
}


def _arguments(target: str) -> dict[str, Any]:
    """The arguments that the object of a name holds."""
    place, _, name = target.rpartition(":")
    if not place or not name:
        raise ValueError(f"FILE.py:NAME: expected a file and a name, got {target}")
    found = getattr(_module(place), name, None)
    if found is None:
        raise ValueError(f"{target}: expected the name {name} in {place}, got none")
    if callable(found):
        found = found()
    if not isinstance(found, Mapping) or not all(isinstance(k, str) for k in found):
        raise ValueError(
            f"{target}: expected a mapping of the arguments of vaetheory.audit.audit, or a "
            f"function that returns one, got {type(found).__name__}"
        )
    return dict(found)


def _module(place: str) -> Any:
    """The module of a file or of a name."""
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise ValueError(f"{place}: expected a Python file or a module, got neither") from error
    path = Path(place)
    if not path.is_file():
        raise ValueError(f"{place}: expected a Python file, got none")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
