"""Networks of tanh with data drawn from them, to compare the bridges with `TanhNetwork`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory.evidence import Integral


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

    def draw(self) -> tuple[list[np.ndarray], list[np.ndarray], LatentModel, np.ndarray]:
        """Weights, biases, the model as a `TanhNetwork`, and data drawn from it."""
        rng = np.random.default_rng(0)
        widths = (self.d, self.hidden, self.hidden, self.size)
        weights = [
            rng.normal(size=(b, a)) / np.sqrt(a) * (1.5 if a != self.hidden else 1.0)
            for a, b in itertools.pairwise(widths)
        ]
        biases = [rng.normal(size=len(w)) / 2 for w in weights]
        model = LatentModel(decoders.TanhNetwork(weights, biases), self.likelihood, self.d)
        z = rng.normal(size=(self.count, self.d))
        X = model.decode(z) + self.scale * rng.normal(size=(self.count, self.size))
        return weights, biases, model, X

    @property
    def likelihood(self) -> likelihoods.Gaussian:
        """The likelihood."""
        return likelihoods.Gaussian(scale=self.scale)


CASES = (
    Case(1, 32, 6, 0.1, 60),
    Case(2, 32, 6, 0.1, 30),
    Case(2, 64, 64, 0.1, 20),
    Case(2, 64, 784, 0.25, 8),
    Case(3, 32, 64, 0.3, 2),
)


def measure(
    models: Mapping[str, LatentModel], X: np.ndarray, rounds: int
) -> tuple[dict[str, list[float]], dict[str, Integral]]:
    """CPU seconds of each model's evidences, round by round in turn, and the evidences."""
    seconds: dict[str, list[float]] = {name: [] for name in models}
    evidences = {}
    for _ in range(rounds):
        for name, model in models.items():
            before = time.process_time()
            evidences[name] = log_evidence(model, X)
            seconds[name].append(time.process_time() - before)
    return seconds, evidences


def agreement(own: Integral, other: Integral) -> str:
    """Whether two evidences took the same evaluations, and how far their values differ."""
    same = "same" if own.nodes == other.nodes else "OTHER"
    return f"({same} evaluations, values to {np.abs(own.value - other.value).max():.0e})"
