"""What an evidence costs whose decoder gives means and scales, and one of a fixed scale.

    OPENBLAS_NUM_THREADS=1 python benchmarks/learned_scales.py

A tanh network d-H-H-2D gives the means and the log scales of `GaussianMeanScale`. It is compared
with the same network's means under `Gaussian(scale)`, where the scale is the geometric mean of the
scales at draws of the prior; the data are those of the first model. Both run in turn in one process
on one thread; seconds are those of the processor, the least of some rounds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from tanh_networks import measure

from vaetheory import LatentModel, decoders, likelihoods


@dataclass(frozen=True)
class Case:
    """A network, the least and the greatest scale that it gives, and how many data."""

    d: int
    hidden: int
    size: int
    low: float
    high: float
    count: int

    @property
    def name(self) -> str:
        """Short name."""
        widths = f"{self.d}-{self.hidden}-{self.hidden}-{self.size}"
        return f"{widths} s {self.low:.3g}..{self.high:g} N{self.count}"

    def draw(self) -> tuple[dict[str, LatentModel], np.ndarray]:
        """The models with learned and with fixed scales, and data drawn from the former."""
        rng = np.random.default_rng(0)
        inner = [
            1.5 * rng.normal(size=(self.hidden, self.d)) / np.sqrt(self.d),
            rng.normal(size=(self.hidden, self.hidden)) / np.sqrt(self.hidden),
        ]
        biases = [rng.normal(size=self.hidden) / 2 for _ in range(2)]
        means = rng.normal(size=(self.size, self.hidden)) / np.sqrt(self.hidden)
        # A row of tanh units is at most the sum of its weights: the scales stay between the two.
        rows = rng.normal(size=(self.size, self.hidden))
        rows *= 0.5 * np.log(self.high / self.low) / np.abs(rows).sum(axis=1, keepdims=True)
        shift = rng.normal(size=self.size) / 2
        middle = np.full(self.size, 0.5 * np.log(self.low * self.high))
        whole = decoders.TanhNetwork(
            [*inner, np.concatenate([means, rows])], [*biases, np.r_[shift, middle]]
        )
        z = rng.normal(size=(max(self.count, 256), self.d))
        mean, log_scale = np.split(whole(z), 2, axis=-1)
        X = (mean + np.exp(log_scale) * rng.normal(size=mean.shape))[: self.count]
        learned = likelihoods.GaussianMeanScale(least_scale=self.low)
        fixed = likelihoods.Gaussian(scale=float(np.exp(log_scale.mean())))
        models = {
            "learned": LatentModel(whole, learned, self.d),
            "fixed": LatentModel(
                decoders.TanhNetwork([*inner, means], [*biases, shift]), fixed, self.d
            ),
        }
        return models, X


CASES = (
    Case(2, 32, 6, 0.2, 0.6, 10),
    Case(2, 32, 6, 0.05, 0.5, 10),
    Case(2, 32, 6, 0.02, 0.5, 10),
    Case(2, 64, 784, float(np.exp(-2.5)), 0.5, 1),
    Case(2, 64, 784, float(np.exp(-2.5)), 0.5, 8),
    Case(2, 64, 784, float(np.exp(-2.5)), 0.5, 32),
    Case(1, 32, 6, 0.05, 0.5, 60),
)


def main() -> None:
    """Print a line a case: CPU seconds, their ratio, errors, and evaluations a datum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    for case in CASES:
        models, X = case.draw()
        seconds, evidences = measure(models, X, rounds)
        least = {name: min(values) for name, values in seconds.items()}
        print(f"{case.name:36s} ratio {least['learned'] / least['fixed']:.2f}", end="")
        for name, found in evidences.items():
            print(
                f"  {name} {1e3 * least[name] / case.count:.1f} ms a datum, reached "
                f"{found.reached.sum()}/{case.count}, {found.nodes / case.count:.0f} evaluations",
                end="",
            )
        print(flush=True)


if __name__ == "__main__":
    main()
