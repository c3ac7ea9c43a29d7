"""Check of 6c-wide: the evidence under a floating prior, with up to 32 latents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds import FORMS, Bracket, bilbo, evidence_estimate
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.batches import Batch, rescaled_model
from vaetheory.checking.linear_models import LinearScene, wide_linear_scenes
from vaetheory.checking.strategies import Vector
from vaetheory.claims.bilbo.scenes import ENCODER, FLOATING
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class WideBatch:
    """A linear model, a batch of its data, and their posteriors."""

    linear: LinearScene
    X: tuple[Vector, ...]
    batch: Batch

    @property
    def data(self) -> Array:
        """The data `(B, D)`."""
        return np.array(self.X)


@st.composite
def wide_batches(draw: DrawFn) -> WideBatch:
    """One to three data of linear models of up to 32 latents, and any posteriors."""
    linear = draw(wide_linear_scenes())
    count, dim = draw(st.integers(1, 3)), len(linear.singular_values)
    entries = strategies.fractions(-4, 4, 2)
    return WideBatch(
        linear,
        draw(st.tuples(*[strategies.repeated(entries, len(linear.x))] * count)),
        Batch(
            draw(st.tuples(*[strategies.repeated(entries, dim)] * count)),
            draw(strategies.repeated(st.sampled_from((1.0, 0.5, 0.25)), dim)),
        ),
    )


@once
def _expected_log_likelihood(scene: WideBatch) -> Array:
    """E_q[log p(x|z)] of each datum, `(B,)`: log p(x|m) - 1/2 tr(W^T Lambda^-1 W S)."""
    model, batch = scene.linear.model, scene.batch
    w = scene.linear.weight
    curvature = np.diagonal(w.T @ np.linalg.solve(scene.linear.noise.matrix, w))
    height = model.likelihood.log_prob(scene.data, model.decode(batch.means))
    return np.asarray(height - 0.5 * curvature @ batch.deviations**2)


@once
def _evidence(scene: WideBatch, loc: Array, cov: Array) -> Bracket:
    """Log evidences under the prior N(loc, cov), by the library in rescaled latents."""
    return evidence_estimate(rescaled_model(scene.linear.model, loc, cov), scene.data)


@dataclass(frozen=True)
class InData:
    """Log evidences and divergences from the posterior `(B,)`, in the original latents."""

    value: Array
    divergence: Array
    condition: float


@once
def _in_data(scene: WideBatch, loc: Array, cov: Array) -> InData:
    from scipy.stats import multivariate_normal

    w, noise = scene.linear.weight, scene.linear.noise.matrix
    away = scene.data - np.array(scene.linear.bias) - w @ loc
    total = w @ cov @ w.T + noise
    value = np.atleast_1d(multivariate_normal.logpdf(away, np.zeros(len(noise)), total))
    precision = np.linalg.inv(cov) + w.T @ np.linalg.solve(noise, w)
    means = loc + np.linalg.solve(precision, w.T @ np.linalg.solve(noise, away.T)).T
    variances, off = scene.batch.deviations**2, scene.batch.means - means
    square = np.einsum("ni,ij,nj->n", off, precision, off)
    trace = np.diagonal(precision) @ variances
    log_dets = np.linalg.slogdet(precision)[1] + np.log(variances).sum()
    divergence = 0.5 * (trace + square - len(variances) - log_dets)
    condition = sum(float(np.linalg.cond(m)) for m in (total, precision, noise, cov))
    return InData(value, divergence, condition)


def wide_evidence_bound(
    scene: WideBatch,
    *,
    floating: bool = True,
    information: float = 1.0,
    divergence: float = 1.0,
    sign: float = 1.0,
) -> Comparison:
    """Check that BILBO is below the mean log evidence, by exactly the mean divergence."""
    likelihood = _expected_log_likelihood(scene)
    d, parts = len(scene.batch.scale), []
    for form in FORMS:
        bound = bilbo(likelihood, scene.batch.means, scene.batch.deviations, form=form)
        loc, cov = bound.prior_loc, bound.prior_cov
        other = _in_data(scene, loc, cov)
        prior = (loc, cov) if floating else (np.zeros(d), np.eye(d))
        evidence = _evidence(scene, *prior)
        value = float(likelihood.mean() - information * bound.information)
        size = float(np.abs(likelihood).mean() + np.abs(other.value).mean() + 4 * len(scene.X[0]))
        size += float(other.divergence.mean())
        rounding = gamma(10 * len(scene.X[0]) ** 2) * other.condition * size
        engine = float(evidence.error.mean())
        parts += [
            Comparison.identity(
                evidence.value, other.value, scale=size, engine=evidence.error, rounding=rounding
            ),
            Comparison.at_most(
                sign * value,
                sign * evidence.value.mean(),
                scale=size,
                engine=engine,
                rounding=rounding,
            ),
            Comparison.identity(
                evidence.value.mean() - value,
                divergence * other.divergence.mean(),
                scale=size,
                engine=engine,
                rounding=rounding,
            ),
        ]
    return Comparison.all_of(*parts)


WIDE_EVIDENCE_BOUND = Proposition(
    label="6c-wide",
    title="In many dimensions as well BILBO is below the mean log evidence by the divergence",
    statement=(
        r"\mathbb E_B[\log \hat p(x)] - \mathrm{BILBO}"
        r" = \mathbb E_B[\mathrm{KL}(q(z|x)\,\|\,\hat p(z|x))] \ge 0,"
        r"\quad \hat p(x) = \mathcal N(x; W\hat\mu + b, W\hat V W^\top + \Lambda)"
    ),
    hypotheses=(
        ENCODER,
        FLOATING,
        ("a linear model", r"p(x|z) = \mathcal N(Wz + b, \Lambda),\ 5 \le d \le 32"),
    ),
    kind="inequality",
    instances=wide_batches(),
    check=wide_evidence_bound,
    controls=wrong(
        wide_evidence_bound,
        {
            "the evidence under N(0, I)": {"floating": False},
            "half of the information term": {"information": 0.5},
            "the divergence of the wrong sign": {"divergence": -1.0},
            "an upper bound": {"sign": -1.0},
        },
    ),
    uses=("6c",),
    examples=6,
)
