"""Figures drawn one by one; one whose data are not installed is left out, with a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vaetheory.cli import _progress


def draw(names: Sequence[str], folder: Path, **more: Any) -> Iterator[list[Path]]:
    """Draw figures; the written files of each, or none for one that is left out.

    Parameters
    ----------
    names : sequence of str
        Keys of the figures.
    folder : Path
        Where they are written.
    more : Any
        The other arguments of `vaetheory.figures.registry.regenerate`, which at once refuses what
        is unknown.
    """
    from vaetheory.figures import registry

    return _each(names, [registry.regenerate([name], folder, **more) for name in names])


def _each(names: Sequence[str], drawings: list[Iterator[list[Path]]]) -> Iterator[list[Path]]:
    from vaetheory.checking.digits import NoDigitsError

    for number, (name, drawing) in enumerate(zip(names, drawings, strict=True)):
        _progress.show(f"figure {number}/{len(names)}: {name}")
        try:
            written = next(drawing)
        except NoDigitsError as error:
            _progress.show("")
            print(f"vaetheory: figure {name} is left out: {error}", file=sys.stderr)
            written = []
        _progress.show("")
        yield written
