"""Mutation tests: change one formula of the library at a time and see whether `verify` refutes it.

    python benchmarks/mutants.py --jobs 2
    python benchmarks/mutants.py --only "elbo" --everything

The list is `mutants.json`. A test requires that each old text occurs exactly once in its file, so a
change of such a line must be made in the list as well. Each mutant is put into a copy of the
package, never into the package itself, and the propositions that depend on the formula are run on
it with the instances of the quick profile. A mutant is killed when one of them is refuted. Controls
are left out because they test the check, not the library. Where no proposition depends on a formula
the list names tests, and the mutant is killed when one of them fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vaetheory"
LIST = Path(__file__).with_name("mutants.json")
#: The most seconds of one mutant, which also stops a mutant that loops forever.
_PATIENCE = 1200

_CHILD = """
import dataclasses, json, sys, time
from vaetheory import CLAIMS
from vaetheory.checking.runner import run_proposition
labels, stop = json.loads(sys.argv[1])
for claim in CLAIMS:
    for p in claim.propositions:
        if labels and p.label not in labels:
            continue
        begun = time.process_time()
        found = run_proposition(dataclasses.replace(p, controls=()), shrink=False)
        seconds = time.process_time() - begun
        print(json.dumps([p.label, found.verdict, found.message, seconds]), flush=True)
        if stop and found.verdict == "refuted":
            sys.exit()
