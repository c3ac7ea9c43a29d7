"""Check of 21a-twist: a twist keeps the evidence and costs a Gaussian encoder some of the ELBO."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.optimize import minimize

from vaetheory import decoders, flows, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds import StationaryPosterior, elbo, stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.identifiability.encoders import GAUSSIAN_ENCODER
from vaetheory.claims.identifiability.scenes import TWIST
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class TwistedLinear:
    """A linear model of two latents, a datum, a twist, and any Gaussian q."""

    rows: tuple[Vector, ...]
    noise: float
    x: Vector
    rate: float
    loc: Vector
    cov: Covariance

    @property
    def weight(self) -> Array:
        """W `(D, 2)`."""
        return np.array(self.rows)

    @cached_property
    def model(self) -> LatentModel:
        """The model with the decoder f o T."""
        decoder = decoders.Composed(decoders.Affine(self.weight), flows.Twist(2, self.rate))
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise))

    @property
    def blind(self) -> bool:
        """Whether the posterior is centred at 0 and round, so that a twist changes nothing."""
        gram, pull = self.weight.T @ self.weight, self.weight.T @ np.array(self.x)
        return bool(gram[0, 0] == gram[1, 1] and gram[0, 1] == 0 and not pull.any())


@st.composite
def twisted_linears(draw: DrawFn) -> TwistedLinear:
    """Models of two or three outputs; of some the posterior is that of the plain decoder."""
    entry = strategies.fractions(-2, 2, 2)
    rows = draw(
        st.one_of(
            st.lists(st.tuples(entry, entry), min_size=2, max_size=3).map(tuple),
            st.just(((1.0, 0.0), (0.0, 1.0))),
        )
    )
    x = draw(st.one_of(strategies.vectors(len(rows)), st.just((0.0,) * len(rows))))
    return TwistedLinear(
        rows, draw(st.sampled_from((1.0, 0.5))), x,
        draw(st.sampled_from((0.25, -0.25, 0.5, 0.125))),
        draw(strategies.vectors(2, -3, 3, 2)), draw(strategies.covariances(2)),
    )  # fmt: skip


def waves(rate: float, loc: Array, cov: Array) -> tuple[complex, complex]:
    """E[e^(i k |z|^2) u] and E[e^(2 i k |z|^2) u^2], u = z_1 + i z_2, under N(loc, cov)."""
    found = []
    for power in (1, 2):
        # The product of the Gaussian and of the wave is a Gaussian with complex moments.
        inner = np.eye(2) - 2j * power * rate * cov
        mean, spread = np.linalg.solve(inner, loc), np.linalg.solve(inner.T, cov.T).T
        phase = np.exp(1j * power * rate * (loc @ mean))
        # The root of the determinant is the product of those of its eigenvalues, 1 - 2 i k v.
        mass = phase / np.prod(np.sqrt(1 - 2j * power * rate * np.linalg.eigvalsh(cov)))
        u = mean[0] + 1j * mean[1]
        moment = u if power == 1 else u**2 + spread[0, 0] - spread[1, 1] + 2j * spread[0, 1]
        found.append(complex(mass * moment))
    return found[0], found[1]


def closed_elbo(scene: TwistedLinear, loc: Array, cov: Array, *, still: bool = False) -> float:
    """The ELBO of f o T at N(loc, cov), from Gaussian integrals with complex covariances."""
    W, x = scene.weight / scene.noise, np.array(scene.x) / scene.noise
    gram, pull = W.T @ W, W.T @ x
    first, second = waves(0.0 if still else scene.rate, loc, cov)
    linear = (pull[0] - 1j * pull[1]) * first
    bent = (0.5 * (gram[0, 0] - gram[1, 1]) - 1j * gram[0, 1]) * second
    square = 0.5 * np.trace(gram) * (loc @ loc + np.trace(cov))
    peak = -0.5 * len(x) * np.log(2 * np.pi * scene.noise**2) - 0.5 * (x @ x)
    divergence = 0.5 * (loc @ loc + np.trace(cov) - 2 - np.linalg.slogdet(cov)[1])
    return float(peak + linear.real - 0.5 * (square + bent.real) - divergence)


@once
def by_library(scene: TwistedLinear) -> tuple[float, float, StationaryPosterior]:
    """The ELBO at the instance's q with its error, and the best posterior found."""
    x = np.array([scene.x])
    q = Posterior(np.array([scene.loc]), cov=scene.cov.matrix[None])
    found = elbo(scene.model, x, q)
    W = scene.weight / scene.noise
    cov = np.linalg.inv(np.eye(2) + W.T @ W)
    loc = cov @ W.T @ x[0] / scene.noise
    # The posterior of f, turned back where its mean is.
    twist = flows.Twist(2, scene.rate)
    back = twist.inverse(loc)
    turn = np.linalg.inv(twist.jacobian(back))
    starts = [None, Posterior(back[None], cov=(turn @ cov @ turn.T)[None])]
    every = [stationary_posterior(scene.model, x, start=start) for start in starts]
    best = max(every, key=lambda q: float(q.value[0]))
    return float(found.value[0]), float(found.error[0]), best


