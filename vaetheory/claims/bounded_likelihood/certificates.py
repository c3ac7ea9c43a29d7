"""Checks of 18c: any positive numbers certify how likely data can become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.any_vae import LikelihoodCertificate, likelihood_certificate
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.bounded_likelihood.scenes import (
    ANY_VAE,
    FIXED,
    Mixed,
    best_mixtures,
    by_em,
    kernels,
    lost,
    mean_log,
    mixed_data,
    stacked,
)
from vaetheory.likelihoods import Bernoulli
from vaetheory.rounding import gamma

_CLIMB = 200


@once
def library(scenes: tuple[Mixed, ...]) -> list[LikelihoodCertificate]:
    """The library's certificates from the numbers of each instance."""
    return [likelihood_certificate(s.likelihood, s.data, log_evidence=s.logs) for s in scenes]


@once
def by_climbing(scenes: tuple[Mixed, ...]) -> Array:
    """Log max over eta of E_n[p(x_n given eta) / c_n], less the peak's, from a lattice, `(I,)`."""
    y = stacked(scenes).y
    c = np.array([s.logs for s in scenes])
    share = np.linspace(0, 1, 3)
    mixes = np.stack(np.meshgrid(*[share] * y.shape[1], indexing="ij"), -1).reshape(-1, y.shape[1])
    mixes = mixes[mixes.sum(axis=-1) > 0]
    points = (mixes / mixes.sum(axis=-1, keepdims=True)) @ y
    a = np.exp(-c) / y.shape[1]
    for _ in range(_CLIMB):
        terms = kernels(points, y) * a[:, None]
        points = terms @ y / terms.sum(axis=-1, keepdims=True)
    return np.log((kernels(points, y) * a[:, None]).sum(axis=-1).max(axis=-1))


def other_rule(y: Array, c: Array, rule: str) -> Array:
    """What a wrong version has in place of the log of the maximum, less the peak's, `(I,)`."""
    at_data = kernels(y, y) * np.exp(-c)[..., None]
    if rule == "over the data":
        return np.log(at_data.mean(axis=-2).max(axis=-1))
    if rule == "least":
        return np.log(at_data.mean(axis=-2).min(axis=-1))
    if rule == "of each term":
        return np.log(np.exp(-c).mean(axis=-1))
    # A log inside the mean has its maximum at the data's mean.
    away = y - y.mean(axis=1, keepdims=True)
    return (-c - 0.5 * (away**2).sum(axis=-1)).mean(axis=-1)


