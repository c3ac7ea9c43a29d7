"""Checks of 12c-turn, 12c-gradient, 12c-curvature and 12c-saddle: the steps of the proof of 12c."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds.linear_autoencoder import linear_vae
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Vector
from vaetheory.claims.linear_vae.ascent import gradient
from vaetheory.claims.linear_vae.scenes import (
    ENCODER,
    GAUSSIAN,
    MATRICES,
    SPECTRUM,
    AxisData,
    LinearData,
    covariance_of,
    linear_data,
    rounding_of,
    spectra,
    stacked,
    turned,
)
from vaetheory.rounding import gamma

_COMPLEX_STEP = 1e-30


@dataclass(frozen=True)
class Pair:
    """Two columns of W, the noise, and an angle in degrees."""

    first: Vector
    second: Vector
    variance: float
    angle: int

    @property
    def columns(self) -> Array:
        """The columns `(3, 2)`."""
        return np.array([self.first, self.second]).T


@st.composite
def pairs(draw: DrawFn) -> Pair:
    """Two columns of small numbers, which are not both zero."""
    column = strategies.vectors(3, -3, 3)
    first = tuple(v + 1.0 * (i == 0 and v >= 0) for i, v in enumerate(draw(column)))
    noise = draw(st.sampled_from((1.0, 0.25, 0.0625)))
    return Pair(first, draw(column), noise, draw(st.sampled_from((10, 30, 45, 80))))


def _product(M: Array, t: Array, *, double: float = 2.0, off: float = 1.0) -> Array:
    """M_jj M_kk after a turn by t, from the matrices `(I, 2, 2)` before it."""
    half = (M[:, 0, 0] - M[:, 1, 1]) / 2
    mean = (M[:, 0, 0] + M[:, 1, 1]) / 2
    return np.asarray(
        mean**2 - (half * np.cos(double * t) + off * M[:, 0, 1] * np.sin(double * t)) ** 2
    )


@together
def turns(
    scenes: Sequence[Pair], *, double: float = 2.0, off: float = 1.0, sign: float = 1.0
) -> list[Comparison]:
    """Compare the product of the turned diagonal with its formula, and look at its extrema."""
    W = np.stack([s.columns for s in scenes])
    noise = np.array([s.variance for s in scenes])
    angle = np.radians([s.angle for s in scenes])
    M = np.swapaxes(W, -1, -2) @ W + noise[:, None, None] * np.eye(2)

    def after(t: Array) -> Array:
        turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        return ((W @ np.moveaxis(turn, -1, 0)) ** 2).sum(axis=-2) + noise[:, None]

    # The turn that makes the columns orthogonal, and the one half-way to the next such turn.
    least = 0.5 * np.arctan2(2 * M[:, 0, 1], M[:, 0, 0] - M[:, 1, 1])
    most = least + np.pi / 4
    size = (np.trace(M, axis1=-2, axis2=-1) / 2) ** 2
    lost = gamma(100) * size
    determinant = np.linalg.det(M)
    turned_most = after(most)
    # Half-way the product is greatest, M_jj^2; a turn by s from there leaves this share of it.
    off_most = size - determinant
    s = 0.3
    left = 1 - sign * off_most / size * np.sin(2 * s) ** 2
    each = [
        Comparison.identities(
            after(angle).prod(axis=-1), _product(M, angle, double=double, off=off), scale=size,
            rounding=lost,
        ),
        Comparison.identities(
            after(least).prod(axis=-1), determinant, scale=size, rounding=lost
        ),
        Comparison.identities(turned_most.prod(axis=-1), size, scale=size, rounding=lost),
        Comparison.identities(
            after(most + s).prod(axis=-1), left * size, scale=size, rounding=lost
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


TURNS = Proposition(
    label="12c-turn",
    title="Turning two columns: the gap has no other local minimum than orthogonal columns",
    statement=(
        r"M_{jj}M_{kk} \to \Big(\tfrac{M_{jj} + M_{kk}}2\Big)^2 - "
        r"\Big(\tfrac{M_{jj} - M_{kk}}2\cos 2t + M_{jk}\sin 2t\Big)^2;\quad "
        r"M_{jk} = 0 \text{ at its minima; at its maxima } M_{jj} = M_{kk},\ "
        r"M_{jj}M_{kk} \to M_{jj}^2 - M_{jk}^2\sin^2 2s,\ "
        r"\tfrac{d^2}{ds^2}\log M_{jj}M_{kk} = -8M_{jk}^2/M_{jj}^2"
    ),
    hypotheses=(("a turn", r"(w_j, w_k) \to (w_j, w_k)R(t),\ M = W^\top W + \sigma^2 I"),),
    kind="identity",
    instances=pairs(),
    check=turns,
    controls=wrong(
        turns,
        {
            "t for 2t": {"double": 1.0},
            "M_jk with the other sign": {"off": -1.0},
            "a maximum that bends upwards": {"sign": -1.0},
        },
    ),
    uses=("12a",),
)


@once
def complex_gradient(scenes: tuple[LinearData, ...]) -> Array:
    """The gradient of the profile ELBO `(I, D, d)`, by complex steps of the formula of 12a."""
    X, W, noise = stacked(scenes)
    cov = covariance_of(X)
    found = np.empty_like(W)
    eye = noise[:, None, None] * np.eye(W.shape[-2])
    for row, column in np.ndindex(W.shape[1:]):
        moved = W.astype(complex)
        moved[:, row, column] += 1j * _COMPLEX_STEP
        total = moved @ np.swapaxes(moved, -1, -2) + eye
        trace = np.trace(np.linalg.solve(total, cov), axis1=-2, axis2=-1)
        logs = np.log((moved**2).sum(axis=-2) + noise[:, None]).sum(axis=-1)
        found[:, row, column] = -0.5 * (trace + logs).imag / _COMPLEX_STEP
    return found


@together(alike=lambda scene: scene.shape)
def gradients(
    scenes: Sequence[LinearData], *, full: bool = False, once_only: bool = False
) -> list[Comparison]:
    """Compare the gradient with complex steps; it vanishes on scaled axes, whatever their set."""
    X, W, noise = stacked(scenes)
    cov = covariance_of(X)
    dim, d = W.shape[-2:]
    spectrum = np.array([s.data.spectrum for s in scenes])
    axes = np.stack([s.data.axes for s in scenes])
    # The last d axes: a stationary point, but no maximum.
    lengths = np.sqrt(np.maximum(spectrum[:, dim - d :] - noise[:, None], 0.0))
    trailing = axes[..., dim - d :] * lengths[:, None]
    each = []
    for point, expected in ((W, complex_gradient(tuple(scenes))), (trailing, np.zeros_like(W))):
        found = gradient(cov, point, noise)
        total = point @ np.swapaxes(point, -1, -2) + noise[:, None, None] * np.eye(dim)
        first = np.linalg.solve(total, point)
        if full:
            # The gradient of the likelihood of pPCA.
            found = np.linalg.solve(total, cov @ first) - first
        if once_only:
            found = np.linalg.solve(total, cov @ point)
            found = found - point / ((point**2).sum(axis=-2) + noise[:, None])[:, None, :]
        # In units in which sigma = 1 the gradient is that of a function of the size of rounding_of.
        root = np.sqrt(noise)
        size = root * (1 + np.abs(expected).max(axis=(-1, -2)))
        lost = rounding_of(X, point, noise) * (1 + spectrum[:, 0] / noise)
        each.append(
            Comparison.identities(
                root[:, None, None] * found, root[:, None, None] * expected,
                scale=size[:, None, None], rounding=lost[:, None, None],
            )
        )  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


GRADIENTS = Proposition(
    label="12c-gradient",
    title="Where the gradient vanishes and the columns are orthogonal, they are principal axes",
    statement=(
        r"\nabla_W\mathrm{ELBO} = C^{-1}\Lambda C^{-1}W - W\operatorname{diag}(1/M_{jj});\quad "
        r"\nabla = 0 \text{ if every column is } 0 \text{ or } (\lambda_j - \sigma^2)^{1/2}u_j,\ "
        r"\text{each } j \text{ once}"
    ),
    hypotheses=(GAUSSIAN, MATRICES, SPECTRUM),
    kind="identity",
    instances=linear_data(),
    check=gradients,
    controls=wrong(
        gradients,
        {
            "the gradient of pPCA's likelihood": {"full": True},
            "one C^-1 missing": {"once_only": True},
        },
    ),
    uses=("12a",),
    resolution=1e-4,
)


@dataclass(frozen=True)
class Stationary:
    """Data, the noise, the axes that the columns lie on, and a direction: an axis for column 1."""

    data: AxisData
    variance: float
    columns: tuple[int, int]
    axis: int


@st.composite
def stationary_points(draw: DrawFn) -> Stationary:
    """Three or four dimensions, two columns; some of the columns may be zero."""
    dim = draw(st.sampled_from((3, 4)))
    data = AxisData(
        draw(spectra(dim, ratios=(1.5, 2.0, 4.0))), draw(strategies.angles(dim)), (0.0,) * dim
    )
    columns = draw(st.permutations(range(dim)))[:2]
    axis = draw(st.sampled_from([j for j in range(dim) if j != columns[0]]))
    noise = draw(st.sampled_from((0.2, 0.05, 0.8, 3.0)))
    return Stationary(data, noise, (columns[0], columns[1]), axis)


@once
def second_variations(scenes: tuple[Stationary, ...]) -> tuple[Array, Array, Array]:
    """The second derivative of the ELBO along each direction, extrapolated; and two errors."""
    X = np.stack([s.data.X for s in scenes])
    noise = np.array([s.variance for s in scenes])
    axes = np.stack([s.data.axes for s in scenes])
    spectrum = np.array([s.data.spectrum for s in scenes])
    rows, columns = np.arange(len(scenes)), np.array([s.columns for s in scenes])
    lengths = np.sqrt(np.maximum(spectrum[rows[:, None], columns] - noise[:, None], 0.0))
    W = np.stack([axes[rows, :, columns[:, i]] * lengths[:, i, None] for i in (0, 1)], axis=-1)
    along = np.zeros_like(W)
    along[..., 0] = axes[rows, :, np.array([s.axis for s in scenes])]
    t = np.sqrt(noise)[:, None] / 4 / 2.0 ** np.arange(6)
    centre = linear_vae(X, W, variance=noise)
    data, noises = np.repeat(X[:, None], 6, axis=1), np.repeat(noise[:, None], 6, axis=1)
    moved = linear_vae(data, W[:, None] + t[..., None, None] * along[:, None], variance=noises)
    values = 2 * (moved.value - centre.value[:, None]) / t**2
    errors = 2 * (moved.error + centre.error[:, None]) / t**2
    found = np.array([extrapolate(v, e) for v, e in zip(values, errors, strict=True)])
    return found[:, 0], found[:, 1], found[:, 2]


@together(alike=lambda scene: len(scene.data.spectrum))
def curvatures(
    scenes: Sequence[Stationary],
    *,
    noise_power: float = 1.0,
    carried: bool = True,
    collapsed_is_best: bool = False,
) -> list[Comparison]:
    """Compare second variations with the formulas, for axes that a column has and for others."""
    limit, left, lost = second_variations(tuple(scenes))
    spectrum = np.array([s.data.spectrum for s in scenes])
    noise = np.array([s.variance for s in scenes])
    rows = np.arange(len(scenes))
    columns = np.array([s.columns for s in scenes])
    own, other = (
        np.maximum(spectrum[rows, columns[:, i]], noise) for i in (0, 1)
    )  # a_i of both columns
    axis = np.array([s.axis for s in scenes])
    lam = spectrum[rows, axis]
    free = (lam - own) / (own * noise**noise_power)
    has = (axis == columns[:, 1]) & (other > noise) & carried
    law = np.where(has, -(own + lam - 2 * noise) / (own * lam), free)
    size = 1 / noise + np.abs(law)
    if collapsed_is_best:
        return Comparison.each_at_most(
            np.where(own > noise, 0.0, limit), 0.0, scale=size, expansion=left, numerics=lost
        )
    return Comparison.identities(limit, law, scale=size, expansion=left, numerics=lost)


CURVATURES = Proposition(
    label="12c-curvature",
    title="Every other stationary point can be left uphill, along a larger axis",
    statement=(
        r"W + t\,u_j e_i^\top:\ \mathrm{ELBO} = \mathrm{ELBO}_0 + \tfrac12 c\,t^2,\quad "
        r"c = \frac{\lambda_j - a_i}{a_i\sigma^2} \text{ if no column has } u_j,\quad "
        r"c = -\frac{a_i + \lambda_j - 2\sigma^2}{a_i\lambda_j} \text{ if another one has it}"
    ),
    hypotheses=(
        GAUSSIAN,
        SPECTRUM,
        (
            "stationary point",
            r"w_i = (\lambda_i - \sigma^2)_+^{1/2}u_i,\ a_i = \max(\lambda_i, \sigma^2),\ j \ne i",
        ),
    ),
    kind="rate",
    instances=stationary_points(),
    check=curvatures,
    controls=wrong(
        curvatures,
        {
            "without the division by sigma^2": {"noise_power": 0.0},
            "one formula, whether or not a column has the axis": {"carried": False},
            "a collapsed column is a local maximum": {"collapsed_is_best": True},
        },
    ),
    uses=("12c-gradient",),
    resolution=1e-3,
    examples=30,
)


@together(alike=lambda scene: scene.shape)
def saddles(
    scenes: Sequence[LinearData],
    *,
    orthogonal: bool = False,
    equal_value: bool = False,
    bend: float = 4.0,
) -> list[Comparison]:
    """Check a stationary point with columns of equal length that are not orthogonal."""
    X, _, noise = stacked(scenes)
    roots = np.sqrt(np.array([s.data.spectrum[:2] for s in scenes]))
    axes = np.stack([s.data.axes for s in scenes])[..., :2]
    mean = roots.mean(axis=-1)
    # C has the eigenvalues a_j on the two axes; turned by 45 degrees, both columns are as long.
    a = roots * mean[:, None]
    straight = axes * np.sqrt(a - noise[:, None])[:, None]
    W = straight @ strategies.rotation((45,), 2)
    best = linear_vae(X, axes * np.sqrt(roots**2 - noise[:, None])[:, None], variance=noise)
    point, around = (linear_vae(X, w, variance=noise) for w in (W, turned(scenes, straight)))
    slope = gradient(covariance_of(X), W, noise)
    product = (W[..., 0] * W[..., 1]).sum(axis=-1)
    off = np.abs(a[:, 0] - a[:, 1]) / 2
    height = 2 * np.log(mean) - np.log(roots).sum(axis=-1)
    size = 1 + np.abs(best.value)
    lost = rounding_of(X, W, noise)
    steep = lost * (1 + roots[:, 0] ** 2 / noise)
    # 12c-turn: from the saddle the ELBO rises by -1/2 log(1 - (M_12 / M_11)^2 sin^2 2(t - 45)).
    t = np.radians([s.turn - 45 for s in scenes])
    share = (bend / 4 * (off / mean**2) ** 2) * np.sin(2 * t) ** 2
    rise = -0.5 * np.log1p(-share)
    each = [
        Comparison.identities(
            np.sqrt(noise)[:, None, None] * slope, 0.0, scale=1.0, rounding=steep[:, None, None]
        ),
        Comparison.identities(
            np.abs(product), 0.0 if orthogonal else off, scale=a.sum(axis=-1),
            rounding=lost * noise,
        ),
        Comparison.identities(
            best.value - point.value, 0.0 if equal_value else height, scale=size,
            library=best.error + point.error, weights=lost,
        ),
        Comparison.identities(
            around.value - point.value, rise, scale=size, library=around.error + point.error,
            weights=lost,
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


SADDLES = Proposition(
    label="12c-saddle",
    title="Not every stationary point has orthogonal columns",
    statement=(
        r"a_j = \sqrt{\lambda_j}\,\frac{\sqrt{\lambda_1} + \sqrt{\lambda_2}}2,\ "
        r"W = (u_1, u_2)(\operatorname{diag} a - \sigma^2 I)^{1/2}R(45^\circ):\quad "
        r"\nabla\mathrm{ELBO} = 0,\ w_1^\top w_2 = \pm\tfrac{a_1 - a_2}2 \ne 0,\ "
        r"\max - \mathrm{ELBO} = \log\frac{(\sqrt{\lambda_1} + \sqrt{\lambda_2})^2}"
        r"{4\sqrt{\lambda_1\lambda_2}} > 0"
    ),
    hypotheses=(
        GAUSSIAN,
        ENCODER,
        ("two units", r"d = 2,\ \lambda_1 > \lambda_2 > \sigma^2"),
    ),
    kind="counterexample",
    instances=linear_data(
        shapes=((2, 2), (3, 2), (4, 2)), ratios=(1.5, 2.0, 4.0), noises=(0.0625, 0.03125)
    ),
    check=saddles,
    controls=wrong(
        saddles,
        {
            "every stationary point has orthogonal columns": {"orthogonal": True},
            "all stationary points of two units are as good": {"equal_value": True},
            "it is a maximum along turns": {"bend": -4.0},
        },
    ),
    uses=("12c-turn", "12c-gradient"),
    figure="linear-vae",
    resolution=1e-4,
)
