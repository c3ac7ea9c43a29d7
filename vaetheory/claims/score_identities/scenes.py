"""Instances of claim 19: models with parameters, and series of their evidence on lattices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import gammaln

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import once, strategies
from vaetheory.checking.lattice import lattice
from vaetheory.checking.strategies import Vector
from vaetheory.encoders import Posterior
from vaetheory.jets import Jet, push
from vaetheory.likelihoods import Likelihood
from vaetheory.rounding import gamma
from vaetheory.scores import ParametricModel

FISHER = (
    "a smooth model",
    r"\nabla_\theta\int p(x, z; \theta)\,dz = \int\nabla_\theta\,p(x, z; \theta)\,dz,\ "
    r"\text{twice for second derivatives}",
)


def _line(theta: Any, z: Any) -> Any:
    means = anp.concatenate([theta[..., :1] * z, theta[..., 1:2] + 0 * z], axis=-1)
    return anp.concatenate([means, theta[..., 2:] + 0 * means], axis=-1)


def _parabola(theta: Any, z: Any) -> Any:
    return anp.concatenate([theta[..., :1] * z, theta[..., 1:] * z**2], axis=-1)


def _saturating(theta: Any, z: Any) -> Any:
    means = anp.concatenate([theta[..., :1] * anp.tanh(theta[..., 1:2] * z), z], axis=-1)
    return anp.concatenate([means, theta[..., 2:] + 0 * means], axis=-1)


def _two_outputs(theta: Any, z: Any) -> Any:
    first = theta[..., :1] * z + theta[..., 1:2]
    return anp.concatenate([first, theta[..., 2:] * anp.tanh(z)], axis=-1)


def _plane(theta: Any, z: Any) -> Any:
    a, b = z[..., :1], z[..., 1:]
    first = theta[..., :1] * a + theta[..., 1:2] * b
    return anp.concatenate([first, anp.tanh(theta[..., 2:] * b)], axis=-1)


class Kind(NamedTuple):
    """A family of models: its function, its likelihood, the number of latents and of parameters."""

    function: Callable[[Any, Any], Any]
    likelihood: Likelihood
    dim: int
    size: int


_LEARNED = likelihoods.GaussianMeanScale(least_scale=2.0**-10)
KINDS = {
    "line": Kind(_line, _LEARNED, 1, 3),
    "parabola": Kind(_parabola, likelihoods.Gaussian(scale=0.5), 1, 2),
    "saturating": Kind(_saturating, _LEARNED, 1, 3),
    "bits": Kind(_two_outputs, likelihoods.Bernoulli(), 1, 3),
    "counts": Kind(_two_outputs, likelihoods.Poisson(), 1, 3),
    "plane": Kind(_plane, likelihoods.Gaussian(scale=0.5), 2, 3),
}
#: Half the width of the lattices and their step: some standard deviations of the posteriors.
LATTICES = {
    "line": (16.0, 1 / 40),
    "parabola": (11.0, 1 / 80),
    "saturating": (11.0, 1 / 80),
    "bits": (10.0, 1 / 16),
    "counts": (10.0, 1 / 16),
    "plane": (9.0, 1 / 6),
}


@dataclass(frozen=True)
class FamilyScene:
    """A family, its parameters, a datum, and a Gaussian q of independent coordinates."""

    kind: str
    theta: Vector
    x: Vector
    loc: Vector
    deviation: float

    @cached_property
    def model(self) -> ParametricModel:
        """The model at its parameters."""
        kind = KINDS[self.kind]
        return ParametricModel(kind.function, kind.likelihood, self.theta, kind.dim)

    @property
    def posterior(self) -> Posterior:
        """The Gaussian q."""
        return Posterior([self.loc], scale=self.deviation)


@st.composite
def family_scenes(draw: DrawFn) -> FamilyScene:
    """All families; with small noise, and with data far from all outputs."""
    name = draw(st.sampled_from(("line", "saturating", "parabola", "bits", "counts", "plane")))
    kind = KINDS[name]
    theta = list(draw(st.tuples(*[strategies.nonzero_fractions(3, 2)] * kind.size)))
    if name in ("line", "saturating"):
        theta[2] = draw(st.sampled_from((0.0, -0.5, -2.5)))
    if name == "bits":
        x = draw(st.tuples(*[st.sampled_from((0.0, 1.0))] * 2))
    elif name == "counts":
        x = draw(st.tuples(*[strategies.fractions(0, 5)] * 2))
    else:
        far = draw(st.sampled_from((1.0, 1.0, 2.0 if name == "plane" else 4.0)))
        x = tuple(far * v for v in draw(strategies.vectors(2, -3, 3)))
    loc = draw(strategies.vectors(kind.dim, -2, 2))
    return FamilyScene(name, tuple(theta), x, loc, draw(st.sampled_from((0.5, 0.25, 1.0))))


def log_density(family: Likelihood, x: Array, outputs: Any) -> Any:
    """Log p(x given outputs) from densities written here, for series too; `(..., P) -> (...)`."""
    size = x.shape[-1]
    usual = family.usual_parameters(np.zeros(size * family.params_each))
    assert usual is not None, "expected a family with a usual name"
    if usual[0] == "bernoulli":
        return np.sum(x * outputs - np.logaddexp(0.0, outputs), axis=-1)
    if usual[0] == "poisson":
        return np.sum(x * outputs - np.exp(outputs), axis=-1) - gammaln(x + 1).sum(axis=-1)
    if family.params_each == 2:
        mean, log_scale = outputs[..., :size], outputs[..., size:]
    else:
        mean, log_scale = outputs, np.log(usual[1]["scale"])
    square = np.square((x - mean) * np.exp(-log_scale))
    return np.sum(-0.5 * square - log_scale - 0.5 * np.log(2 * np.pi), axis=-1)


def directions(size: int) -> Array:
    """Unit vectors, and sums of two of them: second derivatives along these give a Hessian."""
    j, k = np.triu_indices(size, 1)
    unit = np.eye(size)
    return np.concatenate([unit, unit[j] + unit[k]])


def gradient_and_hessian(series: Array, size: int) -> tuple[Array, Array]:
    """Gradient `(I, p)`, Hessian `(I, p, p)` from coefficients `(2, V, I)` along `directions`."""
    first, second = series[0, :size].T, 2 * series[1]
    hessian = np.zeros((series.shape[-1], size, size))
    for i in range(size):
        hessian[:, i, i] = second[i]
    for v, (j, k) in enumerate(zip(*np.triu_indices(size, 1), strict=True), start=size):
        mixed = (second[v] - second[j] - second[k]) / 2
        hessian[:, j, k] = hessian[:, k, j] = mixed
    return first, hessian


class Derivatives(NamedTuple):
    """Gradients `(I, p)` and Hessians `(I, p, p)` in parameters, each with an error estimate."""

    gradient: Array
    hessian: Array
    gradient_error: Array
    hessian_error: Array


def series_of(logs: Jet, log_weights: Array) -> tuple[Array, Array]:
    """Coefficients 1 and 2 of log sum exp, `(2, V, I)`, and the sizes of what is summed.

    `logs` `(V, I, M)` are series, `log_weights` `(I, M)` or `(M,)` numbers.
    """
    c = logs.coefficients
    height = (c[0] + log_weights).max(axis=-1, keepdims=True)
    share = np.exp(c[0] + log_weights - height)
    share /= share.sum(axis=-1, keepdims=True)
    # A slope that all terms share would cancel in the second order: it is taken out and added.
    middle = (share * c[1:]).sum(axis=-1, keepdims=True)
    inner = Jet(np.concatenate([(c[0] + log_weights - height)[None], c[1:] - middle]))
    total = np.log(np.exp(inner).sum(axis=-1)).coefficients[1:] + middle[..., 0]
    away = np.abs(c[1:] - middle)
    spread = np.stack([away[0], away[1] + away[0] ** 2])
    # A weight is rounded as its logarithm is, which is as large as the height.
    weighed = (share * spread).sum(axis=-1) * (1 + np.abs(height[..., 0]))
    return total, (share * np.abs(c[1:])).sum(axis=-1) + weighed


def _series(kind: str, theta: Array, x: Array, z: Array) -> Jet:
    """Series of log p(x given z; theta + t v) along all directions, `(V, I, M)`."""
    size = theta.shape[-1]
    start = np.broadcast_to(theta[:, None], (len(directions(size)), len(theta), 1, size))
    slope = np.broadcast_to(directions(size)[:, None, None], start.shape)
    path = Jet(np.stack([start, slope, 0 * start]))
    points = np.broadcast_to(z, (*start.shape[:2], *z.shape))
    outputs = push(lambda t: KINDS[kind].function(t, points), path)
    found: Jet = log_density(KINDS[kind].likelihood, x[:, None], outputs)
    return found


@once
def of_evidence(scenes: tuple[FamilyScene, ...]) -> Derivatives:
    """Derivatives of log p(x; theta): Taylor series of lattice sums of the joint density."""
    kind = scenes[0].kind
    dim, size = KINDS[kind].dim, KINDS[kind].size
    reach, step = LATTICES[kind]
    theta, x = np.array([s.theta for s in scenes]), np.array([s.x for s in scenes])
    found = []
    for offset in (0.0, 0.5):
        z = lattice(np.full(dim, -reach), np.full(dim, reach), step, offset)
        prior = -0.5 * (z**2).sum(axis=-1)
        found.append(series_of(_series(kind, theta, x, z), prior))
    return _derivatives([f[0] for f in found], found[0][1], size)


@once
def of_gaussian_mean(scenes: tuple[FamilyScene, ...]) -> Derivatives:
    """Derivatives of E_q[log p(x, z; theta)] likewise, with q's own weights."""
    kind = scenes[0].kind
    dim, size = KINDS[kind].dim, KINDS[kind].size
    theta, x = np.array([s.theta for s in scenes]), np.array([s.x for s in scenes])
    values, sizes = [], []
    for offset in (0.0, 0.5):
        w = lattice(np.full(dim, -10.0), np.full(dim, 10.0), 1 / 4 if dim > 1 else 1 / 16, offset)
        share = np.exp(-0.5 * (w**2).sum(axis=-1))
        each = []
        for i, scene in enumerate(scenes):
            z = np.array(scene.loc) + scene.deviation * w
            each.append(_series(kind, theta[i : i + 1], x[i : i + 1], z).coefficients[1:, :, 0])
        c = np.stack(each, axis=2)
        values.append((c @ share) / share.sum())
        sizes.append((np.abs(c) @ share) / share.sum())
    return _derivatives(values, sizes[0], size)


def _derivatives(values: Sequence[Array], sizes: Array, size: int) -> Derivatives:
    """Derivatives from the coefficients of two lattices, and the sizes of the terms."""
    first, second = (gradient_and_hessian(v, size) for v in values)
    rounding = gamma(400) * gradient_and_hessian(sizes, size)[0]
    # Second derivatives across are differences of three along.
    across = gamma(400) * 4 * sizes[1].max(axis=0)[:, None, None]
    return Derivatives(
        (first[0] + second[0]) / 2,
        (first[1] + second[1]) / 2,
        np.abs(first[0] - second[0]) + rounding,
        np.abs(first[1] - second[1]) + across,
    )