"""


_TESTS = """
import sys, time
import pytest
code = pytest.main(sys.argv[1:])
print("CPU", time.process_time(), flush=True)
sys.exit(code)
"""


@dataclass(frozen=True)
class Mutant:
    """A formula with one change.

    Attributes
    ----------
    name : str
        What is wrong, in a few words.
    file : str
        Within the package.
    old, new : str
        The text, which stands once in the file, and what takes its place.
    refuted_by : tuple of str
        Propositions of which one at least must be refuted.
    failed_by : tuple of str
        Tests, as pytest names them, of which one at least must fail, where no proposition depends
        on the formula.
    survives : str
        Why nothing refutes it, where that is so.
    """

    name: str
    file: str
    old: str
    new: str
    refuted_by: tuple[str, ...] = ()
    failed_by: tuple[str, ...] = ()
    survives: str = ""


def read() -> list[Mutant]:
    """The list."""
    rows = json.loads(LIST.read_text(encoding="utf-8"))
    lists = ("refuted_by", "failed_by")
    return [Mutant(**{**row, **{k: tuple(row.get(k, ())) for k in lists}}) for row in rows]


@dataclass(frozen=True)
class Outcome:
    """The result of a mutant: what noticed it, undecided propositions, and CPU seconds."""

    mutant: Mutant
    refuted: tuple[str, ...]
    undecided: tuple[str, ...]
    seconds: float
    failure: str

    @property
    def killed(self) -> bool:
        """Whether a proposition was refuted or a test failed; a crash is not enough."""
        return bool(self.refuted)


def mutated(mutant: Mutant, folder: Path) -> Path:
    """Copy the package into a folder, with the mutant in it."""
    copy = folder / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    count = text.count(mutant.old)
    if count != 1:
        raise ValueError(f"{mutant.name}: expected its text once in {mutant.file}, found {count}")
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return copy


def run(mutant: Mutant, *, labels: Sequence[str] | None = None, stop: bool = True) -> Outcome:
    """Run the propositions that should refute a mutant, or those of `labels` (all if empty).

    Parameters
    ----------
    mutant : Mutant
    labels : sequence of str, optional
        By default `mutant.refuted_by`.
    stop : bool
        Whether the first refutation is enough.
    """
    if labels is None and mutant.survives:
        return Outcome(mutant, (), (), 0.0, "")
    if labels is None and not mutant.refuted_by:
        return run_tests(mutant)
    chosen = list(mutant.refuted_by if labels is None else labels)
    with tempfile.TemporaryDirectory() as folder:
        mutated(mutant, Path(folder))
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        output, failure = "", ""
        try:
            done = subprocess.run(
                [sys.executable, "-c", _CHILD, json.dumps([chosen, stop])],
                cwd=folder, env={**os.environ, **threads, "PYTHONPATH": folder},
                capture_output=True, text=True, timeout=_PATIENCE, check=False,
            )  # fmt: skip
            output = done.stdout
            if done.returncode:
                failure = (done.stderr.strip().splitlines() or ["it ended"])[-1]
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode()
            failure = f"no answer in {_PATIENCE} seconds"
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    # Without controls a proposition that passes is not confirmed, but its message says so.
    undecided = [r for r in rows if r[1] == "inconclusive" and "no controls" not in r[2]]
    refuted = tuple(row[0] for row in rows if row[1] == "refuted")
    labels_of = tuple(row[0] for row in undecided)
    return Outcome(mutant, refuted, labels_of, sum(row[3] for row in rows), failure)


def run_tests(mutant: Mutant) -> Outcome:
    """Run the tests that should notice a mutant, in a copy of package and tests."""
    with tempfile.TemporaryDirectory() as folder:
        mutated(mutant, Path(folder))
        shutil.copytree(
            ROOT / "tests", Path(folder, "tests"), ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("conftest.py", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        options = ("-x", "-q", "--tb=no", "-rf", "-p", "no:cacheprovider")
        try:
            done = subprocess.run(
                [sys.executable, "-c", _TESTS, *options, *mutant.failed_by],
                cwd=folder, env={**os.environ, **threads, "PYTHONPATH": folder},
                capture_output=True, text=True, timeout=_PATIENCE, check=False,
            )  # fmt: skip
            output, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired:
            output, code = f"no answer in {_PATIENCE} seconds", -1
    rows = [row.split(maxsplit=2) for row in output.splitlines()]
    failed = [row[1] for row in rows if row[:1] == ["FAILED"]]
    seconds = sum(float(row[1]) for row in rows if row[:1] == ["CPU"])
    said = [row for row in output.splitlines() if row and not row.startswith("CPU ")]
    last = said[-1] if said else "it ended"
    # Status 1 says that tests ran, and some failed.
    return Outcome(mutant, tuple(failed) if code == 1 else (), (), seconds, "" if failed else last)


def table(outcomes: Iterator[Outcome]) -> Iterator[str]:
    """A line for each mutant with its result."""
    for outcome in outcomes:
        if outcome.killed:
            result = f"killed by {', '.join(outcome.refuted)}"
        elif outcome.mutant.survives:
            result = f"survives: {outcome.mutant.survives}"
        else:
            noticed = (*outcome.mutant.refuted_by, *outcome.mutant.failed_by)
            result = "SURVIVED " + (outcome.failure or ", ".join(noticed))
        if outcome.undecided:
            result += f" (no verdict: {', '.join(outcome.undecided)})"
        yield f"{outcome.seconds:7.1f} s  {outcome.mutant.name:58s} {result}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants; the exit status is the number of unexpected survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name or file of mutants")
    parser.add_argument(
        "--labels", nargs="+", help="propositions to run instead of the mutant's own"
    )
    parser.add_argument("--everything", action="store_true", help="run all propositions to the end")
    parser.add_argument("--jobs", type=int, default=1, help="number of mutants at a time")
    options = parser.parse_args(arguments)
    chosen = [m for m in read() if options.only in f"{m.name} {m.file}"]
    labels = [] if options.everything else options.labels
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for found in pool.map(lambda m: run(m, labels=labels, stop=not options.everything), chosen):
            outcomes.append(found)
            print(*table(iter([found])), flush=True)
    survivors = [f for f in outcomes if not f.killed and not f.mutant.survives]
    seconds = sum(f.seconds for f in outcomes)
    print(f"{len(outcomes)} mutants, {len(survivors)} survived, {seconds:.0f} CPU seconds")
    return len(survivors)


if __name__ == "__main__":
    sys.exit(main())
