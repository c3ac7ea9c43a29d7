"""What an evidence costs through the bridge to PyTorch, and of the same `TanhNetwork`.

    OPENBLAS_NUM_THREADS=1 python benchmarks/torch_bridge.py

The same network three times: as `TanhNetwork`, as a module that the bridge knows to be one, and as
a module of which it knows nothing, so that PyTorch computes. All run in turn in one process on one
thread; seconds are those of the processor, the least of some rounds. Values must be the same to
1e-12 nats, from the same number of evaluations. Needs PyTorch (extra `torch`).
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from tanh_networks import CASES, agreement, measure

from vaetheory import LatentModel
from vaetheory.torch import TorchDecoder


def sequential(weights: list[np.ndarray], biases: list[np.ndarray]) -> torch.nn.Sequential:
    """The network as a module."""
    layers: list[torch.nn.Module] = []
    for w, b in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(w.shape[1], w.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(w))
            linear.bias.copy_(torch.tensor(b))
        layers += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


def _decoded(module: torch.nn.Module, z: torch.Tensor) -> torch.Tensor:
    return module(z)


def main() -> None:
    """Print a line a case: CPU seconds, their ratios, and how far the values differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for case in CASES:
        weights, biases, own, X = case.draw()
        module = sequential(weights, biases)
        models = {
            "own": own,
            "module": LatentModel(TorchDecoder(module), case.likelihood, case.d),
            "unknown": LatentModel(TorchDecoder(module, call=_decoded), case.likelihood, case.d),
        }
        seconds, evidences = measure(models, X, rounds)
        least = {name: min(values) for name, values in seconds.items()}
        print(f"{case.name:24s} own {least['own']:.3f} s", end="")
        for name in ("module", "unknown"):
            agreed = agreement(evidences["own"], evidences[name])
            print(f"  {name} {least[name] / least['own']:.2f} {agreed}", end="")
        print(f"  {evidences['own'].nodes / case.count:.0f} evaluations a datum", flush=True)


if __name__ == "__main__":
    main()
