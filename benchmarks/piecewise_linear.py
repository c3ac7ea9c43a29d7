"""What exact evidences of ReLU networks cost, and how far two computations of them are apart.

    OPENBLAS_NUM_THREADS=1 python benchmarks/piecewise_linear.py [--engine]

Networks d-64-64-784 are trained on handwritten digits (those of scikit-learn, enlarged to 28 x 28)
with their principal components as latents. The data are digits. Seconds are those of the
processor: `prepared` is the first call with one datum, and `ms` is a later one a datum. `apart` is
the greatest difference from the same evidences with the latents turned by one radian (reflected,
for d = 1), whose pieces are cut out otherwise, in units of the sum of both stated errors. With
`--engine` the last column is the CPU of the adaptive engine for one datum, which does not know the
kinks, with its status.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import numpy as np

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory.checking.digits import load

HIDDEN, SIDE = 64, 28
#: Steps of Adam, data of a step, and the noise of the latents in training.
STEPS, BATCH, JITTER = 1500, 256, 0.1
#: Latent dimension, standard deviation of the noise, and numbers of data.
CASES = [(d, s, n) for d in (1, 2) for s in (1.0, 0.25, 0.05, 0.01) for n in (1, 100)]
CASES += [(1, 0.25, 1000), (2, 0.25, 1000)]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images `(N, 784)` with grey values 0 to 1, and codes `(N, 2)`."""
    found = load()
    # Linear interpolation from 8 to 28 pixels a side.
    at = np.linspace(0, 7, SIDE)
    weight = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
    images = weight @ found.images.reshape(-1, 8, 8) @ weight.T / 16
    return images.reshape(len(images), -1), found.codes


def trained(images: np.ndarray, codes: np.ndarray) -> decoders.PiecewiseLinear:
    """A network that gives images from codes, by Adam on the squared error."""
    rng = np.random.default_rng(0)
    sizes = (codes.shape[1], HIDDEN, HIDDEN, images.shape[1])
    weights = [rng.normal(size=(b, a)) * np.sqrt(2 / a) for a, b in pairwise(sizes)]
    values = [*weights, *(0.1 * rng.normal(size=len(w)) for w in weights)]
    first, second = ([np.zeros_like(v) for v in values] for _ in range(2))
    for step in range(1, STEPS + 1):
        rows = rng.integers(0, len(images), BATCH)
        h = [codes[rows] + JITTER * rng.normal(size=(BATCH, codes.shape[1]))]
        for w, b in zip(values[:2], values[3:5], strict=True):
            h.append(np.maximum(h[-1] @ w.T + b, 0))
        back = (h[-1] @ values[2].T + values[5] - images[rows]) / BATCH
        slopes: list[np.ndarray] = [back] * 6
        for i in (2, 1, 0):
            slopes[i], slopes[3 + i] = back.T @ h[i], back.sum(axis=0)
            back = (back @ values[i]) * (h[i] > 0)
        for i, g in enumerate(slopes):
            first[i] += 0.1 * (g - first[i])
            second[i] += 0.001 * (g**2 - second[i])
            scaled = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            values[i] = values[i] - 2e-3 * scaled[0] / (np.sqrt(scaled[1]) + 1e-8)
    return decoders.PiecewiseLinear.network(values[:3], values[3:])


def timed(model: LatentModel, X: np.ndarray, **options: object) -> tuple[float, object]:
    """CPU seconds and the evidences."""
    start = time.process_time()
    result = log_evidence(model, X, **options)  # type: ignore[arg-type]
    return time.process_time() - start, result


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", action="store_true", help="also the engine, for one datum")
    asked = parser.parse_args()
    images, codes = digits()
    networks = {d: trained(images, codes[:, :d]) for d in (1, 2)}
    print("d  sigma     N  prepared s        ms  masses  greatest error  reached  apart")
    for d, scale, n in CASES:
        likelihood, X = likelihoods.Gaussian(scale=scale), images[:n]
        model = LatentModel(networks[d], likelihood)
        prepared, _ = timed(model, X[:1])
        # The pieces far out are made with the data that need them.
        timed(model, X)
        seconds, result = timed(model, X)
        turn = [[-1.0]] if d == 1 else [[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]
        turned = LatentModel(decoders.Reparametrised(networks[d], turn), likelihood)
        other = log_evidence(turned, X)
        apart = (np.abs(result.value - other.value) / (result.error + other.error)).max()
        line = (
            f"{d}  {scale:5g} {n:5d} {prepared:11.3f} {1e3 * seconds / n:9.3f} "
            f"{result.nodes / n:7.1f} {result.error.max():15.1e} {result.reached.mean():8.0%} "
            f"{apart:6.3f}"
        )
        if asked.engine and n == 1:
            unknown = LatentModel(lambda z, f=networks[d]: f(z), likelihood, d)
            spent, rough = timed(unknown, X, rtol=1e-3, max_nodes=2_000_000)
            line += f"   engine {spent:.1f} s, {rough.nodes} nodes, {rough.status[0]}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
