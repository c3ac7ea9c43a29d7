"""What an evidence costs through the bridge to JAX, and of the same `TanhNetwork`.

    OPENBLAS_NUM_THREADS=1 python benchmarks/jax_bridge.py

Both run in turn in one process on the same cases as `benchmarks/torch_bridge.py`; seconds are those
of the processor, the least of some rounds. What JAX compiles is compiled in the first round, whose
additional seconds are printed as well. Values must be the same to 1e-12 nats, from the same number
of evaluations. Needs JAX (extra `jax`).
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory.jax import JaxDecoder


@dataclass(frozen=True)
class Case:
    """A network d-H-H-D, the scale of its Gaussian, and how many data."""

    d: int
    hidden: int
    size: int
    scale: float
    count: int

    @property
    def name(self) -> str:
        """Short name."""
        return f"{self.d}-{self.hidden}-{self.hidden}-{self.size} s{self.scale:g} N{self.count}"

    def build(self) -> tuple[dict[str, LatentModel], np.ndarray, float]:
        """The same model twice, data drawn from it, and what building it by JAX costs."""
        rng = np.random.default_rng(0)
        widths = (self.d, self.hidden, self.hidden, self.size)
        weights = [
            rng.normal(size=(b, a)) / np.sqrt(a) * (1.5 if a != self.hidden else 1.0)
            for a, b in itertools.pairwise(widths)
        ]
        biases = [rng.normal(size=len(w)) / 2 for w in weights]
        gaussian = likelihoods.Gaussian(scale=self.scale)
        own = LatentModel(decoders.TanhNetwork(weights, biases), gaussian, self.d)
        before = time.process_time()
        other = LatentModel(JaxDecoder(decoded, [weights, biases]), gaussian, self.d)
        seconds = time.process_time() - before
        z = rng.normal(size=(self.count, self.d))
        X = own.decode(z) + self.scale * rng.normal(size=(self.count, self.size))
        return {"own": own, "jax": other}, X, seconds


def decoded(params: Any, z: jax.Array) -> jax.Array:
    """The network, written with `jax.numpy`."""
    weights, biases = params
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        z = jnp.tanh(z @ w.T + b)
    return z @ weights[-1].T + biases[-1]


CASES = (
    Case(1, 32, 6, 0.1, 60),
    Case(2, 32, 6, 0.1, 30),
    Case(2, 64, 64, 0.1, 20),
    Case(2, 64, 784, 0.25, 8),
    Case(3, 32, 64, 0.3, 2),
)


def main() -> None:
    """Print a line a case: CPU seconds, their ratio, and how far the values differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for case in CASES:
        models, X, build = case.build()
        seconds: dict[str, list[float]] = {name: [] for name in models}
        found = {}
        for _ in range(rounds):
            for name, model in models.items():
                before = time.process_time()
                found[name] = log_evidence(model, X)
                seconds[name].append(time.process_time() - before)
        least = {name: min(values) for name, values in seconds.items()}
        off = np.abs(found["own"].value - found["jax"].value).max()
        same = "same" if found["own"].nodes == found["jax"].nodes else "OTHER"
        print(
            f"{case.name:24s} own {least['own']:.3f} s  jax {least['jax'] / least['own']:.2f} "
            f"({same} evaluations, values to {off:.0e})  compilation "
            f"{build + seconds['jax'][0] - least['jax']:.1f} s  "
            f"{found['own'].nodes / case.count:.0f} evaluations a datum",
            flush=True,
        )


if __name__ == "__main__":
    main()
