"""Checks of 19f-spectrum and 19f-collapse: EM for probabilistic PCA, at its maximum and at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.score_identities.em import EXACT
from vaetheory.rounding import gamma
from vaetheory.scores import ParametricModel, em_rates, ppca_em_rates

PPCA = ("probabilistic PCA", r"f(z) = Wz,\ p(x|z) = \mathcal N(f(z), \sigma^2 I),\ "
        r"\sigma^2 \text{ known},\ \lambda_j = \lambda_j(\tfrac1N\sum_n x_nx_n^\top)")  # fmt: skip
#: Outputs of the families of one column at zero.
_FEW = 3


@dataclass(frozen=True)
class PCAScene:
    """Eigenvalues of the data's covariance, the noise, the columns' turn, and the data's axes."""

    eigenvalues: Vector
    variance: float
    angles: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def dim(self) -> int:
        """The number of columns."""
        return len(self.angles) + 1

    @property
    def covariance(self) -> Array:
        """The covariance of the data."""
        turn = strategies.rotation(self.axes, len(self.eigenvalues))
        return (turn * np.array(self.eigenvalues)) @ turn.T

    @property
    def best(self) -> Array:
        """W at the maximum, with turned columns."""
        lengths = np.sqrt(np.array(self.eigenvalues[: self.dim]) - self.variance)
        turn = strategies.rotation(self.axes, len(self.eigenvalues))
        columns = turn[:, : self.dim] * lengths
        return np.asarray(columns @ strategies.rotation(self.angles, self.dim).T)


@st.composite
def pca_scenes(draw: DrawFn) -> PCAScene:
    """Up to eight columns of up to ten outputs; little and much noise, all units active."""
    dim = draw(st.sampled_from((1, 2, 2, 3, 4, 8)))
    size = dim + draw(st.integers(0, 2))
    values = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 3.0, 4.0, 1.5, 8.0, 0.5))] * size))
    lam = tuple(sorted(values, reverse=True))
    variance = lam[dim - 1] * draw(st.sampled_from((0.5, 0.25, 0.75, 0.0625)))
    return PCAScene(lam, variance, draw(strategies.angles(dim)), draw(strategies.angles(size)))


def em_slope(covariance: Array, W: Array, variance: float) -> Array:
    """Derivative `(D d, D d)` of EM's map for W at W `(D, d)`, by complex steps."""
    D, d = W.shape
    step = 1e-30
    moved = W + 1j * step * np.eye(D * d).reshape(D * d, D, d)
    turned = np.swapaxes(moved, -1, -2)
    unit = variance * np.eye(d)
    M = turned @ moved + unit
    # W_+ = C W (sigma^2 + M^-1 W^T C W)^-1, with C the covariance of the data.
    right = unit + np.linalg.solve(M, turned @ covariance @ moved)
    new = np.swapaxes(
        np.linalg.solve(np.swapaxes(right, -1, -2), np.swapaxes(covariance @ moved, -1, -2)), -1, -2
    )
    slope: Array = (new.imag / step).reshape(D * d, D * d).T
    return slope


@once
def slopes(scenes: tuple[PCAScene, ...]) -> Array:
    """Derivatives of EM's map at the maxima, `(I, D d, D d)`."""
    return np.array([em_slope(s.covariance, s.best, s.variance) for s in scenes])


def spectrum(lam: Array, d: int, s: float, *, excess: float, turns: float, power: float) -> Array:
    """The rates of 19f-spectrum, written out pair by pair, in descending order."""
    rates = [(lam[k] / lam[j]) ** power for j in range(d) for k in range(d, len(lam))]
    for j in range(d):
        for k in range(j, d):
            rates.append(1 - s * (lam[j] + lam[k] - excess * s) / (lam[j] * lam[k]))
            rates += [turns] * (j < k)
    return np.sort(rates)[::-1]


def _shape(scene: PCAScene) -> tuple[int, int]:
    return len(scene.eigenvalues), scene.dim


@together(alike=_shape)
def all_rates(
    scenes: Sequence[PCAScene], *, excess: float = 2.0, turns: float = 1.0, power: float = 1.0
) -> list[Comparison]:
    """Compare closed rates, and the library's, with the eigenvalues of complex steps."""
    matrix = slopes(tuple(scenes))
    turned = np.swapaxes(matrix, -1, -2)
    found = np.linalg.eigvalsh((matrix + turned) / 2)[:, ::-1]
    lam, s = np.array([c.eigenvalues for c in scenes]), np.array([c.variance for c in scenes])
    d = scenes[0].dim
    told = np.array([
        spectrum(values, d, noise, excess=excess, turns=turns, power=power)
        for values, noise in zip(lam, s, strict=True)
    ])  # fmt: skip
    own = np.array([
        ppca_em_rates(values, d, variance=noise) for values, noise in zip(lam, s, strict=True)
    ])  # fmt: skip
    lost = (gamma(400 * lam.shape[1]) * (lam[:, 0] / s) ** 2)[:, None]
    each = (
        Comparison.identities(found, told, scale=1.0, rounding=lost),
        Comparison.identities(found, own, scale=1.0, rounding=lost),
        # At the maximum the complete information is a multiple of I: the derivative is symmetric.
        Comparison.identities(matrix, turned, scale=1.0, rounding=lost[..., None]),
    )
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


