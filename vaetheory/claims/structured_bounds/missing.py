"""Checks of 22c: bounds by imputation of missing coordinates, and why zeros are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds.missing_data import imputation_bound, observed_log_evidence
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.linear_models import LinearScene
from vaetheory.checking.scenes import curves
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.structured_bounds.scenes import log_dets
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

MISSING = ("missing coordinates", r"x = (x_o, x_m),\ q(x_m) = \mathcal N(\mu, V)")
LINEAR_DATA = ("linear model", r"p(x) = \mathcal N(b, C),\ C = WW^\top + \Lambda,\ D \le 6")


@dataclass(frozen=True)
class MissingScene:
    """A linear model, a datum of which the last coordinates are missing, and a q for them."""

    linear: LinearScene
    missing: int
    imputed: Vector
    spread: Covariance
    slope: tuple[Vector, ...]
    widths: Vector

    @cached_property
    def cov(self) -> Array:
        """C = W W^T + Lambda, `(D, D)`."""
        weight = self.linear.weight
        return weight @ weight.T + self.linear.noise.matrix

    @property
    def x(self) -> Array:
        """The datum `(D,)`."""
        return np.array(self.linear.x)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """The mask `(D,)`."""
        return np.arange(len(self.x)) < len(self.x) - self.missing

    @property
    def noise(self) -> Posterior:
        """The Gaussian q of the missing coordinates."""
        return Posterior(np.array(self.imputed), cov=self.spread.matrix)

    def encoder(self, X: Array) -> Posterior:
        """q(z|x) = N(V x, diag(w)), `(M, D)` -> M Gaussians."""
        return Posterior(X @ np.array(self.slope).T, scale=np.sqrt(self.widths))


@st.composite
def missing_scenes(
    draw: DrawFn,
    most: int = 4,
    scales: Sequence[float] = (1.0, 0.25, 0.015625),
    dims: Sequence[int] = (1, 2, 3),
) -> MissingScene:
    """Linear models of one to three latents and two to six data dimensions."""
    dim = draw(st.sampled_from(dims))
    missing = draw(st.integers(1, most))
    data_dim = max(dim, missing + 1) + draw(st.integers(0, 1))
    linear = LinearScene(
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 0.5))] * dim)),
        draw(strategies.angles(data_dim)),
        draw(strategies.angles(dim)),
        draw(strategies.vectors(data_dim)),
        draw(strategies.covariances(data_dim, scales)),
        draw(strategies.vectors(data_dim)),
        (0.0,) * dim,
    )
    return MissingScene(
        linear,
        missing,
        draw(strategies.vectors(missing)),
        draw(strategies.covariances(missing, (1.0, 0.25, 0.0625))),
        draw(st.tuples(*[strategies.vectors(data_dim, -2, 2, 4)] * dim)),
        draw(st.tuples(*[st.sampled_from((0.25, 1.0, 0.5))] * dim)),
    )


def _shape(scene: MissingScene) -> tuple[int, int, int]:
    return len(scene.x), scene.missing, len(scene.widths)


@dataclass(frozen=True)
class Conditional:
    """log p(x_o) `(I,)`, and means and covariances of p(x_m given x_o), of several instances."""

    evidence: Array
    mean: Array
    cov: Array
    condition: Array


@once
def conditionals(scenes: tuple[MissingScene, ...]) -> Conditional:
    """By Schur complements of C."""
    cov, x = np.array([s.cov for s in scenes]), np.array([s.x for s in scenes])
    bias, m = np.array([s.linear.bias for s in scenes]), scenes[0].missing
    cut = x.shape[1] - m
    inner = cov[:, :cut, :cut]
    away = (x - bias)[:, :cut]
    solved = np.linalg.solve(inner, away[..., None])[..., 0]
    evidence = -0.5 * ((away * solved).sum(axis=-1) + cut * LOG_2PI + log_dets(inner))
    across = cov[:, cut:, :cut]
    mean = bias[:, cut:] + np.einsum("nij,nj->ni", across, solved)
    own = cov[:, cut:, cut:] - across @ np.linalg.solve(inner, np.swapaxes(across, -1, -2))
    return Conditional(evidence, mean, (own + np.swapaxes(own, -1, -2)) / 2, np.linalg.cond(cov))


def _divergence(loc: Array, cov: Array, other: Array, other_cov: Array) -> Array:
    """KL of Gaussians by inverses and LU."""
    inverse, away = np.linalg.inv(other_cov), loc - other
    square = np.einsum("ni,nij,nj->n", away, inverse, away)
    trace = np.einsum("nij,nji->n", inverse, cov)
    return 0.5 * (trace + square - loc.shape[-1] + log_dets(other_cov) - log_dets(cov))


@once
def bounds_of(scenes: tuple[MissingScene, ...]) -> tuple[Array, Array]:
    """The library's imputation bounds and observed evidences `(I, 2)`, and errors."""
    found = [
        (
            imputation_bound(s.linear.model, s.x, s.observed, s.noise),
            observed_log_evidence(s.linear.model, s.x, s.observed),
        )
        for s in scenes
    ]
    return _numbers(found)


