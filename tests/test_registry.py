"""What every entry of the registry promises."""

import re

import pytest

from vaetheory import CLAIMS
from vaetheory.checking.claim import KINDS

PROPOSITIONS = {p.label: p for c in CLAIMS for p in c.propositions}
ORDER = list(PROPOSITIONS)


def test_labels_are_unique_across_claims():
    count = sum(len(c.propositions) for c in CLAIMS)
    assert len(PROPOSITIONS) == count, "two propositions share a label"
    assert not set(PROPOSITIONS) & {c.label for c in CLAIMS}, "a proposition is named as a claim"


def test_every_proposition_of_the_theory_is_there():
    groups = ("abc", "abcde", "abcdefgh", "abcde", "abcdefg", "abcdef", "abcde", "abcdefg")
    letters = dict(enumerate(groups, 1)) | {9: "abc", 10: "abcdef", 12: "abcdefg"}
    letters |= dict.fromkeys((13, 16, 17), "abcde") | {14: "abcdef", 15: "abcd", 18: "abcd"}
    wanted = [f"{number}{x}" for number, group in letters.items() for x in group]
    missing = [label for label in wanted if label not in PROPOSITIONS]
    assert not missing, f"not in the registry: {missing}"


@pytest.mark.parametrize("label", ORDER)
def test_proposition_is_complete(label):
    p = PROPOSITIONS[label]
    assert p.kind in KINDS, f"{label}: unknown kind {p.kind}"
    assert len(p.controls) >= 2, f"{label}: fewer than two wrong versions"
    assert p.hypotheses, f"{label}: no hypotheses named"
    assert p.title, f"{label}: no title"
    assert p.statement, f"{label}: no statement"
    assert 0 < p.resolution < 0.1, f"{label}: a resolution of {p.resolution} decides nothing"


def number(label):
    """Of the claim that a proposition belongs to: 10 for 10b, not 1."""
    return int(re.match(r"\d+", label)[0])


def place(label):
    """Where a proposition stands in the theory: by its claim's number, then by the registry."""
    return number(label), ORDER.index(label)


def test_propositions_stand_in_the_order_of_their_claims():
    # The instrument, which is number 0, stands last: it is no claim of the theory.
    numbers = [number(label) or float("inf") for label in ORDER]
    assert numbers == sorted(numbers), f"the registry's order is {ORDER}"
    assert place("2a") < place("10b"), "labels are compared as text"
    assert place("2a") < place("2b") < place("2-digits"), "letters are not in order"
    for claim in CLAIMS:
        found = {number(p.label) for p in claim.propositions}
        assert found == {claim.number}, f"claim {claim.number} has propositions of claims {found}"


@pytest.mark.parametrize("label", ORDER)
def test_uses_point_at_what_came_before(label):
    for used in PROPOSITIONS[label].uses:
        assert used in PROPOSITIONS, f"{label} builds on {used}, which does not exist"
        assert place(used) < place(label), f"{label} builds on {used}, which comes later"


@pytest.mark.parametrize("label", ORDER)
def test_controls_are_the_check_with_something_changed(label):
    p = PROPOSITIONS[label]
    for control in p.controls:
        assert control.check is not p.check, f"{label}: {control.name} is the proposition itself"
