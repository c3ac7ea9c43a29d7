"""Prove the default set, or what of it is named."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vaetheory._validation import known_label
from vaetheory.certify import _certificate as files
from vaetheory.certify._certificate import Certificate
from vaetheory.certify._prover import Prover
from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.certify.propositions.base import Certified, Inputs

CERTIFIED = "certified"
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Attempt:
    """How the proof of one instance ended.

    Attributes
    ----------
    label, verdict, message : str
        certified with the sentence that is proved, or inconclusive with the reason: a proof that
        did not come about says nothing about the instance.
    number : int
        Of the instance within its proposition.
    certificate : Certificate or None
    seconds : float
    """

    label: str
    number: int
    verdict: str
    message: str
    certificate: Certificate | None
    seconds: float


def select(labels: Sequence[str] | None, claims: Iterable[tuple[str, str]] = ()) -> list[str]:
    """The labels of certified propositions that are asked for.

    Parameters
    ----------
    labels : sequence of str or None
        Propositions, with or without a suffix, or claims; everything for None.
    claims : pairs (claim, proposition), optional
        The registry's.

    Raises
    ------
    ValueError
        If a label has no certified proposition.
    """
    if not labels:
        return list(PROPOSITIONS)
    members: dict[str, set[str]] = {}
    known = list(PROPOSITIONS)
    for claim, label in claims:
        members.setdefault(claim, set()).add(label.split("-")[0])
        known += [claim, label]
    chosen: set[str] = set()
    for asked in labels:
        of_claim = members.get(asked, set())
        found = [
            p for p in PROPOSITIONS if asked in (p, p.split("-")[0]) or p.split("-")[0] in of_claim
        ]
        if not found:
            known_label(asked, dict.fromkeys(known))
            raise ValueError(
                f"label: expected one of {', '.join(PROPOSITIONS)}, or a claim with one of them; "
                f"got {asked!r}"
            )
        chosen.update(found)
    return [label for label in PROPOSITIONS if label in chosen]


def prove(proposition: Certified, inputs: Inputs) -> Certificate:
    """Prove one instance.

    Raises
    ------
    NotProved
        If the proof does not come about.
    ValueError
        For bad inputs.
    """
    files.canonical("inputs", dict(inputs))
    if set(inputs) != set(proposition.keys):
        raise ValueError(f"inputs: expected {', '.join(proposition.keys)}, got {', '.join(inputs)}")
    witness = proposition.prepare(inputs)
    return files.of(proposition, inputs, witness, proposition.prove(Prover(), inputs, witness))


def certify(labels: Sequence[str] | None = None) -> Iterator[Attempt]:
    """Prove the default instances of the propositions of exactly these labels, one by one."""
    for label in PROPOSITIONS if labels is None else labels:
        proposition = PROPOSITIONS[label]
        for number, inputs in enumerate(proposition.instances):
            started = time.perf_counter()
            try:
                found: Certificate | None = prove(proposition, inputs)
                verdict, message = CERTIFIED, found.sentence  # type: ignore[union-attr]
            except (NotProved, ValueError) as error:
                found, verdict, message = None, INCONCLUSIVE, str(error)
            seconds = time.perf_counter() - started
            yield Attempt(label, number, verdict, message, found, seconds)
