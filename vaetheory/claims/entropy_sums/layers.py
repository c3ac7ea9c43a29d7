"""Checks of 23a-layer, 23c and 23c-chart: which layers have the own direction, and which not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.entropy_sums.scenes import (
    STEP,
    Trained,
    averaged,
    difference,
    split,
    trained,
)
from vaetheory.claims.entropy_sums.stationary_sums import CODES, FAMILY, lost
from vaetheory.rounding import gamma

_NATURAL = ("Bernoulli", "categorical", "continuous Bernoulli", "Poisson", "Gaussian")
_SHIFTED = ("exponential", "Gamma")
_STEPS = 60
#: Codes of different data that differ little, so that no layer explains all of them.
_OVERLAPPING: Mapping[str, Any] = {"reach": 1, "variances": (1.0, 2.0)}


def moved(scene: Trained, weight: float, bias: float, shift: float, log_scale: float) -> Trained:
    """The scene with its last layer multiplied by 1 + weight and 1 + bias, and shifted biases."""
    W, b = np.array(scene.weight), np.array(scene.bias)
    changed = (1 + bias) * b + shift
    if scene.row.outputs == 2:
        changed[len(b) // 2 :] += log_scale
    rows = tuple(tuple(row) for row in ((1 + weight) * W).tolist())
    return replace(scene, weight=rows, bias=tuple(changed.tolist()))


@once
def along(
    scene: Trained, weight: float = 0.0, bias: float = 0.0, shift: float = 0.0, scale: float = 0.0
) -> tuple[float, float, float]:
    """The mean log likelihood's derivative along a direction of the last layer; error and size."""

    def at(e: float) -> Array:
        there = moved(scene, e * weight, e * bias, e * shift, e * scale)
        u, weights = there.points()
        logs = there.row.log_density(there.codes.data[:, None], there.params(u), 1.0)
        return averaged(weights, logs)

    slope, _, error = difference(at, 0.0, STEP)
    return slope, error, 1 + float(abs(at(0.0)[0]))


def compared(remainder: float, slope: tuple[float, float, float], library: float) -> Comparison:
    """Compare the library's remainder with a derivative by differences."""
    value, error, size = slope
    return Comparison.identity(
        remainder, value, scale=size, difference=error, library=library,
        rounding=lost(size) / STEP,
    )  # fmt: skip


def own_direction(scene: Trained, *, bias: float = 1.0, shift: float = -1.0) -> Comparison:
    """Compare the library's remainder with the derivative along the layer's own direction."""
    found = split(scene)
    if scene.family in _SHIFTED:
        slope = along(scene, shift=shift)
    elif scene.row.outputs == 2:
        slope = along(scene, scale=shift / 2)
    else:
        slope = along(scene, weight=1.0, bias=bias)
    library = 0.0 if scene.many else found.remainder_error
    return compared(found.remainder, slope, library)


OWN_DIRECTION = Proposition(
    label="23a-layer",
    title="A last layer with its bias can rescale the natural parameters; where log means or log "
    "scales are given, a bias alone can",
    statement=(
        r"\varphi = Wh(z) + b: \ \partial_t = \langle W, \partial_W\rangle + "
        r"\langle b, \partial_b\rangle; \quad \text{Gamma, } \log m = Wh(z) + b: \ \partial_t = "
        r"-\textstyle\sum_i\partial_{b_i}; \quad \text{learned } \log s: \ \partial_t = "
        r"-\tfrac12\sum_i\partial_{b_i}"
    ),
    hypotheses=(FAMILY, CODES, ("last layer", r"W, b \text{ are parameters; } h(z) \text{ are any "
                r"features}")),
    kind="identity",
    instances=trained((*_NATURAL, *_SHIFTED, "Gaussian of learned scale")),
    check=own_direction,
    controls=wrong(
        own_direction,
        {
            "the weights without the bias": {"bias": 0.0},
            "twice the shift of the biases": {"shift": -2.0},
            "the shift with the other sign": {"shift": 1.0},
        },
    ),
    uses=("23a",),
    figure="entropy-sums",
    examples=14,
)  # fmt: skip


@once
def fitted(scene: Trained, bias: bool) -> Trained:
    """The scene with the best last layer, with a learned bias or the given one: Newton's method."""
    family, X = scene.row.likelihood, scene.codes.data
    u, weights = scene.points()
    slope, shift = np.array(scene.hidden)
    features = np.tanh(slope * u[..., None] + shift)
    if bias:
        features = np.concatenate([features, np.ones((*u.shape, 1))], axis=-1)
    fixed = np.zeros(len(scene.bias)) if bias else np.array(scene.bias)
    outputs, size = len(fixed), features.shape[-1]
    # The Jacobian of the outputs in the entries of the layer.
    jacobian = np.einsum("ij,nmk->nmijk", np.eye(outputs), features)
    jacobian = jacobian.reshape(*u.shape, outputs, outputs * size)
    shares = weights / len(X)
    layer, height = np.zeros((outputs, size)), -np.inf
    step, share = np.zeros_like(layer), 1.0
    for _ in range(_STEPS):
        params = features @ (layer + share * step).T + fixed
        new = float((shares * family.log_prob(X[:, None], params)).sum())
        if new < height - gamma(10**4) * (1 + abs(height)) and share > 1e-6:
            # Log p is concave in the layer: a shorter step along Newton's direction raises it.
            share /= 2
            continue
        layer, height = layer + share * step, new
        score = family.score(X[:, None], params)
        gradient = np.einsum("nm,nmi,nmik->k", shares, score, jacobian)
        if np.abs(gradient).max() < 1e-13:
            break
        bend = family.observed_information(X[:, None], params, jacobian)
        newton = np.linalg.lstsq(np.einsum("nm,nmkl->kl", shares, bend), gradient, rcond=1e-12)[0]
        step, share = newton.reshape(layer.shape), 1.0
    rows = tuple(tuple(row) for row in layer[:, :2].tolist())
    return replace(scene, weight=rows, bias=tuple((layer[:, 2] if bias else fixed).tolist()))


