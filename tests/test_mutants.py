"""The list of mutants cannot rot, and `verify` still refutes some of them."""

import checkout
import pytest

from vaetheory import CLAIMS

# They are made from the sources beside the tests.
checkout.part("vaetheory")
mutants = checkout.module("benchmarks", "mutants")
MUTANTS = mutants.read()

LABELS = {p.label for c in CLAIMS for p in c.propositions}
#: One of each kind, cheap: an error figure, a formula of a claim, what a family says of itself.
CHEAP = (
    "standard error with ddof 0",
    "Adam without bias correction",
    "von Mises: curvature bound too small",
)


def test_names_are_different():
    names = [m.name for m in MUTANTS]
    assert len(set(names)) == len(names), "two mutants of one name"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_the_text_stands_once_and_someone_should_care(mutant):
    text = (mutants.PACKAGE / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} has it {text.count(mutant.old)} times"
    assert mutant.new != mutant.old, "nothing is changed"
    assert set(mutant.refuted_by) <= LABELS, f"no propositions: {mutant.refuted_by}"
    for test in mutant.failed_by:
        path, _, name = test.partition("::")
        body = (mutants.ROOT / path).read_text(encoding="utf-8")
        assert not name or f"def {name.partition('[')[0]}(" in body, f"no such test: {test}"
    found = [mutant.refuted_by, mutant.failed_by, mutant.survives]
    assert sum(map(bool, found)) == 1, "refuted, failed by tests, or said why not"


@pytest.mark.parametrize("name", CHEAP)
def test_a_mutant_is_killed(name):
    (mutant,) = (m for m in MUTANTS if m.name == name)
    found = mutants.run(mutant)
    assert found.killed, f"survived: {found.failure or found.undecided}"


def test_the_package_is_left_alone_and_survivors_are_counted(capsys):
    before = {p: p.stat().st_mtime_ns for p in mutants.PACKAGE.rglob("*.py")}
    assert mutants.main(["--only", "standard error with ddof 0", "--labels", "0f-penalty"]) == 1
    assert "SURVIVED" in capsys.readouterr().out, "a survivor is not named"
    after = {p: p.stat().st_mtime_ns for p in mutants.PACKAGE.rglob("*.py")}
    assert before == after, "the package itself was touched"
