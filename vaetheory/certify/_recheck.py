"""Checking certificates: re-prove them with mpmath's intervals and fractions alone."""

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
    """The result of checking one file.

    Attributes
    ----------
    verdict : str
        accepted: everything in the file was proved again; rejected: something in it is wrong;
        unchecked: it is well formed, but proving it again would take too long.
    label, message : str
        The message says what is proved or, if the file was not accepted, why not.
    seconds : float
    """

    verdict: str
    label: str
    message: str
    seconds: float


def check(path: Path) -> Outcome:
    """Re-prove one certificate; nothing in the file is trusted.

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
        certificate = files.read(files.load(path))
        label = certificate.label
        proposition = _proposition(certificate)
        if proposition.sentence(certificate.inputs, certificate.proved) != certificate.sentence:
            raise ValueError("sentence: expected the one that states what is proved, got another")
        again = proposition.prove(Checker(), certificate.inputs, certificate.witness)
        compare(certificate, again)
        verdict, message = ACCEPTED, certificate.sentence
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
        # Any of these errors comes from the content of the file, so the file is rejected.
        kind = "" if isinstance(error, ValueError | NotProved) else f"{type(error).__name__}: "
        verdict, message = REJECTED, plain(f"{kind}{error}")
    return Outcome(verdict, plain(label), message, time.perf_counter() - started)


def _proposition(certificate: Certificate) -> Certified:
    """The proposition with the certificate's label, after comparing its texts and keys."""
    label = certificate.label
    if label not in PROPOSITIONS:
        raise ValueError(f"label: expected one of {', '.join(PROPOSITIONS)}; got {label!r}")
    proposition = PROPOSITIONS[label]
    for name, given, expected in (
        ("title", certificate.title, proposition.title),
        ("statement", certificate.statement, proposition.statement),
        ("inputs", tuple(sorted(certificate.inputs)), tuple(sorted(proposition.keys))),
        ("witness", tuple(sorted(certificate.witness)), tuple(sorted(proposition.hints))),
    ):
        if given != expected:
            raise ValueError(f"{name}: expected {expected}, got {given!r:.200}")
    return proposition


def compare(certificate: Certificate, again: dict[str, Proved]) -> None:
    """Raise an error unless the results proved again are those of the certificate.

    Exact numbers, counts and balls must be equal, see `Enclosure.canonical`. Bounds proved again
    must lie within those of a `Range`, which may be at most twice as wide and must have ends of
    few digits.
    """
    if set(certificate.proved) != set(again):
        raise ValueError(
            f"proved: expected {', '.join(sorted(again))}, "
            f"got {', '.join(sorted(certificate.proved))}"
        )
    for name, mine in again.items():
        given = certificate.proved[name]
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
