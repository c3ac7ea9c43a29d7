"""Checks of 17d and 17e: what stationarity under rotations says about the decoder's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.scenes import surfaces
from vaetheory.checking.strategies import Vector
from vaetheory.claims.implicit_regulariser.scenes import GAUSSIAN
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_SWEEPS = 30
_ANGLES = np.array([1 / 8, 1 / 16, 1 / 32, 1 / 64])


@dataclass(frozen=True)
class Frame:
    """A positive definite matrix by its spectrum and angles, and a start of the descent."""

    spectrum: Vector
    angles: tuple[int, ...]
    start: tuple[int, ...]
    diagonal: float
    off: float

    @property
    def M(self) -> Array:
        """The matrix, turned by the start."""
        turn = strategies.rotation(self.angles, len(self.spectrum))
        turn = turn @ strategies.rotation(self.start, len(self.spectrum))
        return turn.T @ np.diag(self.spectrum) @ turn


@st.composite
def frames(draw: DrawFn) -> Frame:
    """Matrices of two to six rows, and a two by two one of equal diagonal entries."""
    dim = draw(st.sampled_from((2, 3, 4, 6)))
    spectrum = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.5, 4.0))] * dim))
    off = draw(st.sampled_from((1.0, 0.5, -1.0, 0.25)))
    return Frame(
        spectrum, draw(strategies.angles(dim)), draw(strategies.angles(dim)),
        draw(st.sampled_from((2.0, 4.0))), off,
    )  # fmt: skip


@once
def descents(scenes: tuple[Frame, ...]) -> Array:
    """sum_j log (R^T M R)_jj after sweeps of plane-wise descent `(I,)`.

    In each plane the least product is found among turns on a grid and refined by Newton's steps on
    the product itself, with no use of its closed form.
    """
    M = np.stack([s.M for s in scenes])
    dim = M.shape[-1]
    grid = np.linspace(0, np.pi / 2, 16, endpoint=False)
    for _ in range(_SWEEPS):
        for j in range(dim):
            for k in range(j + 1, dim):
                a, b, c = M[:, j, j], M[:, k, k], M[:, j, k]

                def entries(
                    t: Array, a: Array = a, b: Array = b, c: Array = c
                ) -> tuple[Array, Array]:
                    cos, sin = np.cos(t), np.sin(t)
                    first = cos**2 * a + 2 * cos * sin * c + sin**2 * b
                    return first, cos * sin * (b - a) + (cos**2 - sin**2) * c

                first, _ = entries(grid[:, None])
                t = grid[(first * (a + b - first)).argmin(axis=0)]
                for _ in range(4):
                    first, off = entries(t)
                    # The product's slope is off times the difference of the two entries.
                    t = t - _newton(first, off, a + b)
                M = _turned(M, j, k, t)
    return np.asarray(np.log(np.diagonal(M, axis1=-2, axis2=-1)).sum(axis=-1))


def _newton(first: Array, off: Array, total: Array) -> Array:
    """Newton's step for the zero of the product's slope 2 off (second - first)."""
    second = total - first
    slope = 2 * off * (second - first)
    bend = 2 * (second - first) ** 2 - 8 * off**2
    safe = np.where(bend > 0, bend, np.inf)
    return np.asarray(slope / safe)


def _turned(M: Array, j: int, k: int, t: Array) -> Array:
    """R^T M R for a turn by t in the plane of j and k."""
    R = np.broadcast_to(np.eye(M.shape[-1]), M.shape).copy()
    R[:, j, j] = R[:, k, k] = np.cos(t)
    R[:, k, j], R[:, j, k] = np.sin(t), -np.sin(t)
    return np.asarray(np.swapaxes(R, -1, -2) @ M @ R)


@together(alike=lambda scene: len(scene.spectrum))
def rotations(
    scenes: Sequence[Frame], *, orthogonal: bool = False, bend: float = -8.0, off_by: float = 0.0
) -> list[Comparison]:
    """Check where descents over rotations end, and a stationary point that is no minimum."""
    values = descents(tuple(scenes)) + off_by
    log_det = np.array([np.log(s.spectrum).sum() for s in scenes])
    dim = len(scenes[0].spectrum)
    m, c = (np.array([getattr(s, name) for s in scenes]) for name in ("diagonal", "off"))

    def total(t: Array) -> Array:
        first = m[:, None] + np.sin(2 * t) * c[:, None]
        return np.asarray(np.log(first) + np.log(2 * m[:, None] - first))

    up, down, here = total(_ANGLES), total(-_ANGLES), total(np.zeros(1))
    lost = gamma(100) * (1 + np.abs(here))
    slopes = (up - down) / (2 * _ANGLES)
    bends = (up + down - 2 * here) / _ANGLES**2
    found = [
        (extrapolate(s, e / _ANGLES), extrapolate(b, 4 * e / _ANGLES**2))
        for s, b, e in zip(slopes, bends, lost, strict=True)
    ]
    first, second = (np.array([f[i] for f in found]) for i in (0, 1))
    law = bend * c**2 / m**2
    size = 1 + np.abs(log_det)
    each = [
        Comparison.identities(values, log_det, scale=size, rounding=gamma(4000 * dim) * size),
        Comparison.identities(
            first[:, 0], 0.0, scale=1.0, expansion=first[:, 1], numerics=first[:, 2]
        ),
        Comparison.identities(
            second[:, 0], law, scale=1 + np.abs(law), expansion=second[:, 1],
            numerics=second[:, 2],
        ),
        Comparison.identities(c if orthogonal else 0 * c, 0.0, scale=m, exact=0.0),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


ROTATIONS = Proposition(
    label="17d",
    title="At a local minimum over rotations the columns are orthogonal, at a stationary point not",
    statement=(
        r"F(R) = \sum_j\log(R^\top MR)_{jj}:\ \text{every local minimum is } \log\det M;\quad "
        r"M = \begin{pmatrix}a & b\\ b & a\end{pmatrix}:\ F' = 0,\ F'' = -8b^2/a^2 < 0"
    ),
    hypotheses=(("linear, or J frozen", r"M = J^\top J + \beta\sigma^2I,\ S \text{ diagonal}"),),
    kind="identity",
    instances=frames(),
    check=rotations,
    controls=wrong(
        rotations,
        {
            "stationary columns are orthogonal": {"orthogonal": True},
            "the second derivative of the other sign": {"bend": 8.0},
            "descents end above": {"off_by": 1e-6},
        },
    ),
    uses=("12c-turn", "17c"),
    figure="implicit-regulariser",
    resolution=1e-3,
)


@dataclass(frozen=True)
class TurnScene:
    """A decoder of two latents, three data, their posterior means and diagonal deviations."""

    decoder: Decoder
    X: tuple[Vector, ...]
    loc: tuple[Vector, ...]
    scale: tuple[Vector, ...]
    noise: float


@st.composite
def turn_scenes(draw: DrawFn) -> TurnScene:
    """Three data under a surface; the deviations differ between coordinates, or do not."""
    pair = strategies.vectors(2)
    deviations = st.tuples(*[st.sampled_from((0.5, 1.0, 0.25))] * 2)
    return TurnScene(
        draw(surfaces()),
        draw(st.tuples(pair, pair, pair)),
        draw(st.tuples(*[strategies.vectors(2, -2, 2)] * 3)),
        draw(st.tuples(deviations, deviations, deviations)),
        draw(st.sampled_from((1.0, 0.5))),
    )


@once
def turned_elbos(scene: TurnScene) -> tuple[float, float, float]:
    """d/dt of the sum of the ELBOs along the turn, extrapolated; remainder and noise."""
    X, loc = np.array(scene.X), np.array(scene.loc)
    likelihood = likelihoods.Gaussian(scale=scene.noise)
    differences, errors = [], []
    for t in _ANGLES:
        found = []
        for angle in (t, -t):
            R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            model = LatentModel(decoders.Reparametrised(scene.decoder, R), likelihood, 2)
            found.append(elbo(model, X, Posterior(loc @ R, scale=np.array(scene.scale))))
        differences.append(float((found[0].value - found[1].value).sum()) / (2 * t))
        errors.append(float((found[0].error + found[1].error).sum()) / (2 * t))
    return extrapolate(np.array(differences), np.array(errors))


@once
def mean_hessians(scene: TurnScene) -> tuple[Array, Array]:
    """E_q of the potential's off-diagonal second derivative, for each datum, and errors."""
    X, scale = np.array(scene.X), np.array(scene.scale)
    model = LatentModel(scene.decoder, likelihoods.Gaussian(scale=scene.noise), 2)

    def bent(z: Array, rows: Array) -> Array:
        data = np.broadcast_to(X[rows, None], (*z.shape[:-1], X.shape[1]))
        return model.potential_derivatives(data, z)[1][..., 0, 1]

    cov = scale[:, :, None] ** 2 * np.eye(2)
    found = gaussian_expectation(bent, np.array(scene.loc), cov, rtol=1e-10)
    return found.value, found.error


