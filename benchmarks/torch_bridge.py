"""What an evidence costs through the bridge to PyTorch, and of the same `TanhNetwork`.

    OPENBLAS_NUM_THREADS=1 python benchmarks/torch_bridge.py

The same network three times: as `TanhNetwork`, as a module that the bridge knows to be one, and as
a module of which it knows nothing, so that PyTorch computes. All run in turn in one process on one
thread; seconds are those of the processor, the least of some rounds. Values must be the same to
1e-12 nats, from the same number of evaluations. Needs PyTorch (extra `torch`).
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass

import numpy as np
import torch

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory.torch import TorchDecoder


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

    def build(self) -> tuple[dict[str, LatentModel], np.ndarray]:
        """The same model three times, and data drawn from it."""
        rng = np.random.default_rng(0)
        widths = (self.d, self.hidden, self.hidden, self.size)
        weights = [
            rng.normal(size=(b, a)) / np.sqrt(a) * (1.5 if a != self.hidden else 1.0)
            for a, b in itertools.pairwise(widths)
        ]
        biases = [rng.normal(size=len(w)) / 2 for w in weights]
        layers: list[torch.nn.Module] = []
        for w, b in zip(weights, biases, strict=True):
            linear = torch.nn.Linear(w.shape[1], w.shape[0], dtype=torch.float64)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(w))
                linear.bias.copy_(torch.tensor(b))
            layers += [linear, torch.nn.Tanh()]
        gaussian = likelihoods.Gaussian(scale=self.scale)
        own = LatentModel(decoders.TanhNetwork(weights, biases), gaussian, self.d)
        module = torch.nn.Sequential(*layers[:-1])
        models = {
            "own": own,
            "module": LatentModel(TorchDecoder(module), gaussian, self.d),
            "unknown": LatentModel(TorchDecoder(module, call=_decoded), gaussian, self.d),
        }
        z = rng.normal(size=(self.count, self.d))
        return models, own.decode(z) + self.scale * rng.normal(size=(self.count, self.size))


def _decoded(module: torch.nn.Module, z: torch.Tensor) -> torch.Tensor:
    return module(z)


CASES = (
    Case(1, 32, 6, 0.1, 60),
    Case(2, 32, 6, 0.1, 30),
    Case(2, 64, 64, 0.1, 20),
    Case(2, 64, 784, 0.25, 8),
    Case(3, 32, 64, 0.3, 2),
)


def main() -> None:
    """Print a line a case: CPU seconds, their ratios, and how far the values differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for case in CASES:
        models, X = case.build()
        seconds: dict[str, list[float]] = {name: [] for name in models}
        found = {}
        for _ in range(rounds):
            for name, model in models.items():
                before = time.process_time()
                found[name] = log_evidence(model, X)
                seconds[name].append(time.process_time() - before)
        least = {name: min(values) for name, values in seconds.items()}
        print(f"{case.name:24s} own {least['own']:.3f} s", end="")
        for name in ("module", "unknown"):
            off = np.abs(found["own"].value - found[name].value).max()
            same = "same" if found["own"].nodes == found[name].nodes else "OTHER"
            ratio = least[name] / least["own"]
            print(f"  {name} {ratio:.2f} ({same} evaluations, values to {off:.0e})", end="")
        print(f"  {found['own'].nodes / case.count:.0f} evaluations a datum", flush=True)


if __name__ == "__main__":
    main()
