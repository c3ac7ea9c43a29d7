"""Checks of 6f: by how much a small batch is optimistic, and what the correction leaves.

Batches are drawn with replacement from a data set of two or three, so that the expectation over
all batches is a sum over multinomial counts. Only `drawn_batches` samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from vaetheory._validation import Array
from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.batches import Batch, batches
from vaetheory.checking.rates import power_law
from vaetheory.claims.bilbo.scenes import ENCODER
from vaetheory.concentration import mean_deviation
from vaetheory.rounding import gamma

_DRAWN = ("batches", r"\text{of } B \text{ data drawn with replacement from a finite data set}")


@dataclass(frozen=True)
class SampledBatch:
    """A data set of two or three, and the form of its information term."""

    data: Batch
    form: str


@st.composite
def sampled_batches(draw: DrawFn, *, most: int = 3, least: float = 0.0) -> SampledBatch:
    """Data sets whose coefficient does not vanish: a diagonal prior needs squares that differ."""
    dim = draw(st.sampled_from((1, 1, 2)))
    scales = (1.0, 0.5, 2.0)
    data: SearchStrategy[Batch] = batches(
        dim, min_size=2, max_size=most, scales=scales, distinct=True
    )
    form = draw(st.sampled_from(FORMS))
    return SampledBatch(draw(data.filter(lambda b: coefficient(b, form) > least)), form)


def moment_forms(weights: Array, batch: Batch, form: str) -> tuple[Array, Array]:
    """Information and optimism times B of batches by the weights `(K, N)` of their data.

    Written with moments and determinants; the library uses ratios and singular values.
    """
    means, variance = batch.means, batch.deviations**2
    centre = weights @ means if form != "diagonal" else np.zeros((len(weights), len(variance)))
    away = means - centre[:, None]
    if form == "full":
        cov = np.einsum("kn,kni,knj->kij", weights, away, away)
        total = cov + np.diag(variance)
        information = 0.5 * (np.linalg.slogdet(total)[1] - np.log(variance).sum())
        share = np.linalg.solve(total, cov)
        square = (away * np.swapaxes(np.linalg.solve(total, np.swapaxes(away, 1, 2)), 1, 2)).sum(-1)
        spread = (weights * square**2).sum(axis=-1) - np.einsum("kij,kji->k", share, share)
        return information, np.einsum("kii->k", share) / 2 + spread / 4
    second = np.einsum("kn,kni->ki", weights, away**2)
    fourth = np.einsum("kn,kni->ki", weights, away**4)
    total = variance + second
    spread = ((fourth - second**2) / total**2).sum(axis=-1) / 4
    own = (second / total).sum(axis=-1) / 2 if form == "centred" else 0.0
    return 0.5 * np.log(total / variance).sum(axis=-1), spread + own


def coefficient(batch: Batch, form: str) -> float:
    """B (E[BILBO_B] - BILBO_inf) as B grows, from the moments of the data set."""
    return float(moment_forms(_uniform(batch), batch, form)[1][0])


def twice_the_coefficient(batch: Batch, form: str) -> float:
    """1/2 for 1/4."""
    return 2 * coefficient(batch, form)


def pessimistic(batch: Batch, form: str) -> float:
    """The other sign."""
    return -coefficient(batch, form)


def diagonal_coefficient(batch: Batch, form: str) -> float:
    """The zero-mean diagonal coefficient for every form."""
    return coefficient(batch, "diagonal")


def _uniform(batch: Batch) -> Array:
    return np.full((1, len(batch.loc)), 1 / len(batch.loc))


@lru_cache(maxsize=16)
def multinomial(size: int, kinds: int) -> tuple[NDArray[np.intp], Array]:
    """All counts `(K, kinds)` of `size` draws from two or three data, and their probabilities."""
    first = np.arange(size + 1)
    if kinds == 2:
        counts = np.stack([first, size - first], axis=-1)
    else:
        a, b = (g.ravel() for g in np.meshgrid(first, first, indexing="ij"))
        counts = np.stack([a, b, size - a - b], axis=-1)[a + b <= size]
    log_p = -gammaln(counts + 1).sum(axis=-1)
    p = np.exp(log_p - logsumexp(log_p))
    # They are kept for later batches of this size.
    counts.flags.writeable = p.flags.writeable = False
    return counts, p


@once
def mean_excess(scene: SampledBatch, size: int, *, correction: float = 0.0) -> tuple[float, float]:
    """E[BILBO_B] - BILBO_inf minus a multiple of the mean correction, and its rounding."""
    batch, form = scene.data, scene.form
    counts, p = multinomial(size, len(batch.loc))
    information, optimism = moment_forms(counts / size, batch, form)
    limit = moment_forms(_uniform(batch), batch, form)[0]
    excess = limit - information - correction * optimism / size
    # Errors of the probabilities multiply differences only; those of the information count fully.
    drift = gamma(100 * gammaln(size + 2)) * float(p @ np.abs(excess))
    condition = 1 + float((np.abs(batch.means).max() / batch.deviations.min()) ** 2)
    rounding = gamma(100) * (float(p @ np.abs(information)) + float(limit[0]) + condition)
    return float(p @ excess), drift + rounding


@once
def _library_agrees(scene: SampledBatch, size: int) -> Comparison:
    """Compare the library with the moments on every batch of a small size."""
    batch, d = scene.data, len(scene.data.scale)
    counts, _ = multinomial(size, len(batch.loc))
    bounds = [
        bilbo(np.zeros(size), np.repeat(batch.means, c, axis=0), batch.deviations, form=scene.form)
        for c in counts
    ]
    information, optimism = moment_forms(counts / size, batch, scene.form)
    condition = 1 + float((np.abs(batch.means).max() / batch.deviations.min()) ** 2)
    rounding = gamma(200 * d) * (condition + information)
    return Comparison.all_of(
        Comparison.identity(
            [b.information for b in bounds], information, scale=1 + information, rounding=rounding
        ),
        Comparison.identity(
            [size * b.optimism for b in bounds],
            optimism,
            scale=1 + optimism,
            rounding=condition * rounding,
        ),
    )


def _ladder(kinds: int) -> NDArray[np.intp]:
    # Few and large sizes: at small ones high powers of 1 / B can cancel and mislead the estimate.
    return (64 if kinds == 2 else 32) * 4 ** np.arange(3)


def optimism_law(
    scene: SampledBatch,
    *,
    predicted: Callable[[Batch, str], float] = coefficient,
    exponent: float = 2.0,
) -> Comparison:
    """Check exponent (in B^-1/2) and coefficient of the mean excess over all batches."""
    sizes = _ladder(len(scene.data.loc))
    excess, errors = np.array([mean_excess(scene, int(b)) for b in sizes]).T
    value = predicted(scene.data, scene.form)
    law = power_law(
        excess,
        errors,
        1 / np.sqrt(sizes),
        exponent=exponent,
        coefficient=value,
        rounding=gamma(200) * (1 + abs(value)),
    )
    return Comparison.all_of(law, _library_agrees(scene, 4))


OPTIMISM = Proposition(
    label="6f",
    title="A small batch is optimistic, in proportion to 1 / B",
    statement=(
        r"\mathbb E[\mathrm{BILBO}_B] - \mathrm{BILBO}_\infty = c/B + O(B^{-2}),\quad "
        r"c = \sum_j\frac{\mathrm{Var}[m_j^2]}{4(s_j^2 + \mathbb E[m_j^2])^2}"
        r"\text{ (zero-mean diagonal)},\quad "
        r"c = \tfrac12\mathrm{tr}\,H + \tfrac14\big(\mathbb E[(\xi^\top \hat V^{-1}\xi)^2]"
        r" - \mathrm{tr}\,H^2\big)\text{ (full)},"
        r"\ \xi = m - \mathbb E[m],\ H = \hat V^{-1}\mathrm{Cov}[m]"
    ),
    hypotheses=(ENCODER, _DRAWN),
    kind="rate",
    instances=sampled_batches(),
    check=optimism_law,
    controls=wrong(
        optimism_law,
        {
            "1/2 for 1/4": {"predicted": twice_the_coefficient},
            "pessimistic": {"predicted": pessimistic},
            "the zero-mean diagonal coefficient for every form": {
                "predicted": diagonal_coefficient
            },
            "1 / sqrt(B)": {"exponent": 1.0},
        },
    ),
    uses=("6a",),
    figure="bilbo",
    resolution=0.09,
)


def corrected_is_second_order(scene: SampledBatch, *, correction: float = 1.0) -> Comparison:
    """Check that B (E[corrected_B] - BILBO_inf) tends to zero, in powers of 1 / B."""
    sizes = _ladder(len(scene.data.loc))
    excess, errors = np.array([mean_excess(scene, int(b), correction=correction) for b in sizes]).T
    # The scale is the size of what was corrected.
    law = power_law(excess, errors, 1 / np.sqrt(sizes), exponent=2.0, coefficient=0.0)
    size = coefficient(scene.data, scene.form)
    limit = Comparison(law.residual, law.bound, law.terms, max(size, law.scale))
    return Comparison.all_of(limit, _library_agrees(scene, 3))


CORRECTED_OPTIMISM = Proposition(
    label="6f-corrected",
    title="The optimism minus its estimate from the batch is of second order",
    statement=r"B\,(\mathbb E[\mathrm{BILBO}_B - \hat c_B/B] - \mathrm{BILBO}_\infty) \to 0",
    hypotheses=(
        ENCODER,
        _DRAWN,
        ("plug-in", r"\hat c_B \text{ is } c \text{ with the moments of the batch}"),
    ),
    kind="rate",
    instances=sampled_batches(),
    check=corrected_is_second_order,
    controls=wrong(
        corrected_is_second_order,
        {
            "twice the correction": {"correction": 2.0},
            "the correction added": {"correction": -1.0},
            "no correction": {"correction": 0.0},
        },
    ),
    uses=("6f",),
    figure="bilbo",
    resolution=0.09,
)


# Drawn batches ----------------------------------------------------------------------------------

_DRAWS = 2_000_000
_SIZE = 32


@dataclass(frozen=True)
class DrawnBatches:
    """A data set of two, a form, and the seed of the draws."""

    scene: SampledBatch
    seed: int


def drawn_scenes() -> SearchStrategy[DrawnBatches]:
    """Data sets of two whose batches are visibly optimistic, and seeds from 0 to 99."""
    return st.builds(DrawnBatches, sampled_batches(most=2, least=0.15), st.integers(0, 99))


@once
def _drawn_mean(instance: DrawnBatches) -> tuple[float, float]:
    """The mean of BILBO over the drawn batches, and how far it may be from its expectation."""
    scene, batch = instance.scene, instance.scene.data
    rng = np.random.default_rng(instance.seed)
    # A batch is drawn as the bits of a number: which of the two each of its members is.
    bits = rng.integers(2**_SIZE, size=_DRAWS, dtype=np.uint32).view(np.uint16)
    ones = np.unpackbits(np.arange(2**16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16)
    sizes = ones.sum(axis=-1, dtype=np.uint8)[bits].reshape(_DRAWS, 2).sum(axis=-1)
    drawn = np.bincount(sizes, minlength=_SIZE + 1)
    counts, p = multinomial(_SIZE, 2)
    values = np.array(
        [
            -bilbo(
                np.zeros(_SIZE),
                np.repeat(batch.means, c, axis=0),
                batch.deviations,
                form=scene.form,
            ).information
            for c in counts
        ]
    )
    # The central moments of one batch are sums over all of them.
    moments = [p @ (values - p @ values) ** k for k in range(2, 31)]
    return float(drawn @ values) / _DRAWS, float(mean_deviation(moments, _DRAWS))


def drawn_batches(
    instance: DrawnBatches, *, multiple: float = 1.0, expected_size: int = _SIZE
) -> Comparison:
    """Compare the mean of BILBO over batches drawn at random with its exact expectation."""
    scene, batch = instance.scene, instance.scene.data
    mean, statistics = _drawn_mean(instance)
    limit = bilbo(np.zeros(2), batch.means, batch.deviations, form=scene.form).value
    expected, rounding = mean_excess(scene, expected_size)
    return Comparison.identity(
        mean - limit,
        multiple * expected,
        scale=coefficient(batch, scene.form) / _SIZE,
        statistics=statistics,
        rounding=rounding + gamma(100) * (1 + abs(mean) + abs(float(limit))),
    )


DRAWN_BATCHES = Proposition(
    label="6f-drawn",
    title="Batches drawn at random overshoot by the expected excess",
    statement=(
        r"\tfrac1M\sum_{i \le M}\mathrm{BILBO}_{B, i} - \mathrm{BILBO}_\infty"
        r" = \mathbb E[\mathrm{BILBO}_B] - \mathrm{BILBO}_\infty"
        r"\text{ within Markov's bound, exceeded with probability } \le 10^{-9}"
    ),
    hypotheses=(ENCODER, _DRAWN, ("independence", r"M = 2\cdot 10^6,\ B = 32")),
    kind="statistical",
    instances=drawn_scenes(),
    check=drawn_batches,
    controls=wrong(
        drawn_batches,
        {
            "twice the excess": {"multiple": 2.0},
            "pessimistic": {"multiple": -1.0},
            "batches twice as large": {"expected_size": 64},
        },
    ),
    uses=("6f",),
    resolution=0.09,
    examples=4,
)
