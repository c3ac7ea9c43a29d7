"""Check of 13a: codes that say little, and the noise at which they begin to pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.collapse import collapse_thresholds
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Vector
from vaetheory.claims.posterior_collapse.scenes import (
    COLLAPSE,
    GAUSSIAN,
    OPTIMAL,
    WeightedData,
    weighted_data,
)
from vaetheory.rounding import gamma

_EPS = 1 / 8 / 2.0 ** np.arange(5)
# The lattice for the prior N(0, 1): the trapezoidal rule of this step is exact to rounding.
_STEP, _REACH = 0.6, 15


@dataclass(frozen=True)
class Whisper:
    """Data, directions a_n of their means and b_n of their deviations, the noise over lam_1."""

    data: WeightedData
    means: tuple[Vector, ...]
    deviations: Vector
    share: float
    beta: float

    @property
    def shape(self) -> tuple[int, ...]:
        """N, D and d, which are the same for instances that fit into one array."""
        return (*self.data.data.shape, len(self.means[0]))

    @property
    def noise(self) -> float:
        """The variance sigma^2."""
        return self.share * self.data.variance


@st.composite
def whispers(draw: DrawFn) -> Whisper:
    """Codes N(eps a_n, (1 + eps b_n)^2 I) in one or two dimensions."""
    data = draw(weighted_data())
    dim, count = draw(st.sampled_from((1, 1, 2))), len(data.X)
    return Whisper(
        data,
        draw(st.tuples(*[strategies.vectors(dim, -2, 2)] * count)),
        draw(st.tuples(*[strategies.fractions(-1, 1, 2)] * count)),
        draw(st.sampled_from((0.5, 0.75, 1.25, 2.0))),
        draw(st.sampled_from((1.0, 0.5, 2.0))),
    )


@once
def gains(scenes: tuple[Whisper, ...]) -> tuple[Array, Array]:
    """(gain(eps) + gain(-eps)) / 2 of the beta-ELBO for each eps, `(I, E)`, and rounding."""
    dim = scenes[0].shape[-1]
    line = _STEP * np.arange(-_REACH, _REACH + 1)
    z = np.stack([g.ravel() for g in np.meshgrid(*[line] * dim, indexing="ij")], axis=-1)
    square = (z**2).sum(axis=-1)
    prior = np.exp(-0.5 * square) * (_STEP / np.sqrt(2 * np.pi)) ** dim
    means = np.stack([np.array(s.means) for s in scenes])
    deviations = np.array([s.deviations for s in scenes])
    centred = np.stack([s.data.centred for s in scenes])
    p = np.stack([s.data.weights for s in scenes])
    noise, beta = (np.array([getattr(s, name) for s in scenes]) for name in ("noise", "beta"))
    values = []
    for eps in np.concatenate([_EPS, -_EPS]):
        scale = 1 + eps * deviations
        loc = eps * means
        # log q(z|x_n) - log p(z), `(I, N, M)`.
        told = (loc @ z.T - 0.5 * (loc**2).sum(axis=-1)[..., None]) / scale[..., None] ** 2
        told = told + 0.5 * square * (1 - 1 / scale**2)[..., None]
        told = told - dim * np.log(scale)[..., None]
        weighted = p[..., None] * np.exp(told)
        total = weighted.sum(axis=1)
        fitted = np.einsum("inm,ind->imd", weighted, centred) / total[..., None]
        explained = ((fitted**2).sum(axis=-1) * total) @ prior
        own = (loc**2).sum(axis=-1) + dim * (scale**2 - 1 - 2 * np.log1p(eps * deviations))
        values.append(explained / (2 * noise) - beta * 0.5 * (p * own).sum(axis=-1))
    both = np.array(values).reshape(2, len(_EPS), -1).mean(axis=0).T
    spread = np.array([np.trace((s.data.centred.T * s.data.weights) @ s.data.centred)
                       for s in scenes])  # fmt: skip
    # What is summed is of second order in eps; it is a square of what is rounded at first order.
    lost = gamma(200) * (_EPS * (spread / noise)[:, None] + _EPS)
    return both, lost


@once
def thresholds_of(scenes: tuple[Whisper, ...]) -> Array:
    """The library's local thresholds `(I,)`."""
    return np.array(
        [
            collapse_thresholds(s.data.data, weights=s.data.weights, beta=s.beta, rtol=1e-3).local
            for s in scenes
        ]
    )


