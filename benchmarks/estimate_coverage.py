"""Whether the stated errors of `evidence_estimate` cover, on models drawn by a seed.

    OPENBLAS_NUM_THREADS=1 python benchmarks/estimate_coverage.py FILE [--seed N] [--dims 8,16]
        [--kinds smooth,folds] [--data N] [--first-mode] [--minutes M] [--table]

Each model is a product of blocks of one or two latents behind a random rotation, whose evidence
quadrature knows. The blocks are drawn anew from the seed: smooth ones, ones with narrow modes far
from the first, folds, rings and networks with straight pieces. FILE receives one line of JSON for
each datum; a run that was interrupted goes on from there, and `--table` counts what is in it. With
`--first-mode` the proposals have no mode but the first one that was found: what else there is, only
the annealed particles can find, or tell.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from vaetheory import decoders, likelihoods
from vaetheory._sampling import estimation
from vaetheory._sampling.mode_search import Modes
from vaetheory._sampling.target import Target
from vaetheory.bounds import evidence_estimate, simulate
from vaetheory.bounds.bracket import ESTIMATED
from vaetheory.checking.block_products import BlockModel

#: A scale that a block of learned scales has on the average.
SCALE = 0.15
#: A mode that is missing with more than this share of the posterior should be told of.
MISSING = 0.1


class Case(NamedTuple):
    """One model of the sweep."""

    kind: str
    dim: int
    family: str
    seed: int

    @property
    def name(self) -> str:
        """Its key in the file."""
        return f"{self.kind} {self.dim} {self.family} {self.seed}"


def smooth(r: np.random.Generator, family: str) -> decoders.Decoder:
    """Two latents, a network of tanh units that is nearly straight."""
    return network(r, family, 0.5)


def wild(r: np.random.Generator, family: str) -> decoders.Decoder:
    """Two latents, a network of tanh units that folds in places."""
    return network(r, family, 1.2)


def network(r: np.random.Generator, family: str, size: float) -> decoders.Decoder:
    """A network of tanh units with weights of a size."""
    first, last = size * r.normal(size=(6, 2)), r.normal(size=(4, 6)) / (2 * size)
    weights, biases = [first, with_scales(last, family)], [0.4 * r.normal(size=6), offsets(family)]
    return decoders.TanhNetwork(weights, biases)


def with_scales(last: np.ndarray, family: str) -> np.ndarray:
    """The last layer of a block, with more outputs where the scales are learned."""
    if family == "Bernoulli":
        return 3 * last
    return np.concatenate([last, 0.15 * last[::-1]]) if family == "learned" else last


def offsets(family: str) -> np.ndarray:
    """The last bias."""
    return np.repeat([0.0, np.log(SCALE)], 4) if family == "learned" else np.zeros(4)


def polynomial(powers: list[list[int]], columns: np.ndarray, family: str) -> decoders.Decoder:
    """A polynomial block; its learned scales grow with the squares of its latents."""
    if family == "Bernoulli":
        columns = 2 * np.concatenate([columns, -columns, 0.5 * columns], axis=1)
    if family == "learned":
        d = len(powers[0])
        powers = [*powers, [0] * d, *(2 * np.eye(d, dtype=int)).tolist()]
        k = columns.shape[1]
        more = np.zeros((len(powers), k))
        more[-d - 1], more[-d:] = np.log(SCALE), 0.03
        columns = np.concatenate([columns, np.zeros((d + 1, k))])
        columns = np.concatenate([columns, more], axis=1)
    return decoders.Polynomial(powers, columns)


def hidden(r: np.random.Generator, family: str) -> decoders.Decoder:
    """One latent, whose cubic takes its values near the origin again, steeply and far out."""
    a = r.choice([-1, 1]) * r.uniform(1.6, 2.8)
    b = (a + np.sign(a) * r.uniform(0.3, 0.8)) if r.random() < 0.5 else -a * r.uniform(0.8, 1.2)
    slope = r.uniform(0.6, 1.5)
    cubic = slope * np.array([1.0, -(a + b) / (a * b), 1 / (a * b)])
    return polynomial([[1], [2], [3]], np.stack([cubic, [r.uniform(0, 0.1), 0, 0]], axis=1), family)


def fold(r: np.random.Generator, family: str) -> decoders.Decoder:
    """One latent that is nearly squared."""
    lean = r.uniform(0.0, 0.15)
    return polynomial([[1], [2]], np.array([[lean, 0.0], [r.uniform(0.6, 1.4), 0.3]]), family)


def ring(r: np.random.Generator, family: str) -> decoders.Decoder:
    """Two latents, of which the distance from the origin is seen, and a little of one of them."""
    lean, oval = r.uniform(0.02, 0.3), r.uniform(0.7, 1.3)
    powers = [[2, 0], [0, 2], [1, 0]]
    return polynomial(powers, np.array([[0.7, 0], [0.7 * oval, 0], [0, lean]]), family)


def pieces(r: np.random.Generator, family: str) -> decoders.Decoder:
    """Two latents, a network with straight pieces.

    With learned scales it is smooth: there kinks cost quadrature too much.
    """
    if family == "learned":
        return wild(r, family)
    first, last = r.normal(size=(5, 2)), 0.6 * r.normal(size=(4, 5))
    weights, biases = [first, with_scales(last, family)], [r.normal(size=5), offsets(family)]
    return decoders.PiecewiseLinear.network(weights, biases, "hard_tanh")


Maker = Callable[[np.random.Generator, str], decoders.Decoder]
#: Kinds of models: blocks that are there once, and the one that fills the rest. The place of a kind
#: is part of its seed.
KINDS: dict[str, tuple[tuple[Maker, ...], Maker]] = {
    "smooth": ((), smooth),
    "hidden": ((hidden, hidden), smooth),
    "folds": ((fold, fold), smooth),
    "ring": ((ring,), smooth),
    "pieces": ((pieces,), smooth),
    "all pieces": ((), pieces),
    "wild": ((), wild),
    "mixed": ((hidden, fold, ring, pieces), smooth),
    "five folds": ((fold,) * 5, smooth),
}
FAMILIES: dict[str, likelihoods.Likelihood] = {
    "0.03": likelihoods.Gaussian(scale=0.03),
    "0.1": likelihoods.Gaussian(scale=0.1),
    "0.3": likelihoods.Gaussian(scale=0.3),
    "Bernoulli": likelihoods.Bernoulli(),
    "learned": likelihoods.GaussianMeanScale(least_scale=0.01),
}


def build(case: Case) -> BlockModel:
    """The model of a case."""
    place = [*KINDS].index(case.kind), [*FAMILIES].index(case.family)
    r = np.random.default_rng([case.seed, case.dim, *place])
    first, rest = KINDS[case.kind]
    blocks = [make(r, case.family) for make in first]
    free = case.dim - sum(int(b.latent_dim) for b in blocks)  # type: ignore[attr-defined]
    if free < 0:
        raise ValueError(f"dims: expected room for the blocks of {case.kind}, got {case.dim}")
    blocks += [rest(r, case.family) for _ in range(free // 2)]
    blocks += [fold(r, case.family)] * (free % 2)
    return BlockModel.of(blocks, FAMILIES[case.family], seed=case.seed + 1)


@contextmanager
def first_mode_only() -> Iterator[None]:
    """Proposals have one mode, and there are no second tries."""
    search = estimation.modes_near

    def first(target: Target, scout: estimation.Scout) -> Modes:
        zero = np.zeros((len(target), 1), dtype=int)
        return search(target, scout).chosen(np.arange(len(target))[:, None], zero)

    with (
        mock.patch.object(estimation, "modes_near", first),
        mock.patch.object(estimation, "_AGAIN", 0),
    ):
        yield


def measured(case: Case, count: int, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A line for each datum of a case."""
    made = build(case)
    X, _ = simulate(made.model, count, seed=case.seed + 2)
    exact = made.log_evidence(X, rtol=1e-6)
    begun = time.process_time()
    found = evidence_estimate(made.model, X, seed=case.seed + 3, **options)
    seconds = time.process_time() - begun
    for i in range(count):
        yield {
            "case": case.name, "datum": i, "kind": case.kind, "dim": case.dim,
            "family": case.family, "truth": exact.value[i], "known": bool(exact.reached[i]),
            "truth error": exact.error[i], "status": str(found.status[i]),
            "value": found.value[i], "error": found.error[i], "lower": found.lower[i],
            **{name: array[i].item() for name, array in found.diagnostics.items()},
            "calls": found.evaluations / count, "seconds": seconds / count,
        }  # fmt: skip