def _numbers(found: Sequence[Sequence[object]]) -> tuple[Array, Array]:
    values = [[float(f.value) for f in pair] for pair in found]  # type: ignore[attr-defined]
    errors = [[float(f.error) for f in pair] for pair in found]  # type: ignore[attr-defined]
    return np.array(values), np.array(errors)


@together(alike=_shape)
def imputed(
    scenes: Sequence[MissingScene],
    *,
    reverse: bool = False,
    entropy: bool = True,
    below: bool = False,
) -> list[Comparison]:
    """Compare the gap of the bound with the divergence of q from the conditional."""
    given = tuple(scenes)
    values, errors = bounds_of(given)
    told = conditionals(given)
    loc = np.array([s.imputed for s in scenes])
    cov = np.array([s.spread.matrix for s in scenes])
    pair = (told.mean, told.cov, loc, cov) if reverse else (loc, cov, told.mean, told.cov)
    expected = told.evidence - _divergence(*pair)
    size = 1 + np.abs(told.evidence) + np.abs(expected) + np.abs(log_dets(told.cov))
    lost = gamma(300) * told.condition * size
    bound = values[:, 0]
    if not entropy:
        bound = bound - 0.5 * (loc.shape[-1] * (1 + LOG_2PI) + log_dets(cov))
    low, high = (values[:, 1], bound) if below else (bound, values[:, 1])
    parts = (
        Comparison.identities(bound, expected, scale=size, library=errors[:, 0], rounding=lost),
        Comparison.identities(
            values[:, 1], told.evidence, scale=size, library=errors[:, 1], rounding=lost
        ),
        Comparison.each_at_most(
            low, high, scale=size, library=errors.sum(axis=-1), rounding=gamma(20) * size
        ),
    )
    return [Comparison.all_of(*each) for each in zip(*parts, strict=True)]


IMPUTATION = Proposition(
    label="22c",
    title="Imputed values with their entropy bound the evidence of what was observed",
    statement=(
        r"\mathbb E_{q(x_m)}[\log p(x_o, x_m)] + H[q] = \log p(x_o) - "
        r"\mathrm{KL}(q\,\|\,p(x_m|x_o)) \le \log p(x_o)"
    ),
    hypotheses=(MISSING, LINEAR_DATA),
    kind="identity",
    instances=missing_scenes(),
    check=imputed,
    controls=wrong(
        imputed,
        {
            "KL(p(x_m|x_o) || q)": {"reverse": True},
            "without the entropy of q": {"entropy": False},
            "an upper bound": {"below": True},
        },
    ),
    figure="structured-bounds",
    examples=14,
)


