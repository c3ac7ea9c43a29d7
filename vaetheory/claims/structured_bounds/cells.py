"""Checks of 22e: probabilities of rounded data, and bounds by dequantisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import ndtr

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds.dequantisation import bits_per_dim, cell_model, dequantised_bound
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.scenes import curves
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

CELL = ("cells", r"P(x) = \textstyle\int_{[0, c)^D} p(x + u)\,du,\ u \sim q \text{ in the cell}")
GAUSSIAN = ("any decoder", r"p(x|z) = \mathcal N(f(z), \sigma^2 I),\ d = 1")


@dataclass(frozen=True)
class CellScene:
    """A decoder of one latent, Gaussian noise, the lower corner and the width of a cell.

    `loc` and `scale` are of Gaussian noise v, u = c / (1 + exp(-v)).
    """

    decoder: Decoder
    noise: float
    x: Vector
    step: float
    loc: Vector
    scale: float

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder, likelihoods.Gaussian(scale=self.noise), 1)

    @property
    def q(self) -> Posterior:
        """The Gaussian noise."""
        return Posterior(np.array(self.loc), scale=self.scale)


def _lines() -> st.SearchStrategy[Decoder]:
    """Decoders of one latent and one output."""
    entry = strategies.nonzero_fractions(4, 2)
    return st.one_of(
        st.builds(lambda w, b: decoders.Affine([[w]], [b]), entry, entry),
        st.builds(lambda a, b: decoders.Polynomial([[1], [2]], [[a], [b]]), entry, entry),
        st.builds(lambda w, v: decoders.TanhNetwork([[[w]], [[v]]], [[0.5], [0.0]]), entry, entry),
    )


@st.composite
def cell_scenes(draw: DrawFn, dim: int = 2) -> CellScene:
    """Cells of a quarter to two, under noise of a quarter to one."""
    return CellScene(
        draw(curves() if dim == 2 else _lines()),
        draw(st.sampled_from((0.5, 1.0, 0.25))),
        draw(strategies.vectors(dim, -3, 3)),
        draw(st.sampled_from((0.5, 2.0, 1.0, 0.25))),
        draw(strategies.vectors(dim, -2, 2)),
        draw(st.sampled_from((1.0, 0.5))),
    )


@once
def of_library(scene: CellScene) -> tuple[Array, Array]:
    """Exact log P(x), and the uniform bounds of the cell and of the one before it, and errors."""
    x = np.array(scene.x)
    found = (
        log_evidence(cell_model(scene.model, scene.step), x),
        dequantised_bound(scene.model, x, scene.step),
        dequantised_bound(scene.model, x - scene.step, scene.step),
    )
    return np.array([float(f.value) for f in found]), np.array([float(f.error) for f in found])


def _latents(scene: CellScene, coarse: int) -> tuple[Array, Array, float]:
    """Latents, their prior weights, and outputs."""
    step = 0.0078125 * coarse
    z = step * np.arange(-round(9 / step), round(9 / step) + 1)
    weights = np.exp(-0.5 * (z**2 + LOG_2PI)) * step
    return weights, np.asarray(scene.decoder(z[:, None])), step


@once
def by_sums(scene: CellScene) -> tuple[Array, Array]:
    """Log P(x), KL(U || p(u|cell)) and KL(p(u|cell) || U), by sums, and errors `(3,)`.

    Over z by trapezoids with distribution functions; over u by Gauss-Legendre rules.
    """
    made = [_sums(scene, coarse, order) for coarse, order in ((1, 24), (2, 20))]
    return made[0], np.abs(made[0] - made[1]) + gamma(2000) * (1 + np.abs(made[0]))


def _sums(scene: CellScene, coarse: int, order: int) -> Array:
    weights, f, _ = _latents(scene, coarse)
    low = (np.array(scene.x) - f) / scene.noise
    high = low + scene.step / scene.noise
    # In the lower tail, where differences keep their digits.
    above = low + high > 0
    cells = ndtr(np.where(above, -low, high)) - ndtr(np.where(above, -high, low))
    log_p = np.log(weights @ cells.prod(axis=-1))
    log_density, share = _density(scene, weights, f, order)
    ratio = log_density - log_p + len(scene.x) * np.log(scene.step)
    return np.array([log_p, -(share * ratio).sum(), (share * np.exp(ratio) * ratio).sum()])


def _density(scene: CellScene, weights: Array, f: Array, order: int) -> tuple[Array, Array]:
    """Log densities at Gauss-Legendre nodes of the cell, and weights that sum to 1."""
    nodes, own = np.polynomial.legendre.leggauss(order)
    each = []
    for x, outputs in zip(scene.x, f.T, strict=True):
        at = x + scene.step * (nodes + 1) / 2
        white = (at[:, None] - outputs) / scene.noise
        each.append(np.exp(-0.5 * (white**2 + LOG_2PI)) / scene.noise)
    if len(each) == 1:
        return np.log(each[0] @ weights), own / 2
    grid = (each[0] * weights) @ each[1].T
    return np.log(grid), np.outer(own, own) / 4


def dequantised(
    scene: CellScene,
    *,
    other_cell: bool = False,
    reverse: bool = False,
    volume: bool = True,
    above: bool = False,
) -> Comparison:
    """Compare log P(x) minus the uniform bound with the divergence of uniform noise."""
    values, errors = of_library(scene)
    (log_p, forth, back), off = by_sums(scene)
    k = 2 if other_cell else 1
    bound = values[k] - (0.0 if volume else len(scene.x) * np.log(scene.step))
    size = 1 + abs(log_p) + forth
    low, high = (values[0], bound) if above else (bound, values[0])
    return Comparison.all_of(
        Comparison.identity(
            values[0], log_p, scale=size, library=errors[0], sums=off[0],
            rounding=gamma(1000) * size,
        ),
        Comparison.identity(
            values[0] - bound, back if reverse else forth, scale=size,
            library=errors[0] + errors[k], sums=off[1:].max(), rounding=gamma(1000) * size,
        ),
        Comparison.at_most(low, high, scale=size, library=errors[0] + errors[k]),
    )  # fmt: skip


UNIFORM = Proposition(
    label="22e",
    title="Uniform noise in the cell bounds the probability of a rounded datum",
    statement=(
        r"\log P(x) - \mathbb E_{u \sim U}[\log p(x + u)] - D\log c = "
        r"\mathrm{KL}(U\,\|\,p(u \,|\, \text{cell})) \ge 0"
    ),
    hypotheses=(CELL, GAUSSIAN),
    kind="identity",
    instances=cell_scenes(),
    check=dequantised,
    controls=wrong(
        dequantised,
        {
            "noise of another cell, in [-c, 0)": {"other_cell": True},
            "KL(p(u|cell) || U)": {"reverse": True},
            "the volume of the cell forgotten": {"volume": False},
            "an upper bound": {"above": True},
        },
    ),
    figure="structured-bounds",
    examples=8,
)


@once
def variational(scene: CellScene) -> tuple[Array, Array]:
    """Exact log P(x), and the bound with Gaussian noise behind a logistic function, and errors."""
    x = np.array(scene.x)
    found = (
        log_evidence(cell_model(scene.model, scene.step), x),
        dequantised_bound(scene.model, x, scene.step, noise=scene.q),
    )
    return np.array([float(f.value) for f in found]), np.array([float(f.error) for f in found])


@once
def noise_by_sums(scene: CellScene) -> tuple[Array, Array]:
    """KL(q || p(u|cell)), and the mean of log p(x + u) under q, by sums over v, and errors."""
    made = []
    for coarse in (1, 2):
        weights, f, _ = _latents(scene, coarse)
        v = 0.0625 * coarse * np.arange(-160 // coarse, 160 // coarse + 1)
        own = np.exp(-0.5 * (v**2 + LOG_2PI)) * 0.0625 * coarse
        at = scene.loc[0] + scene.scale * v
        # The share of the cell, from the side on which it keeps its digits.
        share = 0.5 * (1 + np.tanh(at / 2))
        white = (scene.x[0] + scene.step * share[:, None] - f[:, 0]) / scene.noise
        log_p = np.log(np.exp(-0.5 * (white**2 + LOG_2PI)) @ weights) - np.log(scene.noise)
        slope = np.log(scene.step) - np.abs(at) - 2 * np.log1p(np.exp(-np.abs(at)))
        log_q = -0.5 * (v**2 + LOG_2PI) - np.log(scene.scale) - slope
        cell = _sums(scene, coarse, 24)[0]
        made.append([own @ (log_q - log_p) + cell, own @ log_p])
    fine, rough = np.array(made)
    return fine, np.abs(fine - rough) + gamma(2000) * (1 + np.abs(fine))


def learned_noise(
    scene: CellScene, *, no_entropy: bool = False, none: bool = False, no_slope: bool = False
) -> Comparison:
    """Compare log P(x) minus the bound with KL(q || p(u|cell))."""
    values, errors = variational(scene)
    (divergence, mean), off = noise_by_sums(scene)
    bound = mean if no_entropy else values[1]
    if no_slope:
        # The entropy of v, without the slope of the logistic function.
        bound = mean + 0.5 * (1 + LOG_2PI) + np.log(scene.scale) + np.log(scene.step)
    size = 1 + abs(values[0]) + divergence
    return Comparison.all_of(
        Comparison.identity(
            values[0] - bound, 0.0 if none else divergence, scale=size, library=errors.sum(),
            sums=off.sum(), rounding=gamma(1000) * size,
        ),
        Comparison.at_most(bound, values[0], scale=size, library=errors.sum(), sums=off.sum()),
    )  # fmt: skip


VARIATIONAL = Proposition(
    label="22e-variational",
    title="Learned noise in the cell lacks its divergence from the conditional of the model",
    statement=(
        r"\log P(x) - \mathbb E_q[\log p(x + u) - \log q(u)] = "
        r"\mathrm{KL}(q\,\|\,p(u \,|\, \text{cell})),\quad u = c/(1 + e^{-v}),\ "
        r"v \sim \mathcal N(m, s^2)"
    ),
    hypotheses=(CELL, GAUSSIAN),
    kind="identity",
    instances=cell_scenes(dim=1),
    check=learned_noise,
    controls=wrong(
        learned_noise,
        {
            "without the entropy of the noise": {"no_entropy": True},
            "any noise closes the gap": {"none": True},
            "the entropy of v for that of u": {"no_slope": True},
        },
    ),
    uses=("22e",),
    figure="structured-bounds",
    examples=8,
)


@dataclass(frozen=True)
class UnitScene:
    """A linear model of data with levels, and a datum."""

    weight: tuple[Vector, ...]
    noise: float
    x: Vector
    levels: int


@st.composite
def unit_scenes(draw: DrawFn) -> UnitScene:
    """One or two latents, two to six data dimensions."""
    dim, data_dim = draw(st.sampled_from((1, 2))), draw(st.sampled_from((2, 3, 6)))
    return UnitScene(
        draw(st.tuples(*[strategies.vectors(dim)] * data_dim)),
        draw(st.sampled_from((0.5, 1.0))),
        draw(strategies.vectors(data_dim)),
        draw(st.sampled_from((256, 2, 16))),
    )


@once
def in_both_units(scene: UnitScene) -> tuple[Array, Array]:
    """Log p of x = c y, by the library, and log p of y, and errors."""
    weight, c = np.array(scene.weight), scene.levels
    y = np.array(scene.x)
    found = []
    for unit in (c, 1):
        model = LatentModel(
            decoders.Affine(unit * weight), likelihoods.Gaussian(scale=unit * scene.noise)
        )
        found.append(linear_log_evidence(model, unit * y))
    return np.array([float(f.value) for f in found]), np.array([float(f.error) for f in found])


def units(
    scene: UnitScene, *, forgotten: bool = False, once_only: bool = False, nats: bool = False
) -> Comparison:
    """Compare densities and bits per dimension of data in two units."""
    (large, small), errors = in_both_units(scene)
    dim, c = len(scene.x), scene.levels
    shift = 0.0 if forgotten else np.log(c) * (1 if once_only else dim)
    # The density of y by another road.
    weight = np.array(scene.weight)
    cov = weight @ weight.T + scene.noise**2 * np.eye(dim)
    y = np.array(scene.x)
    told = -0.5 * (y @ np.linalg.solve(cov, y) + np.linalg.slogdet(2 * np.pi * cov)[1])
    size = 1 + abs(small) + dim * np.log(c)
    lost = gamma(200) * np.linalg.cond(cov) * size
    bits = -small / (dim * (1.0 if nats else np.log(2)))
    bits += 0.0 if forgotten else np.log2(c) / (dim if once_only else 1)
    pair = bits_per_dim(-large, dim), bits_per_dim(-small, dim, levels=c)
    return Comparison.all_of(
        Comparison.identity(large, told - shift, scale=size, library=errors[0], rounding=lost),
        Comparison.identity(pair[0], pair[1], scale=size, library=errors.sum(), rounding=lost),
        Comparison.identity(pair[0], bits, scale=size, library=errors.sum(), rounding=lost),
    )


UNITS = Proposition(
    label="22e-units",
    title="Densities of data in units of their levels lack D log c",
    statement=(
        r"x = cy:\ \log p_x(x) = \log p_y(y) - D\log c,\quad "
        r"\text{bits per dimension} = -\frac{\log p_x}{D\log 2} = "
        r"-\frac{\log p_y}{D\log 2} + \log_2 c"
    ),
    hypotheses=(("levels", r"x \text{ in cells of width 1},\ c = 2, 16, 256"),),
    kind="identity",
    instances=unit_scenes(),
    check=units,
    controls=wrong(
        units,
        {
            "D log c forgotten": {"forgotten": True},
            "log c once for all dimensions": {"once_only": True},
            "not divided by log 2": {"nats": True},
        },
    ),
    uses=("22e",),
    examples=14,
)