def turned(
    scene: TurnScene, *, weighted: bool = True, slopes: bool = False, sign: float = 1.0
) -> Comparison:
    """Compare the derivative along a turn with the variance-weighted sum of mean Hessians."""
    slope, left, lost = turned_elbos(scene)
    bent, errors = mean_hessians(scene)
    if slopes:
        J = scene.decoder.jacobian(np.array(scene.loc))
        bent = (J[..., 0] * J[..., 1]).sum(axis=-1) / scene.noise**2
    variances = np.array(scene.scale) ** 2
    factor = variances[:, 1] - variances[:, 0]
    weights = factor if weighted else np.sign(factor)
    predicted = sign * float(bent @ weights)
    size = 1 + abs(slope) + float(np.abs(bent).sum())
    return Comparison.identity(
        slope, predicted, scale=size, expansion=left, numerics=lost,
        hessians=float(errors @ np.abs(weights)), rounding=gamma(500) * size,
    )  # fmt: skip


TURNED = Proposition(
    label="17e",
    title="Stationarity under rotations: a weighted mean of smoothed Hessians vanishes, not J^T J",
    statement=(
        r"\frac{d}{dt}\sum_n\mathrm{ELBO}(f(R_tz),\ R_t^\top m_n,\ S_n)\Big|_0 = "
        r"\sum_n\mathbb E_{q_n}[A_{jk}(z; x_n)]\,(S_{n,kk} - S_{n,jj})"
    ),
    hypotheses=(
        GAUSSIAN,
        ("the turn", r"R_{jj} = R_{kk} = \cos t,\ R_{kj} = -R_{jk} = \sin t"),
        (
            "held",
            r"S_n \text{ diagonal};\ A = I - \nabla_z^2\log p(x|z) \text{ of the unturned } f",
        ),
    ),
    kind="identity",
    instances=turn_scenes(),
    check=turned,
    controls=wrong(
        turned,
        {
            "a sum without the weights": {"weighted": False},
            "J^T J for the mean Hessian": {"slopes": True},
            "the other sign": {"sign": -1.0},
        },
    ),
    uses=("4a", "17d"),
    resolution=1e-3,
    examples=6,
)
