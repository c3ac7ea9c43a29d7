"""Re-prove certificates with mpmath's intervals and fractions alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from vaetheory._numbers_as_text import plain
from vaetheory.certify import _certificate as files
from vaetheory.certify._certificate import Certificate
from vaetheory.certify.arithmetic import NotProved, TooLong
from vaetheory.certify.enclosure import Range
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.certify.propositions.base import Certified, Proved

ACCEPTED = "accepted"
REJECTED = "rejected"
UNCHECKED = "unchecked"


@dataclass(frozen=True)
class Outcome:
    """How checking one file ended.

    Attributes
    ----------
    verdict : str
        accepted: everything in it was proved again; rejected: something is not as it says;
        unchecked: it reads well, but proving it again was given up as too long.
    label, message : str
        The message says why, where it was not accepted, else what is proved.
    seconds : float
    """

    verdict: str
    label: str
    message: str
    seconds: float


def check(path: Path) -> Outcome:
    """Re-prove one certificate; nothing in the file is believed.

    Raises
    ------
    OSError
        If the file cannot be read.
    ImportError
        Without mpmath.
    """
    from vaetheory.certify._checker import Checker

    started = time.perf_counter()
    label = "?"
    try:
        found = files.read(files.load(path))
        label = found.label
        proposition = _proposition(found)
        if proposition.sentence(found.inputs, found.proved) != found.sentence:
            raise ValueError("sentence: it is not what is said to be proved")
        again = proposition.prove(Checker(), found.inputs, found.witness)
        compare(found, again)
        verdict, message = ACCEPTED, found.sentence
    except TooLong as error:
        verdict, message = UNCHECKED, str(error)
    except (
        ValueError,
        ArithmeticError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RuntimeError,
    ) as error:
        # Whatever a file makes the proof stumble over, it is the file that is wrong.
        named = "" if isinstance(error, ValueError | NotProved) else f"{type(error).__name__}: "
        verdict, message = REJECTED, plain(f"{named}{error}")
    return Outcome(verdict, plain(label), message, time.perf_counter() - started)


def _proposition(found: Certificate) -> Certified:
    """The proposition that the certificate speaks of, its words and keys compared."""
    if found.label not in PROPOSITIONS:
        raise ValueError(f"label: expected one of {', '.join(PROPOSITIONS)}; got {found.label!r}")
    proposition = PROPOSITIONS[found.label]
    for name, given, wanted in (
        ("title", found.title, proposition.title),
        ("statement", found.statement, proposition.statement),
        ("inputs", tuple(sorted(found.inputs)), tuple(sorted(proposition.keys))),
        ("witness", tuple(sorted(found.witness)), tuple(sorted(proposition.hints))),
    ):
        if given != wanted:
            raise ValueError(f"{name}: expected {wanted}, got {given!r:.200}")
    return proposition


def compare(found: Certificate, again: dict[str, Proved]) -> None:
    """Demand that what is proved again is what the certificate says.

    Exact numbers, counts and balls must be the same, see `Enclosure.canonical`. Bounds proved again
    must lie within those of a `Range`, which must not be twice as wide and have ends of few digits.
    """
    if set(found.proved) != set(again):
        raise ValueError(
            f"proved: expected {', '.join(sorted(again))}, got {', '.join(sorted(found.proved))}"
        )
    for name, mine in again.items():
        given = found.proved[name]
        if type(given) is not type(mine):
            raise ValueError(f"proved.{name}: expected {type(mine).__name__}")
        if isinstance(given, Range) and isinstance(mine, Range):
            good = given.lower <= mine.lower <= mine.upper <= given.upper
            good = good and given.rad <= 2 * mine.rad
            good = good and (given.lower / given.step).denominator == 1
            good = good and (given.upper / given.step).denominator == 1
        else:
            good = given == mine
        if not good:
            raise NotProved(f"proved.{name}: found {mine}, the certificate says {given}")