@once
def pieces(scene: Trained) -> tuple[float, float, float]:
    """Means of the offset, of the offset times the data, and times the law's mean."""
    u, weights = scene.points()
    params, offset, X = scene.params(u), np.array(scene.bias), scene.codes.data[:, None]
    family = scene.row.likelihood
    T, mean = family.statistics(X), family.mean(params)
    # The natural parameters of the offset: the Gaussian's are whitened.
    c = family.natural_parameters(offset)

    def of(values: Array) -> float:
        return float(averaged(weights, (c * values).sum(axis=-1))[0])

    return of(np.ones_like(mean)), of(T + 0 * mean), of(mean)


def fixed_offset(scene: Trained, *, left: str = "centred") -> Comparison:
    """Compare the remainder of the best layer with the derivative along the fixed offset."""
    best = fitted(scene, False)
    found = split(best)
    layer, offset = along(best, weight=1.0), along(best, bias=1.0)
    alone, times_data, times_mean = pieces(best)
    expected = {
        "centred": offset[0],
        "nothing": 0.0,
        "alone": alone,
        "data": times_data,
        "mean": -times_mean,
    }[left]
    size = offset[2] + abs(alone) + abs(times_data) + abs(times_mean)
    slope = (expected, offset[1] + layer[1] + abs(layer[0]), size)
    return Comparison.all_of(
        compared(found.remainder, slope, found.remainder_error),
        Comparison.identity(
            offset[0], times_data - times_mean, scale=size, difference=offset[1],
            rounding=lost(size) / STEP,
        ),
    )  # fmt: skip


FIXED_OFFSET = Proposition(
    label="23c",
    title="A fixed offset of the natural parameters leaves a remainder at the best of all layers",
    statement=(
        r"\varphi = Wh(z) + c,\ \partial_W = 0: \quad \mathbb E_n\mathbb E_q[\log p(x_n|z)] = "
        r"-\mathbb E_n\mathbb E_q\tilde H + \mathbb E_n\log h(x_n) + "
        r"\mathbb E_n\mathbb E_q[c^\top(T(x_n) - \mathbb E_{p(x|z)}T)]"
    ),
    hypotheses=(FAMILY, CODES, ("fixed offset", r"c \text{ is no parameter: a bias that is not "
                r"learned, or a given base rate}")),
    kind="counterexample",
    instances=trained(_NATURAL, (1, 1, 1, 2), **_OVERLAPPING),
    check=fixed_offset,
    controls=wrong(
        fixed_offset,
        {
            "the sum of entropies all the same": {"left": "nothing"},
            "the mean of the offset": {"left": "alone"},
            "the offset times the data": {"left": "data"},
            "minus the offset times the law's mean": {"left": "mean"},
        },
    ),
    uses=("23a", "23b", "23a-layer"),
    figure="entropy-sums",
    examples=10,
)  # fmt: skip


def other_chart(scene: Trained, *, law: str = "phi") -> Comparison:
    """Check that the best layer for log means of counts leaves a remainder."""
    best = fitted(scene, True)
    found = split(best)
    stays = [along(best, weight=1.0), along(best, shift=1.0)]
    u, weights = best.points()
    params, X = best.params(u), best.codes.data[:, None]
    family = best.row.likelihood
    centred = X - family.mean(params)
    factor = family.natural_parameters(params) if law == "phi" else params
    values = averaged(weights, (factor * centred).sum(axis=-1))
    expected = 0.0 if law == "nothing" else float(values[0])
    size = stays[0][2] + float(averaged(weights, np.abs(factor * centred).sum(axis=-1))[0])
    return Comparison.all_of(
        Comparison.identity(
            found.remainder, expected, scale=size, library=found.remainder_error,
            lattice=float(np.ptp(values)), rounding=lost(size),
        ),
        # The layer is the best one: nothing changes along its weights and its biases.
        *[
            Comparison.identity(
                slope, 0.0, scale=size, difference=error, search=gamma(10**4) * size,
                rounding=lost(size) / STEP,
            )
            for slope, error, _ in stays
        ],
    )  # fmt: skip


OTHER_CHART = Proposition(
    label="23c-chart",
    title="A last layer that gives log means of negative binomial counts cannot rescale the "
    "natural parameters",
    statement=(
        r"\log m = Wh(z) + b,\ \partial_W = \partial_b = 0: \quad \partial_t = "
        r"\mathbb E_n\mathbb E_q\Big[\sum_i\log\frac{m_i}{m_i + r}(x_{ni} - m_i)\Big] \ne 0"
    ),
    hypotheses=(
        ("negative binomial", r"m(z) \text{ the means},\ r \text{ fixed}"),
        CODES,
        ("features", r"h \text{ not constant; with a constant } h \text{ it is zero}"),
    ),
    kind="counterexample",
    instances=trained(("negative binomial",), (1, 1, 1, 2), **_OVERLAPPING),
    check=other_chart,
    controls=wrong(
        other_chart,
        {
            "every learned last layer has it": {"law": "nothing"},
            "the log mean as natural parameter": {"law": "log mean"},
        },
    ),
    uses=("23b", "23a-layer"),
    examples=8,
)
