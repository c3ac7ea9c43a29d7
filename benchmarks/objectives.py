"""CPU of BILBO + BAGGINS in PyTorch against the loss of an ordinary VAE; ratios in one run.

    python benchmarks/objectives.py [--rounds 30]

Each loss is computed with its gradient for outputs of encoder and decoder, in float32: 128 data of
784 dimensions and 2 latents. The ordinary VAE has learned variances in encoder and decoder.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.distributions import Normal

from vaetheory.bounds import baggins, bilbo

BATCH, DIM, LATENT, REPEATS = 128, 784, 2, 20


def ordinary(x, mean, logvar, mu, logs):
    log_likelihood = Normal(mu, logs.exp()).log_prob(x).sum(-1)
    divergence = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(-1)
    return (divergence - log_likelihood).mean()


def half(x, mean, mu, *, pooled):
    fit = baggins(x, mu, information=1.0, pooled=pooled)
    return -bilbo(fit.value, mean, 1.0).value


def seconds(loss: Callable[..., torch.Tensor], *leaves: torch.Tensor) -> float:
    """CPU seconds of one loss with its gradient."""
    start = time.process_time()
    for _ in range(REPEATS):
        torch.autograd.grad(loss(*leaves), leaves)
    return (time.process_time() - start) / REPEATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.rand(BATCH, DIM)
    mean, logvar = torch.randn(2, BATCH, LATENT).unbind()
    mu, logs = x + 0.2 * torch.randn(BATCH, DIM), 0.1 * torch.randn(BATCH, DIM) - 1
    leaves = [t.clone().requires_grad_() for t in (mean, logvar, mu, logs)]
    runs = {
        "ordinary VAE": (lambda *a: ordinary(x, *a), leaves),
        "BILBO + BAGGINS": (lambda *a: half(x, *a, pooled=False), leaves[::2]),
        "BILBO + BAGGINS, pooled": (lambda *a: half(x, *a, pooled=True), leaves[::2]),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, (loss, given) in runs.items():
            times[name].append(seconds(loss, *given))
    # The first round warms up.
    usual = times["ordinary VAE"][1:]
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found[1:], usual, strict=True))
        print(f"{name:24s} {1e3 * statistics.median(found[1:]):6.3f} ms   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
