"""Check of 19b-linear: scores and informations of linear models with many latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.score_identities.scenes import FISHER, directions, gradient_and_hessian
from vaetheory.jets import Jet
from vaetheory.rounding import gamma
from vaetheory.scores import ParametricModel, evidence_information


@dataclass(frozen=True)
class Scaled:
    """The outputs a W z + c b, and a log scale t, of parameters (a, c, t)."""

    weight: tuple[Vector, ...]
    bias: Vector

    def __call__(self, theta: Any, z: Any) -> Any:
        """Outputs of parameters `(..., 3)` and latents `(..., d)`."""
        means = theta[..., :1] * (z @ np.array(self.weight).T) + theta[..., 1:2] * np.array(
            self.bias
        )
        return anp.concatenate([means, theta[..., 2:] + 0 * means], axis=-1)


@dataclass(frozen=True)
class WideScene:
    """A linear model by its singular values and axes, its parameters, and a datum."""

    singular_values: Vector
    left: tuple[int, ...]
    right: tuple[int, ...]
    bias: Vector
    theta: Vector
    x: Vector

    @property
    def axes(self) -> Array:
        """The left singular vectors, and the other axes of the data, `(D, D)`."""
        return strategies.rotation(self.left, len(self.x))

    @cached_property
    def model(self) -> ParametricModel:
        """The model at its parameters."""
        d = len(self.singular_values)
        columns = strategies.rotation(self.right, d)
        weight = (self.axes[:, :d] * np.array(self.singular_values)) @ columns.T
        function = Scaled(tuple(map(tuple, weight.tolist())), self.bias)
        family = likelihoods.GaussianMeanScale(least_scale=2.0**-10)
        return ParametricModel(function, family, self.theta, d)

    @property
    def code(self) -> Array:
        """The posterior mean, `(d,)`."""
        a, c, t = self.theta
        d = len(self.singular_values)
        s = a * np.array(self.singular_values) / np.exp(t)
        along = (np.array(self.x) - c * np.array(self.bias)) @ self.axes[:, :d] / np.exp(t)
        return np.asarray(strategies.rotation(self.right, d) @ (s * along / (1 + s**2)))


@st.composite
def wide_scenes(draw: DrawFn) -> WideScene:
    """Five to sixteen latents; some data far, some noise small, some directions nearly unseen."""
    dim = draw(st.sampled_from((5, 8, 16)))
    size = dim + draw(st.integers(0, 2))
    far = draw(st.sampled_from((1.0, 1.0, 20.0)))
    entries = strategies.fractions(-4, 4, 2)
    return WideScene(
        draw(strategies.repeated(st.sampled_from((1.0, 2.0, 0.5, 0.0625)), dim)),
        draw(strategies.repeated(strategies.ANGLES, size - 1)),
        draw(strategies.repeated(strategies.ANGLES, dim - 1)),
        draw(strategies.repeated(entries, size)),
        (
            draw(strategies.nonzero_fractions(3, 2)),
            draw(strategies.fractions(-2, 2)),
            draw(st.sampled_from((0.0, -1.0, -2.5))),
        ),
        tuple(far * v for v in draw(strategies.repeated(entries, size))),
    )


@once
def of_library(scenes: tuple[WideScene, ...]) -> tuple[Array, ...]:
    """Scores, complete and missing informations of the library, their errors, and bare scores."""
    found = []
    for scene in scenes:
        info = evidence_information(scene.model, [scene.x])
        bare = scene.model.score(np.array([scene.x]), scene.code[None])[0]
        found.append((
            info.score, info.complete, info.missing, info.score_error, info.complete_error,
            info.missing_error, bare,
        ))  # fmt: skip
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


@once
def of_eigenvalues(scenes: tuple[WideScene, ...]) -> tuple[Array, Array, Array]:
    """Gradient, Hessian and size of N(x; c b, a^2 W W^T + e^2t) from series along its axes."""
    series, sizes = [], []
    for scene in scenes:
        start = np.broadcast_to(np.array(scene.theta), (len(directions(3)), 3))
        path = Jet(np.stack([start, directions(3), 0 * start]))
        a, c, t = (path[..., k : k + 1] for k in range(3))
        s = np.zeros(len(scene.x))
        s[: len(scene.singular_values)] = scene.singular_values
        values = np.square(a * s) + np.exp(2 * t)
        away = np.array(scene.x) @ scene.axes - c * (np.array(scene.bias) @ scene.axes)
        terms = -0.5 * (np.log(values) + np.square(away) / values)
        series.append(terms.sum(axis=-1).coefficients[1:])
        sizes.append(np.abs(terms.coefficients).sum(axis=-1).max())
    gradient, hessian = gradient_and_hessian(np.stack(series, axis=-1), 3)
    return gradient, hessian, np.array(sizes)


def _dims(scene: WideScene) -> tuple[int, int]:
    return len(scene.x), len(scene.singular_values)


@together(alike=_dims)
def wide(
    scenes: Sequence[WideScene], *, sign: float = 1.0, at_mean: bool = False, counted: float = 1.0
) -> list[Comparison]:
    """Compare the library's score and information with series of the closed evidence."""
    score, complete, missing, off, more, most, bare = of_library(tuple(scenes))
    gradient, hessian, sizes = of_eigenvalues(tuple(scenes))
    size = 1 + np.abs(complete) + np.abs(missing)
    lost = gamma(4000) * (1 + sizes)
    each = (
        Comparison.identities(
            bare if at_mean else score, gradient, scale=1 + np.abs(score), library=off,
            rounding=lost[:, None],
        ),
        Comparison.identities(
            counted * complete - sign * missing, -hessian, scale=size, complete=more,
            missing=most, rounding=lost[:, None, None],
        ),
    )  # fmt: skip
    return [Comparison.all_of(*pair) for pair in zip(*each, strict=True)]


WIDE = Proposition(
    label="19b-linear",
    title="Scores and informations of a linear model, however many latents",
    statement=(
        r"f(z) = aWz + cb,\ \sigma = e^t,\ \theta = (a, c, t):\quad "
        r"\nabla_\theta\log\mathcal N(x; cb, a^2WW^\top + e^{2t}I) = "
        r"\mathbb E_{p(z|x)}[\nabla_\theta\log p(x, z)],\quad -\nabla_\theta^2\log p(x) = "
        r"I_{\mathrm{com}} - I_{\mathrm{mis}}"
    ),
    hypotheses=(
        FISHER,
        ("many latents", r"5 \le d \le 16"),
        ("linear decoder", r"f(z) = aWz + cb"),
    ),
    kind="identity",
    instances=wide_scenes(),
    check=wide,
    controls=wrong(
        wide,
        {
            "the gradient at the mean code": {"at_mean": True},
            "nothing is missing": {"sign": 0.0},
            "twice the complete information": {"counted": 2.0},
        },
    ),
    uses=("19a", "19b", "3c"),
    examples=6,
)
