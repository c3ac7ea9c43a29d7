"""What only a checkout has beside the tests: without it, as with an installed wheel, they skip."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def part(name):
    """A folder or a file of the repository, or skip the tests that need it."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"needs {name} of a checkout", allow_module_level=True)
    return path


def module(folder, name):
    """Import a module of a folder of the repository, or skip the tests that need it."""
    path = str(part(folder))
    if path not in sys.path:
        sys.path.insert(0, path)
    return importlib.import_module(name)