@once
def encoded_bounds(scenes: tuple[MissingScene, ...]) -> tuple[Array, Array]:
    """The library's imputation bounds of ELBOs `(I,)`, and errors."""
    found = [
        imputation_bound(s.linear.model, s.x, s.observed, s.noise, encoder=s.encoder, rtol=1e-6)
        for s in scenes
    ]
    return np.array([float(f.value) for f in found]), np.array([float(f.error) for f in found])


@together(alike=_shape)
def encoded(
    scenes: Sequence[MissingScene],
    *,
    at_mean: bool = False,
    exact: bool = False,
    under: bool = False,
) -> list[Comparison]:
    """Compare the gap with that of q and the mean gap of the encoder over the imputed values."""
    given = tuple(scenes)
    values, errors = encoded_bounds(given)
    told = conditionals(given)
    loc = np.array([s.imputed for s in scenes])
    cov = np.array([s.spread.matrix for s in scenes])
    weight = np.array([s.linear.weight for s in scenes])
    noise = np.array([s.linear.noise.matrix for s in scenes])
    slope, widths = np.array([s.slope for s in scenes]), np.array([s.widths for s in scenes])
    solved = np.linalg.solve(noise, weight)
    precision = np.eye(weight.shape[-1]) + np.swapaxes(weight, -1, -2) @ solved
    back = np.linalg.solve(precision, np.swapaxes(solved, -1, -2))
    x = np.array([s.x for s in scenes])
    cut = x.shape[1] - loc.shape[1]
    under_loc, under_cov = (told.mean, told.cov) if under else (loc, cov)
    x[:, cut:] = under_loc
    bias = np.array([s.linear.bias for s in scenes])
    at = np.einsum("nij,nj->ni", slope, x) - np.einsum("nij,nj->ni", back, x - bias)
    own = widths[:, :, None] * np.eye(widths.shape[1])
    second = _divergence(at, own, np.zeros_like(at), np.linalg.inv(precision))
    turn = (slope - back)[:, :, cut:]
    if not at_mean:
        moved = np.swapaxes(turn, -1, -2) @ precision @ turn
        second = second + 0.5 * np.einsum("nij,nji->n", moved, under_cov)
    first = _divergence(loc, cov, told.mean, told.cov)
    expected = told.evidence - first - (0.0 if exact else second)
    size = 1 + np.abs(told.evidence) + np.abs(first) + np.abs(second)
    lost = gamma(300) * told.condition * size
    return Comparison.identities(values, expected, scale=size, library=errors, rounding=lost)


ENCODED = Proposition(
    label="22c-encoder",
    title="With an encoder the bound lacks the mean gap of the completed data as well",
    statement=(
        r"\mathbb E_{q(x_m)}[\mathrm{ELBO}(x_o, x_m)] + H[q] = \log p(x_o) - "
        r"\mathrm{KL}(q\,\|\,p(x_m|x_o)) - \mathbb E_{q(x_m)}\mathrm{KL}(q(z|x)\,\|\,p(z|x))"
    ),
    hypotheses=(MISSING, LINEAR_DATA, ("linear encoder", r"q(z|x) = \mathcal N(Vx, S)")),
    kind="identity",
    instances=missing_scenes(most=2, scales=(1.0, 0.25), dims=(1, 1, 1, 2)),
    check=encoded,
    controls=wrong(
        encoded,
        {
            "the encoder's gap at the mean of q": {"at_mean": True},
            "without the encoder's gap": {"exact": True},
            "the encoder's gap under p(x_m|x_o)": {"under": True},
        },
    ),
    uses=("3a", "22c"),
    examples=8,
)


@dataclass(frozen=True)
class CurvedScene:
    """A decoder of two outputs from one latent, Gaussian noise, and a datum of which x_2 misses."""

    decoder: Decoder
    scale: Vector
    x: float
    mean: float
    deviation: float

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder, likelihoods.Gaussian(scale=self.scale), 1)