SPECTRUM = Proposition(
    label="19f-spectrum",
    title="All rates of EM for probabilistic PCA: rotations stand still, little noise is slow",
    statement=(
        r"\operatorname{spec}\frac{\partial W_+}{\partial W} = \Big\{\frac{\lambda_k}{\lambda_j}"
        r"\Big\}_{j \le d < k} \cup \Big\{1 - \sigma^2\,\frac{\lambda_j + \lambda_k - 2\sigma^2}"
        r"{\lambda_j\lambda_k}\Big\}_{j \le k \le d} \cup \{1\}_{j < k \le d}"
    ),
    hypotheses=(
        PPCA,
        EXACT,
        ("at the maximum", r"W = U_d(\Lambda_d - \sigma^2)^{1/2}R,\ \lambda_d > \sigma^2"),
    ),
    kind="identity",
    instances=pca_scenes(),
    check=all_rates,
    controls=wrong(
        all_rates,
        {
            "the noise taken off once only": {"excess": 1.0},
            "rotations of the latents converge as well": {"turns": 0.0},
            "power iteration with the square of the eigenvalues": {"power": 2.0},
        },
    ),
    uses=("19f", "12b"),
    figure="score-identities",
    examples=30,
)


@dataclass(frozen=True)
class CollapsedScene:
    """Eigenvalues of the data's covariance, the noise, and the number of columns, all zero."""

    eigenvalues: Vector
    variance: float
    dim: int


@st.composite
def collapsed_scenes(draw: DrawFn) -> CollapsedScene:
    """Noise above and below the greatest eigenvalue, and equal to it."""
    size = draw(st.sampled_from((1, 2, 2, 3, 8)))
    lam = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 4.0, 0.5))] * size))
    variance = draw(st.sampled_from((1.0, 2.0, 3.0, 0.5, 5.0)))
    return CollapsedScene(tuple(sorted(lam, reverse=True)), variance, draw(st.integers(1, size)))


@once
def of_collapsed(scenes: tuple[CollapsedScene, ...]) -> list[tuple[Array, Array, float]]:
    """Rates at W = 0 by complex steps; and the library's with one column, with its error."""
    found = []
    for s in scenes:
        lam = np.array(s.eigenvalues)
        slope = em_slope(np.diag(lam), np.zeros((len(lam), s.dim)), s.variance)
        lower = lam[:_FEW]
        # Data on the axes, of either sign, have this covariance.
        axes = np.diag(np.sqrt(len(lower) * lower))
        family = ParametricModel(
            _times, likelihoods.Gaussian(scale=np.sqrt(s.variance)), 0 * lower, 1
        )
        own = em_rates(family, np.concatenate([axes, -axes]))
        found.append((np.sort(np.linalg.eigvals(slope).real)[::-1], own.value, own.error))
    return found


def _times(theta: Any, z: Any) -> Any:
    return theta * z


@together
def collapsed(scenes: Sequence[CollapsedScene], *, law: str = "ratio") -> list[Comparison]:
    """Compare the rates at W = 0 with lam / sigma^2."""
    comparisons = []
    for s, (found, own, error) in zip(scenes, of_collapsed(tuple(scenes)), strict=True):
        lam = np.array(s.eigenvalues)
        ratio = {
            "ratio": lam / s.variance,
            "share": lam / (lam + s.variance),
            "excess": 1 - s.variance / lam,
            "root": np.sqrt(lam / s.variance),
        }[law]
        size = 1 + lam[0] / s.variance
        lost = gamma(400 * len(lam)) * size
        comparisons.append(
            Comparison.all_of(
                Comparison.identity(found, np.repeat(ratio, s.dim), scale=size, rounding=lost),
                Comparison.identity(own, ratio[:_FEW], scale=size, library=error, rounding=lost),
            )
        )
    return comparisons


COLLAPSED = Proposition(
    label="19f-collapse",
    title="EM leaves a collapsed model if and only if the noise is below the greatest eigenvalue",
    statement=(
        r"W = 0:\quad \operatorname{spec}\frac{\partial W_+}{\partial W} = "
        r"\Big\{\frac{\lambda_j}{\sigma^2}\Big\} \ (d \text{ times each}),\quad "
        r"\text{all below } 1 \iff \sigma^2 > \lambda_1"
    ),
    hypotheses=(PPCA, EXACT),
    kind="identity",
    instances=collapsed_scenes(),
    check=collapsed,
    controls=wrong(
        collapsed,
        {
            "lam / (lam + sigma^2)": {"law": "share"},
            "1 - sigma^2 / lam": {"law": "excess"},
            "the root": {"law": "root"},
        },
    ),
    uses=("19f", "13a"),
    examples=8,
)