@together(alike=lambda scene: scene.shape)
def whispers_pay(
    scenes: Sequence[Whisper],
    *,
    noise_power: float = 1.0,
    trace: bool = False,
    free: bool = False,
    divided: float = 1.0,
) -> list[Comparison]:
    """Compare what small codes gain with the quadratic form, and its largest eigenvalue."""
    both, lost = gains(tuple(scenes))
    limits = np.array(
        [extrapolate(v, e) for v, e in zip(both / _EPS**2, lost / _EPS**2, strict=True)]
    )
    dim = scenes[0].shape[-1]
    p = np.stack([s.data.weights for s in scenes])
    centred = np.stack([s.data.centred for s in scenes])
    means = np.stack([np.array(s.means) for s in scenes])
    deviations = np.array([s.deviations for s in scenes])
    noise, beta = (np.array([getattr(s, name) for s in scenes]) for name in ("noise", "beta"))
    unit = noise**noise_power
    told = np.einsum("in,ind,inj->idj", p, centred, means)
    cost = np.zeros_like(beta) if free else beta
    form = 0.5 * (told**2).sum(axis=(1, 2)) / unit
    form = form - 0.5 * cost * (p[..., None] * means**2).sum(axis=(1, 2))
    wider = np.einsum("in,ind,in->id", p, centred, deviations)
    form = form + dim * ((wider**2).sum(axis=-1) / unit - cost * (p * deviations**2).sum(axis=-1))
    # The form in a direction of all data, and its largest eigenvalue.
    half = np.sqrt(p)[..., None] * centred
    gram = half @ np.swapaxes(half, -1, -2) / noise[:, None, None]
    most = np.linalg.eigvalsh(gram)[:, -1] - beta
    thresholds = thresholds_of(tuple(scenes))
    if trace:
        thresholds = np.trace(np.swapaxes(half, -1, -2) @ half, axis1=1, axis2=2) / beta
    predicted = beta * (thresholds * divided / noise - 1)
    size = 1 + beta + np.abs(both / _EPS**2).max(axis=-1)
    each = [
        Comparison.identities(
            limits[:, 0], form, scale=size, expansion=limits[:, 1], numerics=limits[:, 2]
        ),
        Comparison.identities(
            most, predicted, scale=beta + np.abs(most), rounding=gamma(300) * (most + 2 * beta)
        ),
    ]
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


LOCAL_THRESHOLD = Proposition(
    label="13a",
    title="Collapse is stable exactly if the noise exceeds the largest eigenvalue of the data",
    statement=(
        r"m_n = \varepsilon a_n,\ S_n = (1 + \varepsilon b_n)^2I:\quad "
        r"\mathrm{ELBO}_\beta - \mathrm{ELBO}_0 = \varepsilon^2\Big[\tfrac12\sum_j\big("
        r"\tfrac{1}{\sigma^2}\|\operatorname{Cov}(x, a_j)\|^2 - \beta\,\mathbb E a_j^2\big) + "
        r"d\big(\tfrac{1}{\sigma^2}\|\operatorname{Cov}(x, b)\|^2 - \beta\,\mathbb E b^2\big)\Big] "
        r"+ o(\varepsilon^2);\quad \text{best direction: } \tfrac12(\lambda_1/\sigma^2 - \beta),\ "
        r"\text{threshold } \sigma^2 = \lambda_1/\beta"
    ),
    hypotheses=(
        GAUSSIAN,
        COLLAPSE,
        OPTIMAL,
        ("local", r"\text{in the parameters } (m_n, S_n) \text{ of every datum}"),
    ),
    kind="identity",
    instances=whispers(),
    check=whispers_pay,
    controls=wrong(
        whispers_pay,
        {
            "sigma for sigma^2": {"noise_power": 0.5},
            "the trace for the largest eigenvalue": {"trace": True},
            "codes that cost nothing": {"free": True},
            "half the threshold": {"divided": 0.5},
        },
    ),
    uses=("1a",),
    figure="posterior-collapse",
    resolution=1e-3,
)
