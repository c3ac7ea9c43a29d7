"""CPU of `stationary_posterior` against what one would write without it; ratios in one run.

    OPENBLAS_NUM_THREADS=1 python benchmarks/stationary_routes.py [--rounds 2]

Tanh networks d-32-D with Gaussian noise, and data drawn from them. SciPy minimises minus the ELBO
of each datum, and PyTorch (where it is installed) that of all data together by L-BFGS. Both
integrate by Gauss and Hermite in the posterior's axes, with exact gradients, and start at the
highest mode with its inverse Hessian, as the library does. The search of modes is not timed. `lost`
is the greatest ELBO that a route lost to the library's, in nats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from scipy.optimize import minimize

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, stationary_posterior
from vaetheory.modes import posterior_mode

HIDDEN, ORDER = 32, 10


@dataclass(frozen=True)
class Case:
    """A network d-32-D, the scale of its noise, and how many data."""

    d: int
    size: int
    scale: float
    count: int

    def draw(self) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Weights, biases, and data drawn from the network."""
        rng = np.random.default_rng(0)
        weights = [
            rng.normal(size=(HIDDEN, self.d)),
            rng.normal(size=(self.size, HIDDEN)) / np.sqrt(HIDDEN),
        ]
        biases = [rng.normal(size=len(w)) / 2 for w in weights]
        z = rng.normal(size=(self.count, self.d))
        X = decoders.TanhNetwork(weights, biases)(z)
        return weights, biases, X + self.scale * rng.normal(size=X.shape)


CASES = (Case(1, 64, 0.25, 20), Case(2, 64, 0.25, 8), Case(2, 784, 0.5, 4), Case(2, 784, 0.5, 32))


def packed(loc: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Mean, logarithms of the Cholesky factor's diagonal and its other entries, one row a datum."""
    root = np.linalg.cholesky(cov)
    rows, columns = np.tril_indices(loc.shape[-1], -1)
    logs = np.log(np.diagonal(root, axis1=-2, axis2=-1))
    return np.concatenate([loc, logs, root[:, rows, columns]], axis=-1)


def unpacked(theta: np.ndarray, d: int) -> Posterior:
    """The posterior of packed rows."""
    root = np.zeros((len(theta), d, d))
    rows, columns = np.tril_indices(d, -1)
    root[:, rows, columns] = theta[:, 2 * d :]
    root[:, np.arange(d), np.arange(d)] = np.exp(theta[:, d : 2 * d])
    return Posterior(theta[:, :d], scale_tril=root)


def rule(d: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Hermite nodes `(M, d)` and weights `(M,)` of N(0, I)."""
    t, w = np.polynomial.hermite_e.hermegauss(ORDER)
    nodes = np.stack([g.ravel() for g in np.meshgrid(*[t] * d, indexing="ij")], axis=-1)
    weights = np.prod([g.ravel() for g in np.meshgrid(*[w / w.sum()] * d, indexing="ij")], axis=0)
    return nodes, weights


def by_scipy(case: Case, start: np.ndarray) -> np.ndarray:
    """BFGS for each datum, with autograd's gradient."""
    (inner, outer), (shift, bias), X = case.draw()
    nodes, weights = rule(case.d)
    rows, columns = np.tril_indices(case.d, -1)
    place = np.zeros((len(rows), case.d, case.d))
    place[np.arange(len(rows)), rows, columns] = 1

    def loss(theta, x):
        d = case.d
        root = anp.diag(anp.exp(theta[d : 2 * d])) + anp.tensordot(theta[2 * d :], place, axes=1)
        z = theta[:d] + anp.dot(nodes, root.T)
        params = anp.dot(anp.tanh(anp.dot(z, inner.T) + shift), outer.T) + bias
        misfit = anp.dot(weights, anp.sum((x - params) ** 2, axis=1)) / (2 * case.scale**2)
        return (
            misfit + 0.5 * (anp.sum(theta[:d] ** 2) + anp.sum(root**2)) - anp.sum(theta[d : 2 * d])
        )

    ascent = value_and_grad(loss)
    found = [
        minimize(ascent, theta, args=(x,), jac=True, method="BFGS", options={"gtol": 1e-7}).x
        for theta, x in zip(start, X, strict=True)
    ]
    return np.array(found)


def by_torch(case: Case, start: np.ndarray) -> np.ndarray:
    """L-BFGS over all data in float64."""
    import torch

    torch.set_num_threads(1)
    (inner, outer), (shift, bias), X = (
        tuple(map(torch.as_tensor, v)) if isinstance(v, list) else torch.as_tensor(v)
        for v in case.draw()
    )
    nodes, weights = map(torch.as_tensor, rule(case.d))
    d, theta = case.d, torch.tensor(start, requires_grad=True)
    rows, columns = np.tril_indices(d, -1)
    search = torch.optim.LBFGS(
        [theta], max_iter=2000, tolerance_grad=1e-7, tolerance_change=1e-14, history_size=20,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure():
        search.zero_grad()
        root = torch.diag_embed(theta[:, d : 2 * d].exp())
        root[:, rows, columns] = theta[:, 2 * d :]
        z = theta[:, None, :d] + nodes @ root.transpose(1, 2)
        params = torch.tanh(z @ inner.T + shift) @ outer.T + bias
        misfit = ((X[:, None] - params) ** 2).sum(-1) @ weights / (2 * case.scale**2)
        kl = 0.5 * ((theta[:, :d] ** 2).sum(1) + (root**2).sum((1, 2))) - theta[:, d : 2 * d].sum(1)
        loss = (misfit + kl).sum()
        loss.backward()
        return loss

    search.step(closure)
    return theta.detach().numpy()


def seconds(route: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds of a route, and what it found."""
    before = time.process_time()
    found = route()
    return time.process_time() - before, found


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    routes = {"SciPy": by_scipy}
    try:
        import torch  # noqa: F401

        routes["PyTorch"] = by_torch
    except ImportError:
        print("PyTorch is not installed: its route is left out")
    for case in CASES:
        weights, biases, X = case.draw()
        model = LatentModel(
            decoders.TanhNetwork(weights, biases), likelihoods.Gaussian(scale=case.scale)
        )
        modes = posterior_mode(model, X)
        start = Posterior(modes, cov=np.linalg.inv(model.potential_derivatives(X, modes)[1]))
        theta = packed(start.loc, start.cov)
        spent: dict[str, list[float]] = {name: [] for name in ("library", *routes)}
        lost = {}
        for _ in range(rounds):
            took, best = seconds(lambda model=model, X=X, start=start: stationary_posterior(
                model, X, start=start
            ))  # fmt: skip
            spent["library"].append(took)
            for name, route in routes.items():
                took, found = seconds(lambda route=route, case=case, t=theta: route(case, t))
                spent[name].append(took)
                bound = elbo(model, X, unpacked(found, case.d))
                lost[name] = float((best.value - bound.value).max())
        own = min(spent["library"])
        told = ", ".join(
            f"{name} {min(spent[name]) / own:.1f} times (lost {lost[name]:.1e})" for name in routes
        )
        print(
            f"{case.d}-{HIDDEN}-{case.size} N{case.count}: library {own:.2f} s, {told}", flush=True
        )


if __name__ == "__main__":
    main()