HEADINGS = (
    "data", "estimated", "covered", "one mode", "covered", "with runs", "covered",
    "missing > 10 %", "told", "lower above", "worst off/error", "median off", "median error",
    "calls", "CPU s",
)  # fmt: skip


def table(lines: list[dict[str, Any]], keys: tuple[str, ...]) -> str:
    """Counts of what the file holds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for line in lines:
        if line["known"]:
            groups.setdefault(tuple(line[key] for key in keys), []).append(line)
    rows: list[tuple[Any, ...]] = [(*keys, *HEADINGS)]
    rows.append(("---",) * len(rows[0]))
    for key, some in sorted(groups.items()):
        good = [x for x in some if x["status"] == ESTIMATED]
        off = np.array([abs(x["value"] - x["truth"]) for x in good])
        error = np.array([x["error"] + x["truth error"] for x in good])
        one = np.array([x["modes"] == 1 for x in good], dtype=bool)
        runs = np.array([np.isfinite(x.get("covered", np.nan)) for x in good], dtype=bool)
        missing = [x for x in some if 1 - np.exp(x["estimate"] - x["truth"]) > MISSING]
        silent = sum(x["status"] == ESTIMATED for x in missing)
        above = sum(x["lower"] > x["truth"] + x["truth error"] for x in some)
        middle = [float(np.median(a)) if good else np.nan for a in (off, error)]
        means = [float(np.mean([x[name] for x in some])) for name in ("calls", "seconds")]
        counts = [len(some), len(good), (off <= error).sum(), one.sum(), (off <= error)[one].sum()]
        counts += [runs.sum(), (off <= error)[runs].sum()]
        counts += [len(missing), len(missing) - silent, above]
        numbers = [np.max(off / error, initial=0), *middle, *means]
        rows.append((*key, *counts, *(f"{x:.2g}" for x in numbers)))
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def main() -> None:
    """Run the cases that are not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="lines of JSON, one a datum")
    parser.add_argument("--seed", type=int, default=1000, help="of all models and data (1000)")
    parser.add_argument("--rounds", type=int, default=1, help="models of each sort (1)")
    parser.add_argument("--dims", default="6,8,12,16", help="numbers of latents (6,8,12,16)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of models (all)")
    parser.add_argument("--families", default=",".join(FAMILIES), help="likelihoods (all)")
    parser.add_argument("--data", type=int, default=4, help="data of each model (4)")
    parser.add_argument("--first-mode", action="store_true", help="proposals with one mode")
    parser.add_argument("--particles", type=int, default=512, help="of `evidence_estimate` (512)")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no model after these")
    parser.add_argument("--table", action="store_true", help="only print the counts")
    options = parser.parse_args()
    begun = time.monotonic()
    if not options.table:
        done = {line["case"] for line in read(options.file)}
        cases = [
            Case(kind, int(dim), family, options.seed + 10 * i)
            for i in range(options.rounds)
            for dim in options.dims.split(",")
            for family in options.families.split(",")
            for kind in options.kinds.split(",")
        ]
        for case in cases:
            if case.name in done or time.monotonic() - begun > 60 * options.minutes:
                continue
            some: AbstractContextManager[None] = nullcontext()
            if options.first_mode:
                some = first_mode_only()
            with some:
                lines = [*measured(case, options.data, {"particles": options.particles})]
            with options.file.open("a", encoding="utf-8") as stream:
                stream.write("".join(json.dumps(line) + "\n" for line in lines))
    lines = read(options.file)
    for keys in (("dim",), ("kind",), ("family",), ("kind", "dim")):
        print(table(lines, keys), end="\n\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that may not be there yet."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