def curved_scenes() -> st.SearchStrategy[CurvedScene]:
    """Curves under noise of a half or one."""
    return st.builds(
        CurvedScene,
        curves(),
        st.sampled_from(((0.5, 0.5), (1.0, 0.5), (0.5, 1.0))),
        strategies.fractions(-3, 3, 2),
        strategies.fractions(-4, 4, 2),
        st.sampled_from((0.5, 1.0, 0.25)),
    )


@once
def curved_bounds(scene: CurvedScene) -> tuple[Array, Array]:
    """The library's bound, and the evidence of x_1, `(2,)`, and errors."""
    x, mask = [scene.x, 0.0], [True, False]
    q = Posterior([scene.mean], scale=scene.deviation)
    values, errors = _numbers(
        [
            (
                imputation_bound(scene.model, x, mask, q),
                observed_log_evidence(scene.model, [scene.x, np.nan]),
            )
        ]
    )
    return values[0], errors[0]


@once
def curved_by_lattice(scene: CurvedScene) -> tuple[Array, Array]:
    """Log p(x_1), KL(q || p(x_2|x_1)) and KL in the other direction, by sums, and errors."""
    # Far enough for the posterior of every value that q gives.
    z = np.linspace(-16.0, 16.0, 2561)
    step, f = z[1] - z[0], scene.decoder(z[:, None])
    away = (scene.x - f[:, 0]) / scene.scale[0]
    first = np.exp(-0.5 * (z**2 + away**2) - LOG_2PI) / scene.scale[0]
    masses = first.sum() * step, first[::2].sum() * 2 * step

    def terms(y: Array) -> Array:
        away = (y - f[:, 1]) / scene.scale[1]
        density = np.exp(-0.5 * away**2) / (scene.scale[1] * np.sqrt(2 * np.pi))
        white = (y[:, 0] - scene.mean) / scene.deviation
        log_q = -0.5 * (white**2 + LOG_2PI) - np.log(scene.deviation)
        sums = density @ first * step, density[:, ::2] @ first[::2] * 2 * step
        logs = [np.log(np.maximum(s, 1e-300) / m) for s, m in zip(sums, masses, strict=True)]
        forth = [np.exp(log_q) * (log_q - log_p) for log_p in logs]
        return np.stack([*forth, np.exp(logs[0]) * (logs[0] - log_q)], axis=-1)

    reach = 9 * scene.deviation
    value, error = lattice_integral(
        terms, np.array([scene.mean - reach]), np.array([scene.mean + reach]), step=reach / 54
    )
    off = abs(np.log(masses[1] / masses[0])) + gamma(3000)
    told = np.array([np.log(masses[0]), value[0], value[2]])
    return told, np.array([off, error[0] + abs(value[1] - value[0]) + off, 0.0])


def curved_imputation(
    scene: CurvedScene, *, reverse: bool = False, below: bool = False, none: bool = False
) -> Comparison:
    """Compare the bound with sums over a grid of the missing value."""
    (bound, evidence), errors = curved_bounds(scene)
    (exact, forth, back), off = curved_by_lattice(scene)
    gap = 0.0 if none else back if reverse else forth
    size = 1 + abs(exact) + forth
    low, high = (evidence, bound) if below else (bound, evidence)
    return Comparison.all_of(
        Comparison.identity(
            bound, exact - gap, scale=size, library=errors[0], grid=off[0] + off[1],
            rounding=gamma(2000) * size,
        ),
        Comparison.identity(
            evidence, exact, scale=size, library=errors[1], grid=off[0], rounding=gamma(2000) * size
        ),
        Comparison.at_most(low, high, scale=size, library=errors.sum()),
    )  # fmt: skip


