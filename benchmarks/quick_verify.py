"""CPU of the quick profile against another checkout, by proposition and claim; ratios in one run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/quick_verify.py CHECKOUT [LABEL ...] [--rounds 1]

    git worktree add ../before 49cc395 && python benchmarks/quick_verify.py ../before

Each checkout has one process, in which the propositions run one after the other, first in one
process and then in the other. Claim 0 checks the instrument and is left out unless it is named.
`same`: verdict, instances, worst instance, residual, bound and controls agree to the last digit.

A proposition that the other checkout does not have is counted only in the ratios "with added ones".
The last three lines are relative to one and the same CPU, of all that the other checkout has: that
of the propositions that both have, of the claims that both have, and of all claims that ran.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WORKER = """
import json, sys, time
from vaetheory import CLAIMS, verify
registry = [
    [c.label, getattr(c, "number", None), [p.label for p in c.propositions]] for c in CLAIMS
]
print(json.dumps(registry), flush=True)
for line in sys.stdin:
    before = time.process_time()
    (result,) = verify(json.loads(line), seed=0)
    seconds = time.process_time() - before
    print(json.dumps({**result.as_dict(), "seconds": seconds}), flush=True)
"""

_KEPT = ("verdict", "instances", "worst_instance", "residual", "bound", "terms", "controls")


@dataclass
class Checkout:
    """A process in which one checkout runs propositions."""

    process: subprocess.Popen[str]
    registry: list[Any]

    def run(self, label: str) -> dict[str, Any]:
        """The result of one proposition, with its CPU seconds."""
        self._write(json.dumps(label))
        return self._read()

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a checkout ended before it answered; its error is above")
        return json.loads(line)


@contextmanager
def opened(path: Path) -> Iterator[Checkout]:
    """Start the process of a checkout, with one BLAS thread, and end it."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": str(path.resolve())}
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env=environment, cwd=path,
    )  # fmt: skip
    try:
        checkout = Checkout(process, [])
        checkout.registry = checkout._read()
        yield checkout
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


@dataclass
class Total:
    """CPU seconds of both checkouts."""

    before: float = 0.0
    after: float = 0.0
    added: float = 0.0
    different: list[str] = field(default_factory=list)

    def row(self, name: str) -> str:
        """One line of the table."""
        ratio = self.after / self.before if self.before else float("nan")
        with_added = (self.after + self.added) / self.before if self.before else float("nan")
        return (
            f"{name:22s} {self.before:8.2f} {self.after:8.2f} {ratio:6.2f}   "
            f"with added ones {with_added:5.2f}"
        )


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Which parts of a result are not the same to the last digit."""
    return [name for name in _KEPT if old[name] != new[name]]


def compare(other: Path, labels: Sequence[str], rounds: int) -> None:
    """Run the propositions in both checkouts in turn and print the ratios."""
    totals: dict[str, Total] = {}
    known_claims, whole = Total(), Total()
    with opened(other) as before, opened(Path(__file__).parents[1]) as after:
        known = {p for _, _, propositions in before.registry for p in propositions}
        claims = {claim for claim, _, _ in before.registry}
        chosen = [
            (claim, p)
            for claim, number, propositions in after.registry
            for p in propositions
            if (p in labels or claim in labels or str(number) in labels if labels else number)
        ]
        print(f"{'':22s} {'before':>8s} {'now':>8s} {'ratio':>6s}")
        for claim, label in chosen:
            total = totals.setdefault(claim, Total())
            old: list[dict[str, Any]] = []
            new: list[dict[str, Any]] = []
            for _ in range(rounds):
                if label in known:
                    old.append(before.run(label))
                new.append(after.run(label))
            spent = sum(r["seconds"] for r in new) / rounds
            if not old:
                for each in (total, whole, *([known_claims] if claim in claims else [])):
                    each.added += spent
                print(f"{label:22s} {'':8s} {spent:8.2f}    added", flush=True)
                continue
            earlier = sum(r["seconds"] for r in old) / rounds
            for each in (total, known_claims, whole):
                each.before += earlier
                each.after += spent
            changed = differences(old[0], new[0])
            if changed:
                whole.different.append(label)
            same = f"other {', '.join(changed)}" if changed else "same"
            if "residual" in changed or "bound" in changed:
                same += "".join(
                    f"; {name} {r['residual']:.2e} of {r['bound']:.2e}"
                    for name, r in (("before", old[0]), ("now", new[0]))
                )
            print(
                f"{label:22s} {earlier:8.2f} {spent:8.2f} {spent / earlier:6.2f}   {same}",
                flush=True,
            )
    print()
    for claim, total in totals.items():
        print(total.row(claim))
    for what, spent in (
        ("the propositions of both", whole.after),
        ("the claims of both", known_claims.after + known_claims.added),
        ("all claims", whole.after + whole.added),
    ):
        ratio = spent / whole.before if whole.before else float("nan")
        print(f"{what:31s} {spent:8.2f} s, {ratio:5.3f} of {whole.before:.2f} s")
    print(f"not the same to the last digit: {', '.join(whole.different) or 'none'}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="the other checkout, of an earlier commit")
    parser.add_argument("labels", nargs="*", help="claims and propositions (the eleven claims)")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    compare(options.checkout, options.labels, options.rounds)


if __name__ == "__main__":
    main()
