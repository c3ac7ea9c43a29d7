"""What an evidence costs through the bridge to JAX, and of the same `TanhNetwork`.

    OPENBLAS_NUM_THREADS=1 python benchmarks/jax_bridge.py

Both run in turn in one process on the same cases as `benchmarks/torch_bridge.py`; seconds are those
of the processor, the least of some rounds. What JAX compiles is compiled in the first round, whose
additional seconds are printed as well. Values must be the same to 1e-12 nats, from the same number
of evaluations. Needs JAX (extra `jax`).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
from tanh_networks import CASES, agreement, measure

from vaetheory import LatentModel
from vaetheory.jax import JaxDecoder


def decoded(params: Any, z: jax.Array) -> jax.Array:
    """The network, written with `jax.numpy`."""
    weights, biases = params
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        z = jnp.tanh(z @ w.T + b)
    return z @ weights[-1].T + biases[-1]


def main() -> None:
    """Print a line a case: CPU seconds, their ratio, and how far the values differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for case in CASES:
        weights, biases, own, X = case.draw()
        before = time.process_time()
        other = LatentModel(JaxDecoder(decoded, [weights, biases]), case.likelihood, case.d)
        build = time.process_time() - before
        seconds, evidences = measure({"own": own, "jax": other}, X, rounds)
        least = {name: min(values) for name, values in seconds.items()}
        print(
            f"{case.name:24s} own {least['own']:.3f} s  jax {least['jax'] / least['own']:.2f} "
            f"{agreement(evidences['own'], evidences['jax'])}  compilation "
            f"{build + seconds['jax'][0] - least['jax']:.1f} s  "
            f"{evidences['own'].nodes / case.count:.0f} evaluations a datum",
            flush=True,
        )


if __name__ == "__main__":
    main()