CURVED = Proposition(
    label="22c-curved",
    title="The imputation bound holds for any decoder, with the same gap",
    statement=(
        r"\mathbb E_{q(x_2)}[\log p(x_1, x_2)] + H[q] = \log p(x_1) - "
        r"\mathrm{KL}(q\,\|\,p(x_2|x_1))"
    ),
    hypotheses=(MISSING, ("any decoder", r"d = 1,\ D = 2,\ \text{Gaussian noise}")),
    kind="identity",
    instances=curved_scenes(),
    check=curved_imputation,
    controls=wrong(
        curved_imputation,
        {
            "KL(p(x_2|x_1) || q)": {"reverse": True},
            "an upper bound": {"below": True},
            "no gap": {"none": True},
        },
    ),
    uses=("22c",),
    examples=8,
)

#: Units of the missing coordinates, in both directions.
_UNITS = (1 / 64, 64.0)


@once
def filled(scenes: tuple[MissingScene, ...]) -> tuple[Array, Array]:
    """Log p(x_o, 0) - log p(x_o) of the library in both units `(I, 2)`, and errors."""
    values, errors = [], []
    for scene in scenes:
        row, off = [], []
        for unit in _UNITS:
            scaled = np.where(scene.observed, 1.0, unit)
            linear = scene.linear
            model = LatentModel(
                decoders.Affine(linear.weight * scaled[:, None], linear.bias * scaled),
                likelihoods.Gaussian(cov=linear.noise.matrix * np.outer(scaled, scaled)),
            )
            zeros = np.where(scene.observed, scene.x, 0.0)
            whole = linear_log_evidence(model, zeros)
            part = observed_log_evidence(model, scene.x, scene.observed)
            row.append(float(whole.value - part.value))
            off.append(float(whole.error + part.error))
        values.append(row)
        errors.append(off)
    return np.array(values), np.array(errors)


@together(alike=_shape)
def zeros_for_missing(
    scenes: Sequence[MissingScene], *, order: int = 0, same: bool = False, unitless: bool = False
) -> list[Comparison]:
    """Compare zeros filled in with the conditional density at zero, in two units."""
    values, errors = filled(tuple(scenes))
    told = conditionals(tuple(scenes))
    m = scenes[0].missing
    inverse = np.linalg.inv(told.cov)
    square = np.einsum("ni,nij,nj->n", told.mean, inverse, told.mean)
    density = -0.5 * (square + m * LOG_2PI + log_dets(told.cov))
    units = np.zeros(2) if unitless else -m * np.log(_UNITS)
    expected = density[:, None] + units
    size = 1 + np.abs(told.evidence)[:, None] + np.abs(expected)
    lost = gamma(300) * 4096 * told.condition[:, None] * size
    if order:
        low, high = (values, 0.0 * values) if order > 0 else (0.0 * values, values)
        return Comparison.each_at_most(low, high, scale=size, library=errors, rounding=lost)
    return Comparison.identities(
        values, 0.0 if same else expected, scale=size, library=errors, rounding=lost
    )


ZEROS = Proposition(
    label="22c-zeros",
    title="Zeros filled in for missing values give no bound, but a density in another unit",
    statement=(
        r"\log p(x_o, 0) - \log p(x_o) = \log p(x_m = 0 \,|\, x_o),\quad "
        r"\text{in units } x_m = y_m/c\!:\ -m\log c \text{ more, so of either sign}"
    ),
    hypotheses=(MISSING, LINEAR_DATA, ("units", r"c = 64 \text{ and } 1/64")),
    kind="counterexample",
    instances=missing_scenes(scales=(1.0, 0.25)),
    check=zeros_for_missing,
    controls=wrong(
        zeros_for_missing,
        {
            "a lower bound of log p(x_o)": {"order": 1},
            "an upper bound of log p(x_o)": {"order": -1},
            "equal to log p(x_o)": {"same": True},
            "the same in all units": {"unitless": True},
        },
    ),
    uses=("22c",),
    figure="structured-bounds",
    examples=12,
)
