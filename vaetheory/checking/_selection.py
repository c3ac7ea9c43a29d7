"""Which propositions are meant: labels of claims and propositions, and numbers of claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vaetheory._validation import known_label, require
from vaetheory.checking.claim import Claim, Proposition


def select(
    labels: str | Iterable[str] | None, claims: Sequence[Claim]
) -> list[tuple[Claim, Proposition]]:
    """The propositions that `labels` name, each once, in the order in which they are named.

    Parameters
    ----------
    labels : str or iterable of str, optional
        Claims ("stationary-evidence", "3" or "claim-3") and propositions ("3f"); everything, in
        the order of the registry, by default.
    claims : sequence of Claim
        The registry.

    Raises
    ------
    ValueError
        If a label is neither a claim nor a proposition, an entry of `claims` is no `Claim`, or two
        claims or two propositions have the same label.

    Examples
    --------
    >>> select("3", [Claim("laws", "Laws", "nowhere", number=3)])
    []
    """
    members = _members(claims)
    if labels is None:
        return [pair for claim in claims for pair in members[claim.label]]
    require("labels", labels, Iterable, "a label or several labels")
    asked = canonical([labels] if isinstance(labels, str) else labels, claims)
    for label in asked:
        known_label(label, members)
    chosen = {p.label: (claim, p) for label in asked for claim, p in members[label]}
    return list(chosen.values())


def canonical(labels: Iterable[str], claims: Sequence[Claim]) -> list[str]:
    """The labels, with the label of a claim in place of its number.

    Examples
    --------
    >>> canonical(["3", "claim-3", "3f"], [Claim("laws", "Laws", "nowhere", number=3)])
    ['laws', 'laws', '3f']
    """
    numbered = {str(c.number): c.label for c in claims if c.number is not None}
    names = {f"{start}{number}": c for number, c in numbered.items() for start in ("", "claim-")}
    taken = {label for claim in claims for label in (claim.label, *_labels(claim))}
    return [label if label in taken else names.get(label, label) for label in labels]


def _labels(claim: Claim) -> list[str]:
    return [p.label for p in claim.propositions]


def _members(claims: Sequence[Claim]) -> dict[str, list[tuple[Claim, Proposition]]]:
    """The propositions that each label names."""
    require("claims", claims, Iterable, "a sequence of claims")
    members: dict[str, list[tuple[Claim, Proposition]]] = {}

    def add(label: str, pairs: list[tuple[Claim, Proposition]]) -> None:
        if label in members:
            raise ValueError(f"claims: expected different labels, got {label!r:.80} twice")
        members[label] = pairs

    for claim in claims:
        require("claims", claim, Claim, "objects of class Claim")
        add(claim.label, [(claim, p) for p in claim.propositions])
    for claim in claims:
        for p in claim.propositions:
            # A claim and its only proposition may have the same label.
            if p.label != claim.label or len(claim.propositions) > 1:
                add(p.label, [(claim, p)])
    return members
