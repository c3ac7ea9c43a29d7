"""Running proofs: the default instances of all certified propositions, or of named ones."""

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
    """The result of trying to prove one instance.

    Attributes
    ----------
    label, verdict, message : str
        The verdict is certified, with the proved sentence as message, or inconclusive, with the
        reason: a failed proof says nothing about the instance.
    number : int
        The position of the instance in its proposition.
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
    """The labels of the requested certified propositions.

    Parameters
    ----------
    labels : sequence of str or None
        Propositions, with or without a suffix, or claims; None means all of them.
    claims : pairs (claim, proposition), optional
        The pairs of labels in the registry.

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
        matches = [
            p for p in PROPOSITIONS if asked in (p, p.split("-")[0]) or p.split("-")[0] in of_claim
        ]
        if not matches:
            known_label(asked, dict.fromkeys(known))
            raise ValueError(
                f"label: expected one of {', '.join(PROPOSITIONS)}, or a claim with one of them; "
                f"got {asked!r}"
            )
        chosen.update(matches)
    return [label for label in PROPOSITIONS if label in chosen]


def prove(proposition: Certified, inputs: Inputs) -> Certificate:
    """Prove one instance.

    Raises
    ------
    NotProved
        If the proof fails.
    ValueError
        For bad inputs.
    """
    files.canonical("inputs", dict(inputs))
    if set(inputs) != set(proposition.keys):
        raise ValueError(f"inputs: expected {', '.join(proposition.keys)}, got {', '.join(inputs)}")
    witness = proposition.prepare(inputs)
    return files.of(proposition, inputs, witness, proposition.prove(Prover(), inputs, witness))


def certify(labels: Sequence[str] | None = None) -> Iterator[Attempt]:
    """Prove the default instances of the propositions with exactly these labels, one by one."""
    for label in PROPOSITIONS if labels is None else labels:
        proposition = PROPOSITIONS[label]
        for number, inputs in enumerate(proposition.instances):
            started = time.perf_counter()
            try:
                certificate: Certificate | None = prove(proposition, inputs)
                verdict, message = CERTIFIED, certificate.sentence  # type: ignore[union-attr]
            except (NotProved, ValueError) as error:
                certificate, verdict, message = None, INCONCLUSIVE, str(error)
            seconds = time.perf_counter() - started
            yield Attempt(label, number, verdict, message, certificate, seconds)