@once
def by_search(scene: TwistedLinear) -> tuple[float, float]:
    """The greatest closed ELBO that is found from several starts, and what is left to gain."""
    best = by_library(scene)[2]

    def loss(t: Array) -> float:
        root = np.array([[np.exp(t[2]), 0.0], [t[3], np.exp(t[4])]])
        return -closed_elbo(scene, t[:2], root @ root.T)

    root = np.linalg.cholesky(best.cov[0])
    near = np.array([*best.loc[0], np.log(root[0, 0]), root[1, 0], np.log(root[1, 1])])
    starts = [near + 0.01, np.array([*scene.loc, -0.5, 0.0, -0.5])]
    every = [minimize(loss, start, method="BFGS", jac="3-point") for start in starts]
    found = min(every, key=lambda one: float(one.fun))
    # Newton's decrement, with the gradient and the inverse Hessian where the search ended.
    return -float(found.fun), 2 * float(found.jac @ found.hess_inv @ found.jac)


def twist_cost(scene: TwistedLinear, *, still: bool = False, unchanged: bool = False) -> Comparison:
    """Compare the ELBO of f o T with its closed form, at any q and at the best one."""
    value, error, best = by_library(scene)
    loc, cov = np.array(scene.loc), scene.cov.matrix
    W, x = scene.weight, np.array(scene.x)
    D = len(x)
    C = W @ W.T + scene.noise**2 * np.eye(D)
    evidence = -0.5 * float(
        x @ np.linalg.solve(C, x) + np.linalg.slogdet(C)[1] + D * np.log(2 * np.pi)
    )
    size = (
        1
        + abs(evidence)
        + float(x @ x + np.trace(W.T @ W) * (loc @ loc + np.trace(cov))) / (scene.noise**2)
    )
    rounding = gamma(1000) * size
    there = float(best.value[0])
    off = float(best.error[0])
    found, left = (evidence, 0.0) if unchanged or scene.blind else by_search(scene)
    parts = [
        Comparison.identity(
            value, closed_elbo(scene, loc, cov, still=still), scale=size, quadrature=error,
            rounding=rounding,
        ),
        Comparison.identity(
            there, closed_elbo(scene, best.loc[0], best.cov[0], still=still), scale=size,
            quadrature=off, rounding=rounding,
        ),
        Comparison.identity(
            there, found, scale=size, library=off, search=left, rounding=rounding
        ),
        Comparison.at_most(there, evidence, scale=size, library=off, rounding=rounding),
    ]  # fmt: skip
    return Comparison.all_of(*parts)


TWIST_COST = Proposition(
    label="21a-twist",
    title="A twist that no evidence shows costs a Gaussian encoder, even with a full covariance",
    statement=(
        r"\mathrm{ELBO}_{f \circ T}(x; q) = \log p(x) - \mathrm{KL}(T_\#q\,\|\,p_f(z|x)),\quad "
        r"\max_q\mathrm{ELBO}_{f \circ T} < \max_q\mathrm{ELBO}_f = \log p(x) \quad \text{unless } "
        r"W^\top W = cI \text{ and } W^\top x = 0"
    ),
    hypotheses=(
        ("linear model", r"f(z) = Wz,\ p(x|z) = \mathcal N(f(z), \sigma^2I),\ d = 2"),
        TWIST,
        GAUSSIAN_ENCODER,
    ),
    kind="counterexample",
    instances=twisted_linears(),
    check=twist_cost,
    controls=wrong(
        twist_cost,
        {
            "the best ELBO is unchanged": {"unchanged": True},
            "the ELBO at q is that of f at q": {"still": True},
        },
    ),
    uses=("3a", "3c", "21a-maps"),
    figure="identifiability",
    examples=6,
)
