"""What the reduction of a last affine layer saves.

    OPENBLAS_NUM_THREADS=1 python benchmarks/last_layer.py [--against PATH]

Tanh networks d-32-D with Gaussian noise and data drawn from them. Each case is computed in turn
with the reduction, with a decoder that hides its last layer and, with `--against`, by another
checkout of this library, in a process of its own. Seconds are those of the processor, the least of
some rounds. A line gives them, the ratios of the other roads, how far the values differ relative to
the stated errors, the ratio of these errors, and whether all data have the same status.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vaetheory import LatentModel, decoders, likelihoods, log_evidence, stationary_posterior

HIDDEN = 32
FUNCTIONS = {"log_evidence": log_evidence, "stationary_posterior": stationary_posterior}


@dataclass(frozen=True)
class Case:
    """A function, a network d-32-D, the scale of its noise, and how many data."""

    function: str
    d: int
    size: int
    scale: float
    count: int

    @property
    def name(self) -> str:
        """Short name."""
        return f"{self.function} {self.d}-{HIDDEN}-{self.size} s{self.scale:g} N{self.count}"

    def draw(self, *, hide: bool) -> tuple[LatentModel, np.ndarray]:
        """The model and its data."""
        rng = np.random.default_rng(0)
        weights = [
            rng.normal(size=(HIDDEN, self.d)),
            rng.normal(size=(self.size, HIDDEN)) / np.sqrt(HIDDEN),
        ]
        network = decoders.TanhNetwork(weights, [rng.normal(size=len(w)) / 2 for w in weights])
        X = network(rng.normal(size=(self.count, self.d)))
        X = X + self.scale * rng.normal(size=X.shape)
        decoder = Hiding(network) if hide else network
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.scale), self.d), X

    def run(self, *, hide: bool = False) -> dict[str, Any]:
        """CPU seconds, values, errors and statuses."""
        model, X = self.draw(hide=hide)
        before = time.process_time()
        found = FUNCTIONS[self.function](model, X)
        seconds = time.process_time() - before
        return {
            "seconds": seconds,
            "value": found.value.tolist(),
            "error": found.error.tolist(),
            "status": found.status.tolist(),
        }


class Hiding(decoders.Decoder):
    """A decoder that does not say that its last layer is affine."""

    def __init__(self, inner: decoders.Decoder) -> None:
        self.inner = inner

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return self.inner(z)

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        return self.inner.jacobian(z)

    def hessian(self, z: np.ndarray) -> np.ndarray:
        return self.inner.hessian(z)

    def weighted_hessian(self, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return self.inner.weighted_hessian(z, weights)


CASES = (
    *(
        Case("log_evidence", d, size, scale, count)
        for d, size, count in ((1, 784, 300), (2, 784, 10), (3, 784, 1), (1, 64, 300), (2, 64, 30))
        for scale in (0.25, 1.0)
    ),
    Case("log_evidence", 2, 8, 0.25, 30),
    *(
        Case("stationary_posterior", d, size, scale, count)
        for d, size, count in ((1, 784, 200), (2, 784, 10), (1, 64, 1000), (2, 64, 30), (2, 8, 30))
        for scale in (0.25, 1.0, 4.0)
    ),
)


class Process:
    """Another checkout of the library, which computes cases one by one."""

    def __init__(self, path: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--serve"],
            env={**os.environ, "PYTHONPATH": os.path.abspath(path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, case: Case) -> dict[str, Any]:
        """As `Case.run`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(case)) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def serve() -> None:
    """Compute the cases on standard input."""
    for line in sys.stdin:
        print(json.dumps(Case(**json.loads(line)).run()), flush=True)


def compared(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The difference of values relative to the errors of both, and whether statuses are equal."""
    value, error = (np.array(other[k]) for k in ("value", "error"))
    off = np.abs(np.array(one["value"]) - value) / (np.array(one["error"]) + error)
    same = "same" if one["status"] == other["status"] else "OTHER"
    wider = np.median(np.array(one["error"]) / error)
    return f"(off {off.max():.2f}, errors x{wider:.2f}, {same} statuses)"


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", help="path of another checkout")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only cases whose names contain this")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    roads = {"reduced": Case.run, "hidden": lambda case: case.run(hide=True)}
    if options.against:
        roads["other"] = Process(options.against).run
    for case in CASES:
        if options.only not in case.name:
            continue
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in roads}
        for _ in range(options.rounds):
            for name, road in roads.items():
                found[name].append(road(case))
        least = {name: min(r["seconds"] for r in runs) for name, runs in found.items()}
        print(f"{case.name:44s} {least['reduced']:.3f} s", end="")
        for name in list(roads)[1:]:
            ratio = least[name] / least["reduced"]
            print(f"  {name} x{ratio:.1f} {compared(found['reduced'][0], found[name][0])}", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
