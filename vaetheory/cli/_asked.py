"""What a command is asked for: the theorem book, installed claims, or claims of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from vaetheory.checking._sources import Source
    from vaetheory.checking.claim import Claim, Proposition
    from vaetheory.checking.runner import Result

#: Packages name their claims in this group of entry points, as "package.module:NAME".
GROUP = "vaetheory.claims"

_HELP = (
    "FILE.py, FILE.py:NAME or package.module:NAME for claims of your own, then labels of claims "
    "(stationary-evidence, or its number 3) and of propositions (3f); everything by default"
)


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the words that say what is asked for."""
    parser.add_argument("labels", nargs="*", metavar="CLAIM", help=_HELP)


@dataclass(frozen=True)
class Asked:
    """The registry of a run, and what is asked for.

    Attributes
    ----------
    registry : tuple of (name, claims)
        Sources by name, and the theorem book, whose name is None.
    labels : tuple of str
        What is asked for of them; everything if empty.
    figures : mapping of str to callable
        The figures of the sources; the theorem book's are `figures.registry.FIGURES`.
    """

    registry: tuple[tuple[str | None, tuple[Claim, ...]], ...]
    labels: tuple[str, ...]
    figures: Mapping[str, Callable[[Any], Any]]

    @property
    def book(self) -> bool:
        """Whether the theorem book is part of the registry."""
        return any(name is None for name, _ in self.registry)

    @property
    def claims(self) -> list[Claim]:
        """All claims of the registry."""
        return [claim for _, claims in self.registry for claim in claims]

    def chosen(self) -> list[tuple[Claim, Proposition]]:
        """The propositions that are asked for, in order."""
        from vaetheory.checking._selection import select

        return select(self.labels or None, self.claims)

    def verified(
        self,
        chosen: Sequence[tuple[Claim, Proposition]],
        *,
        profile: str,
        seed: int,
        executor: Executor | None,
    ) -> Iterator[Result]:
        """The results of propositions, in order; all are begun at once where there is a pool."""
        from vaetheory.claims.verify import verify

        home = {claim.label: name for name, claims in self.registry for claim in claims}
        runs = []
        for name, group in groupby(chosen, key=lambda pair: home[pair[0].label]):
            labels = [p.label for _, p in group]
            runs.append(verify(labels, profile=profile, seed=seed, executor=executor, claims=name))
        return (result for run in runs for result in run)


def asked(words: Sequence[str]) -> Asked:
    """Read the words of a command.

    Files and modules stand first. Without them the registry is the theorem book, and the claims of
    installed packages where everything or a label that the book does not have is asked for.

    Raises
    ------
    ValueError
        If claims cannot be loaded.
    """
    from vaetheory.checking import _sources
    from vaetheory.checking._selection import canonical
    from vaetheory.claims import CLAIMS

    names = [word for word in words if _sources.is_source(word)]
    labels = tuple(word for word in words if word not in names)
    if names:
        if list(words[: len(names)]) != names:
            raise ValueError(f"{names[-1]}: expected files and modules before labels, got {words}")
        loaded = [_sources.load(name) for name in dict.fromkeys(names)]
        figures = {name: draw for source in loaded for name, draw in source.figures.items()}
        return Asked(tuple((s.name, s.claims) for s in loaded), labels, figures)
    book = {label for c in CLAIMS for label in (c.label, *(p.label for p in c.propositions))}
    if labels and book.issuperset(canonical(labels, CLAIMS)):
        return Asked(((None, CLAIMS),), labels, {})
    others = installed()
    figures = {name: draw for source in others for name, draw in source.figures.items()}
    return Asked(((None, CLAIMS), *((s.name, s.claims) for s in others)), labels, figures)


def installed() -> list[Source]:
    """The claims of installed packages; nothing is loaded if there are none.

    Raises
    ------
    ValueError
        If a package's claims cannot be loaded; the error names the package.
    """
    points = metadata.entry_points(group=GROUP)
    if not points:
        return []
    from vaetheory.checking import _sources

    sources = []
    for point in points:
        try:
            sources.append(_sources.load(point.value if ":" in point.value else f"{point.value}:"))
        except ValueError as error:
            package = point.dist.name if point.dist else point.name
            raise ValueError(f"claims of the installed package {package}: {error}") from None
    return sources
