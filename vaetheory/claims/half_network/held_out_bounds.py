"""Check of 11d: the order of the bounds of held-out data, datum by datum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.half_network.scenes import QUICK, some_digits
from vaetheory.concentration import log_mean_excess, mean_deviation
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma
from vaetheory.training import OBJECTIVES, lattice_evidence, sampled_measures, split_data
from vaetheory.training.density import Density
from vaetheory.training.runs import density_of, train

#: Draws of a bound, and the number of independent bounds of each datum.
_DRAWS, _REPEATS = 500, 10
_HELD_OUT = 12
_MOMENTS = 6


@dataclass(frozen=True)
class HeldOut:
    """A network trained on every third digit, and the seed of its split and of the draws."""

    objective: str
    seed: int


def held_out() -> SearchStrategy[HeldOut]:
    """Objectives with fixed variances of the likelihood: both routes to the evidence apply."""
    names = [n for n, o in OBJECTIVES.items() if o.likelihood != "learned"]
    return st.builds(HeldOut, st.sampled_from(names), st.integers(0, 9))


@lru_cache(maxsize=32)
def _trained(instance: HeldOut) -> tuple[Density, Array]:
    data = split_data(some_digits(), instance.seed)
    vae = QUICK.model(OBJECTIVES[instance.objective], data.train, 1.0)
    run = train(vae, data, QUICK, seed=instance.seed)
    return density_of(vae, run.best, data.train, seed=instance.seed), data.test[:_HELD_OUT]


@dataclass(frozen=True)
class _Bounds:
    """Evidence by two routes, exact ELBO, and central moments of a draw of the log weight."""

    lattice: Array
    lattice_error: Array
    evidence: Array
    evidence_error: Array
    elbo: Array
    elbo_error: Array
    moments: Array


@lru_cache(maxsize=32)
def _bounds(instance: HeldOut) -> _Bounds:
    density, X = _trained(instance)
    model = density.latent_model()
    loc, scale = density.encode(X)
    # The latent of the model has the prior N(0, I); the posterior is rescaled in the same way.
    posterior = Posterior(loc / density.prior_scale, scale=scale / density.prior_scale)
    bound, evidence = elbo(model, X, posterior, rtol=1e-9), log_evidence(model, X, rtol=1e-8)

    same = model.reduced(X)

    def powers(z: Array, rows: Array) -> Array:
        weight = same.model.log_joint(same.data[rows, None], z) + same.offset[rows, None]
        deviation = (z - posterior.loc[rows, None]) / np.sqrt(
            np.diagonal(posterior.cov, axis1=-2, axis2=-1)[rows, None]
        )
        weight += 0.5 * (deviation**2).sum(axis=-1)
        return weight

    # The mean of a log weight, up to the error of the exact ELBO: moments about it are small.
    rough = bound.value - posterior.entropy() + posterior.latent_dim / 2
    orders = np.arange(2, _MOMENTS + 1, 2)

    def central(z: Array, rows: Array) -> Array:
        # The rows of a datum, one for each order, have the same nodes and share its log weights.
        data, first, back = np.unique(rows // len(orders), return_index=True, return_inverse=True)
        away = powers(z[first], data) - rough[data, None]
        return away[back] ** orders[rows % len(orders), None]

    moment = gaussian_expectation(
        central,
        np.repeat(posterior.loc, len(orders), axis=0),
        np.repeat(posterior.cov, len(orders), axis=0),
        rtol=1e-3,
    )
    even = list((moment.value + moment.error).reshape(len(X), -1).T)
    # Odd absolute moments by Cauchy and Schwarz: upper bounds suffice.
    odd = [np.sqrt(a * b) for a, b in pairwise(even)]
    columns = [even[k // 2] if k % 2 == 0 else odd[k // 2] for k in range(2 * len(even) - 1)]
    lattice = lattice_evidence(density, X)
    return _Bounds(
        *lattice, evidence.value, evidence.error, bound.value, bound.error,
        np.stack(columns, axis=-1),
    )  # fmt: skip


@once
def _importance(instance: HeldOut) -> Array:
    """Mean importance-weighted bound of each datum over independent repeats, `(N,)`."""
    density, X = _trained(instance)
    rng = np.random.default_rng([instance.seed, 9])
    repeats = [
        sampled_measures(density, X, draws=_DRAWS, rng=rng).importance for _ in range(_REPEATS)
    ]
    return np.mean(repeats, axis=0)


def bounds_in_order(
    instance: HeldOut, *, order: float = 1.0, shift: float = 0.0, excess: float = 0.0
) -> Comparison:
    """Check for every held-out datum that ELBO <= importance-weighted bound <= evidence."""
    (_, X), exact, importance = _trained(instance), _bounds(instance), _importance(instance)
    scale = np.abs(exact.evidence) + X.shape[1]
    deviation = mean_deviation(exact.moments, _DRAWS * _REPEATS)
    findings = (
        f"{_HELD_OUT} held-out digits, {instance.objective}, seed {instance.seed}, quick version: "
        f"evidence {exact.evidence.mean():.3f}, importance-weighted bound of {_DRAWS} draws "
        f"{importance.mean():.3f}, exact ELBO {exact.elbo.mean():.3f}; largest evidence "
        f"minus importance-weighted bound {(exact.evidence - importance).max():.3f}",
    )
    rounding = gamma(1000) * scale
    return Comparison.all_of(
        Comparison.identity(
            exact.evidence + shift,
            exact.lattice,
            scale=scale,
            cells=exact.evidence_error,
            lattice=exact.lattice_error,
        ),
        # log of a mean of weights >= mean of their logs, a mean of independent draws.
        Comparison.at_most(
            order * (exact.elbo + excess),
            order * importance,
            scale=scale,
            elbo=exact.elbo_error,
            statistics=deviation,
            rounding=rounding,
        ),
        Comparison.at_most(
            order * (exact.elbo + excess),
            order * exact.evidence,
            scale=scale,
            evidence=exact.evidence_error,
            elbo=exact.elbo_error,
        ),
        Comparison.at_most(
            importance,
            exact.evidence + shift,
            scale=scale,
            evidence=exact.evidence_error,
            # A product of independent ratios of expectation one has expectation one.
            statistics=log_mean_excess(importance.shape) / _REPEATS,
            rounding=rounding,
        ),
        Comparison.at_most(
            importance.mean(),
            (exact.evidence + shift).mean(),
            scale=scale.mean(),
            evidence=exact.evidence_error.mean(),
            statistics=log_mean_excess() / (_REPEATS * len(X)),
            rounding=rounding.mean(),
        ),
        findings=findings,
    )


BOUNDS_IN_ORDER = Proposition(
    label="11d",
    title="Exact evidence, importance-weighted bound, ELBO: in this order, datum by datum",
    statement=(
        r"\mathrm{ELBO}(x) \le \tfrac1R\sum_r\log\tfrac1K\sum_k w_{rk} \le \log p(x)"
        r"\text{ for every held-out datum, within Markov's bounds, each exceeded with}"
        r"\text{ probability} \le 10^{-9}"
    ),
    hypotheses=(
        ("a trained network", r"d = 2,\ \text{fixed variances of the likelihood}"),
        ("draws", r"K = 500,\ R = 10,\ z_{rk} \sim q(z|x)"),
    ),
    kind="statistical",
    instances=held_out(),
    check=bounds_in_order,
    controls=wrong(
        bounds_in_order,
        {
            "the other order": {"order": -1.0},
            "half a log 2 pi too many": {"shift": 0.919},
            "an ELBO without its rate of some nats": {"excess": 4.0},
        },
    ),
    uses=("3a", "6b"),
    resolution=0.05,
    examples=2,
)
