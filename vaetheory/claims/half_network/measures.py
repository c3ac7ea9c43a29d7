"""Checks of claim 11 about what is measured: the order of the bounds, and the intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from scipy.integrate import quad
from scipy.special import erf, gammaln

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking.comparison import Comparison
from vaetheory.concentration import log_mean_excess, mean_deviation
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma
from vaetheory.training import (
    OBJECTIVES,
    SOURCES,
    Experiment,
    Interval,
    Settings,
    Source,
    confidence_interval,
    lattice_evidence,
    run_experiment,
    sampled_measures,
    split_data,
    tables,
)
from vaetheory.training.density import Density
from vaetheory.training.runs import density_of, train

# 11d --------------------------------------------------------------------------------------------

#: Draws of a bound, and independent bounds of each datum.
_DRAWS, _REPEATS = 500, 10
_HELD_OUT = 12
_MOMENTS = 6


@dataclass(frozen=True)
class HeldOut:
    """A network trained on every third digit, and the seed of its split and of the draws."""

    objective: str
    seed: int


def held_out() -> SearchStrategy[HeldOut]:
    """Objectives whose likelihood has fixed variances: both routes to the evidence apply."""
    names = [n for n, o in OBJECTIVES.items() if o.likelihood != "learned"]
    return st.builds(HeldOut, st.sampled_from(names), st.integers(0, 9))


def _some_digits() -> Source:
    whole = SOURCES["digits"]()
    return Source(whole.name, whole.X[::3], whole.step, whole.units)


_QUICK = Settings(hidden=(32,), batch=64, epochs=30, every=40, patience=4, rate=5e-3)


@lru_cache(maxsize=32)
def _trained(instance: HeldOut) -> tuple[Density, Array]:
    data = split_data(_some_digits(), instance.seed)
    vae = _QUICK.model(OBJECTIVES[instance.objective], data.train, 1.0)
    run = train(vae, data, _QUICK, seed=instance.seed)
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
    # The model's latent has the prior N(0, I): the posterior is rescaled with it.
    posterior = Posterior(loc / density.prior_scale, scale=scale / density.prior_scale)
    bound, evidence = elbo(model, X, posterior, rtol=1e-9), log_evidence(model, X, rtol=1e-8)

    def powers(z: Array, rows: Array) -> Array:
        weight = model.log_joint(X[rows, None], z)
        deviation = (z - posterior.loc[rows, None]) / np.sqrt(
            np.diagonal(posterior.cov, axis1=-2, axis2=-1)[rows, None]
        )
        weight += 0.5 * (deviation**2).sum(axis=-1)
        return weight

    rough = gaussian_expectation(powers, posterior.loc, posterior.cov, rtol=1e-7)
    even = []
    for order in range(2, _MOMENTS + 1, 2):

        def central(z: Array, rows: Array, order: int = order) -> Array:
            return (powers(z, rows) - rough.value[rows, None]) ** order

        moment = gaussian_expectation(central, posterior.loc, posterior.cov, rtol=1e-3)
        even.append(moment.value + moment.error)
    # Odd absolute moments by Cauchy and Schwarz: upper bounds will do.
    odd = [np.sqrt(a * b) for a, b in pairwise(even)]
    columns = [even[k // 2] if k % 2 == 0 else odd[k // 2] for k in range(2 * len(even) - 1)]
    lattice = lattice_evidence(density, X)
    return _Bounds(
        *lattice, evidence.value, evidence.error, bound.value, bound.error,
        np.stack(columns, axis=-1),
    )  # fmt: skip


def bounds_in_order(
    instance: HeldOut, *, order: float = 1.0, shift: float = 0.0, excess: float = 0.0
) -> Comparison:
    """Every held-out datum: evidence by two routes, importance-weighted bound, ELBO."""
    (density, X), found = _trained(instance), _bounds(instance)
    rng = np.random.default_rng([instance.seed, 9])
    repeats = [
        sampled_measures(density, X, draws=_DRAWS, rng=rng).importance for _ in range(_REPEATS)
    ]
    importance = np.mean(repeats, axis=0)
    scale = np.abs(found.evidence) + X.shape[1]
    deviation = mean_deviation(found.moments, _DRAWS * _REPEATS)
    told = (
        f"{_HELD_OUT} held-out digits, {instance.objective}, seed {instance.seed}, quick version: "
        f"evidence {found.evidence.mean():.3f}, importance-weighted bound of {_DRAWS} draws "
        f"{importance.mean():.3f}, exact ELBO {found.elbo.mean():.3f}; largest evidence "
        f"less importance-weighted bound {(found.evidence - importance).max():.3f}",
    )
    rounding = gamma(1000) * scale
    return Comparison.all_of(
        Comparison.identity(
            found.evidence + shift,
            found.lattice,
            scale=scale,
            cells=found.evidence_error,
            lattice=found.lattice_error,
        ),
        # log of a mean of weights >= mean of their logs, a mean of independent draws.
        Comparison.at_most(
            order * (found.elbo + excess),
            order * importance,
            scale=scale,
            elbo=found.elbo_error,
            statistics=deviation,
            rounding=rounding,
        ),
        Comparison.at_most(
            order * (found.elbo + excess),
            order * found.evidence,
            scale=scale,
            evidence=found.evidence_error,
            elbo=found.elbo_error,
        ),
        Comparison.at_most(
            importance,
            found.evidence + shift,
            scale=scale,
            evidence=found.evidence_error,
            # A product of independent ratios of expectation one has expectation one.
            statistics=log_mean_excess(importance.shape) / _REPEATS,
            rounding=rounding,
        ),
        Comparison.at_most(
            importance.mean(),
            (found.evidence + shift).mean(),
            scale=scale.mean(),
            evidence=found.evidence_error.mean(),
            statistics=log_mean_excess() / (_REPEATS * len(X)),
            rounding=rounding.mean(),
        ),
        findings=told,
    )


# 11f --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Intervals:
    """Numbers of seeds, standard deviations of two objectives over them, and their correlation."""

    seeds: int
    first: float
    second: float
    correlation: float


def intervals() -> SearchStrategy[Intervals]:
    """From two seeds to a dozen; correlations that pairing profits from, and others."""
    deviation = st.sampled_from((1.0, 2.0, 0.5))
    correlation = st.sampled_from((0.0, 0.5, 0.75, -0.5))
    return st.builds(Intervals, st.integers(2, 12), deviation, deviation, correlation)


def paired_coverage(
    scene: Intervals, *, level: float = 0.95, ddof: int = 1, paired: bool = True
) -> Comparison:
    """Probability that the interval of paired normal differences covers, by quadrature.

    The interval is mean +- c s, with c read off the library's interval of given numbers.
    """
    n = scene.seeds
    probe = np.where(np.arange(n) == 0, 1.0, 0.0)
    found: Interval = confidence_interval(probe, level=level)
    factor = (found.high - found.low) / 2 / probe.std(ddof=ddof)
    cross = 2 * scene.correlation * scene.first * scene.second
    variance = scene.first**2 + scene.second**2 - cross
    if not paired:
        # The width that independent samples would have.
        factor = factor * np.sqrt((variance + cross) / variance)

    def integrand(u: float) -> float:
        # u = s / deviation: a chi variable over its root of degrees of freedom.
        k = n - 1
        log = k / 2 * np.log(k) + (k - 1) * np.log(u) - k * u**2 / 2
        log -= (k / 2 - 1) * np.log(2) + gammaln(k / 2)
        return float(np.exp(log) * erf(factor * u * np.sqrt(n / 2)))

    value, error = quad(integrand, 0, 1, epsabs=1e-11, epsrel=1e-11, limit=200)
    rest, other = quad(integrand, 1, 40, epsabs=1e-11, epsrel=1e-11, limit=200)
    return Comparison.identity(
        value + rest, level, scale=1.0, quadrature=error + other, rounding=gamma(1e4)
    )


# 11-digits --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QuickExperiment:
    """Every third digit, small networks, few steps; the numbers of the experiment are others."""

    seeds: int


@lru_cache(maxsize=2)
def quick_table(seeds: int) -> dict[str, tables.Row]:
    """The table of the quick version."""
    experiment = Experiment(
        _some_digits(), _QUICK, seeds=seeds, informations=(1.0, 2.0), draws=100, exact=False
    )
    rows = tables.table(list(run_experiment(experiment)))
    return {row.objective: row for row in rows}


def half_beats_one_sigma(
    scene: QuickExperiment, *, sign: float = 1.0, other: str = "one-sigma", handicap: float = 0.0
) -> Comparison:
    """The half-network's lead over one learned sigma, and its interval; the table as a finding."""
    rows = quick_table(scene.seeds)
    lead = rows[other].behind["elbo"]
    told = ", ".join(f"{n} {r.measures['elbo'].mean:.1f}" for n, r in rows.items())
    ahead = "; ".join(
        f"{n} {r.behind['elbo'].mean:+.1f} ({r.behind['elbo'].low:+.1f} to "
        f"{r.behind['elbo'].high:+.1f})"
        for n, r in rows.items()
        if r.behind
    )
    return Comparison.all_of(
        Comparison.at_most(
            handicap, sign * lead.mean, scale=abs(lead.mean), interval=(lead.high - lead.low) / 2
        ),
        findings=(
            f"quick version, {scene.seeds} seeds, held-out ELBO in nats a digit: {told}",
            f"quick version, half-network ahead of, with 95 % intervals: {ahead}",
            "for the experiment itself: vaetheory experiment half-network; docs/half-network.md",
        ),
    )