@together(alike=lambda scene: scene.shape)
def certificate(
    scenes: Sequence[Mixed], *, rule: str = "greatest", log: bool = True
) -> list[Comparison]:
    """Check the certificate of any numbers, and that those of the best mixture are sharp."""
    all_, found, best = stacked(scenes), library(tuple(scenes)), best_mixtures(tuple(scenes))
    peak, c = all_.peak, np.array([s.logs for s in scenes])
    upper = np.array([f.upper for f in found])
    lower = np.array([f.lower for f in found])
    climbed = by_climbing(tuple(scenes)) + peak
    value = np.array([f.value for f in best])
    best_c = np.array([f.log_density for f in best])
    # The certificate from the best mixture's own numbers.
    at_best = np.array([f.ceiling - f.value for f in best])
    used, sharp = upper, at_best
    if rule != "greatest":
        used = other_rule(all_.y, c, rule) + peak
        sharp = other_rule(all_.y, best_c, rule) + peak
    if not log:
        used, sharp = np.exp(upper), np.exp(at_best)
    bound = c.mean(axis=-1) + used
    others = np.stack([mean_log(all_.y, all_.outputs, all_.weights), by_em(tuple(scenes))[1]])
    rounding = lost(all_.y, peak) + gamma(100) * np.abs(c).max(axis=-1)
    size = 1 + np.abs(peak) + np.abs(value) + np.abs(c).max(axis=-1)
    ceilings = np.array([f.ceiling for f in found])
    each = [
        Comparison.each_at_most(
            np.moveaxis(others + peak, 0, 1), bound[:, None], scale=size[:, None],
            rounding=rounding[:, None],
        ),
        Comparison.each_at_most(value, bound, scale=size, rounding=rounding),
        Comparison.identities(
            value, value + sharp, scale=size, search=np.abs(at_best), rounding=rounding
        ),
        # The library's maximum against another search.
        Comparison.identities(
            upper, np.maximum(climbed, lower), scale=size, search=np.abs(upper - lower),
            rounding=rounding,
        ),
        Comparison.each_at_most(climbed, upper, scale=size, rounding=rounding),
        Comparison.each_at_most(lower, climbed, scale=size, search=1e-7, rounding=rounding),
        Comparison.each_at_most(value, ceilings, scale=size, rounding=rounding),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


CERTIFICATE = Proposition(
    label="18c",
    title="Any positive numbers certify how likely any VAE can make the data; the best are sharp",
    statement=(
        r"\mathbb E_n\log p(x_n) \le \mathbb E_n\log c_n + \log\max_{\eta \in \mathbb R^D}"
        r"\mathbb E_n\frac{p(x_n|\eta)}{c_n}, \quad \text{with the value NPMLE iff } "
        r"c_n \propto p_{\mathrm{NPMLE}}(x_n)"
    ),
    hypotheses=(
        FIXED,
        ANY_VAE,
        ("any numbers", r"c_n > 0: \text{ evidences of a model, or } e^{\mathrm{ELBO}_n}"),
    ),
    kind="inequality",
    instances=mixed_data(dims=(1, 1, 2)),
    check=certificate,
    controls=wrong(
        certificate,
        {
            "the maximum over the data only": {"rule": "over the data"},
            "the least value for the greatest": {"rule": "least"},
            "the mean of the maxima": {"rule": "of each term"},
            "the logarithm inside the mean": {"rule": "inside"},
            "without the logarithm": {"log": False},
        },
    ),
    uses=("18b",),
    figure="bounded-likelihood",
    examples=8,
)


@dataclass(frozen=True)
class BinaryData:
    """Binary data, numbers log c_n, and outputs of a decoder: probabilities of ones."""

    X: tuple[Vector, ...]
    logs: Vector
    outputs: tuple[Vector, ...]


@st.composite
def binary_data(draw: DrawFn) -> BinaryData:
    """Two to five data of one to three entries, some equal."""
    dim = draw(st.sampled_from((1, 2, 3)))
    entry = st.sampled_from((0.0, 1.0))
    X = draw(st.lists(st.tuples(*[entry] * dim), min_size=2, max_size=5))
    outputs = draw(
        st.lists(st.tuples(*[strategies.fractions(0, 4, 4)] * dim), min_size=1, max_size=3)
    )
    logs = draw(st.tuples(*[strategies.fractions(-6, 0, 2)] * len(X)))
    return BinaryData(tuple(X), logs, tuple(outputs))


def counted(
    scene: BinaryData, *, single: bool = False, middle: bool = False, repeated: bool = False
) -> Comparison:
    """Compare the library's certificate with the maximum over a lattice of probabilities."""
    X, c = np.array(scene.X), np.array(scene.logs)
    found = likelihood_certificate(Bernoulli(), X, log_evidence=c)
    a = np.exp(-c) / len(X)
    theta = np.array(list(product(np.linspace(0, 1, 5), repeat=X.shape[1])))
    at = np.where(X == 1, theta[:, None], 1 - theta[:, None]).prod(axis=-1) @ a
    exact = at.max()
    if single:
        exact = a.max()
    if middle:
        exact = np.where(X == 1, X.mean(axis=0), 1 - X.mean(axis=0)).prod(axis=-1) @ a
    _, counts = np.unique(X, axis=0, return_counts=True)
    shares = counts / len(X)
    entropy = np.log(len(X)) if repeated else float(-(shares * np.log(shares)).sum())
    size = 1 + np.abs(c).max() + np.log(len(X))
    rounding = gamma(400) * size
    outputs = np.array(scene.outputs)
    density = np.where(X[:, None] == 1, outputs, 1 - outputs).prod(axis=-1).mean(axis=-1)
    with np.errstate(divide="ignore"):
        mixture = np.maximum(np.log(density), -700).mean()
    return Comparison.all_of(
        Comparison.identity([found.lower, found.upper], np.log(exact), scale=size,
                            rounding=rounding),
        Comparison.identity([found.ceiling, found.reached], -entropy, scale=size,
                            rounding=rounding),
        Comparison.at_most(mixture, -entropy, scale=size, rounding=rounding),
    )  # fmt: skip


COUNTED = Proposition(
    label="18c-counted",
    title="For binary data the certificate is the largest sum of equal data; the best is entropy",
    statement=(
        r"\max_\theta\mathbb E_n\frac{p(x_n|\theta)}{c_n} = \max_x\frac1N\sum_{n:\,x_n = x}"
        r"\frac1{c_n}, \quad \mathrm{NPMLE} = -H_{\mathrm{data}}"
    ),
    hypotheses=(
        ("a probability that can be 1", r"\sum_x p(x|\eta) \le 1,\ \sup_\eta p(x|\eta) = 1: "
         r"\text{Bernoulli, categorical}"),
        ANY_VAE,
    ),
    kind="identity",
    instances=binary_data(),
    check=counted,
    controls=wrong(
        counted,
        {
            "equal data are not added": {"single": True},
            "the maximum is at the mean": {"middle": True},
            "log N for data that repeat": {"repeated": True},
        },
    ),
    uses=("18c",),
)  # fmt: skip
