"""Scenes of claim 23: a family, a small network, data with their codes; and sums over codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.bounds.entropy_sums import EntropySum, entropy_sum
from vaetheory.checking import once, strategies
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.claims.entropy_sums.families import FAMILIES, Family
from vaetheory.models import LatentModel

#: Draws from each posterior where there are too many latents for quadrature.
_DRAWS = 12
#: Step of the differences in t, and coefficients of two rules of orders eight and six.
STEP = 2.0**-7
_EIGHT = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
_SIX = (3 / 4, -3 / 20, 1 / 60, 0.0)
_NEWTON = 40
#: The lattice along the direction: its reach in deviations, and points a deviation.
_REACH, _FINE = 9.5, 24


@dataclass(frozen=True)
class Trained:
    """A family, a network of two hidden units that look in one direction, data and their codes."""

    family: str
    direction: Vector
    hidden: tuple[Vector, ...]
    weight: tuple[Vector, ...]
    bias: Vector
    codes: EncodedData

    @property
    def row(self) -> Family:
        """What is written of the family independently."""
        return FAMILIES[self.family]

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        slope, shift = np.array(self.hidden)
        network = decoders.TanhNetwork(
            [np.outer(slope, self.direction), np.array(self.weight)],
            [shift, np.array(self.bias)],
        )
        return LatentModel(network, self.row.likelihood, len(self.direction))

    @property
    def many(self) -> bool:
        """Whether there are too many latents for quadrature."""
        return len(self.direction) > 2

    def params(self, u: Array) -> Array:
        """The decoder's outputs where the latents have the component u along the direction."""
        slope, shift = np.array(self.hidden)
        features = np.tanh(slope * u[..., None] + shift)
        return np.asarray(features @ np.array(self.weight).T + np.array(self.bias))

    def points(self) -> tuple[Array, Array]:
        """Components u of codes along the direction, and their weights, `(N, M)` each."""
        loc, cov = self.codes.encoder.loc, self.codes.encoder.cov
        along = np.array(self.direction)
        if self.many:
            noise = np.random.default_rng(0).standard_normal((len(loc), _DRAWS, loc.shape[1]))
            z = loc[:, None] + noise @ np.swapaxes(np.linalg.cholesky(cov), -1, -2)
            return z @ along, np.full((len(loc), _DRAWS), 1 / _DRAWS)
        deviation = np.sqrt(np.einsum("i,nij,j->n", along, cov, along))
        steps = np.arange(-_REACH * _FINE, _REACH * _FINE) / _FINE
        weights = np.exp(-0.5 * steps**2) / np.sqrt(2 * np.pi) / _FINE
        u = (loc @ along)[:, None] + deviation[:, None] * steps
        return u, np.broadcast_to(weights, u.shape)


@st.composite
def trained(
    draw: DrawFn,
    families: Sequence[str],
    dims: Sequence[int] = (1, 1, 2, 8),
    *,
    reach: int = 4,
    variances: Sequence[float] = (1.0, 0.25, 0.0625),
) -> Trained:
    """Networks of one to eight latents, two or three outputs, and two to five data.

    Codes that overlap, of a small `reach`, keep the best layer small.
    """
    name = draw(st.sampled_from(list(families)))
    family, dim = FAMILIES[name], draw(st.sampled_from(dims))
    if name == "categorical":
        size = draw(st.sampled_from((2, 3)))
        classes = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
        # Every class occurs, so that a best layer exists.
        X = tuple(tuple(row) for row in np.eye(size)[[*range(size), *classes]].tolist())
    else:
        size = draw(st.sampled_from((1, 2)))
        entry = st.sampled_from(family.data)
        rows = draw(st.lists(st.tuples(*[entry] * size), min_size=1, max_size=3))
        ends = [(family.data[0],) * size, (family.data[-1],) * size]
        X = (*ends, *rows)
    small = strategies.fractions(-4, 4, 4)
    outputs = size * family.outputs
    pair = st.tuples(small, small)
    # Units of nearly equal slopes would hardly differ.
    slopes = st.tuples(*[strategies.nonzero_fractions(4, 2)] * 2).filter(
        lambda pair: abs(pair[0] - pair[1]) >= 1
    )
    codes = strategies.encoded_data(dim, st.just(X), reach=reach, variances=variances)
    direction = draw(strategies.vectors(dim, -2, 2, 2).filter(any))
    length = float(np.sqrt(np.square(direction).sum()))
    return Trained(
        name,
        tuple(v / length for v in direction),
        (draw(slopes), draw(pair)),
        draw(st.tuples(*[pair] * outputs)),
        draw(st.tuples(*[small] * outputs)),
        draw(codes),
    )


@dataclass(frozen=True)
class Sums:
    """Means over data and codes at some t: log likelihood, entropy, log h of the model's law.

    `slope` is the derivative of the mean log likelihood in t, by differences, with its `error`;
    `lattice` is the error of the other three, and `size` that of what was summed.
    """

    t: float
    log_likelihood: float
    entropy: float
    model_base: float
    slope: float
    error: float
    lattice: float
    size: float


def averaged(weights: Array, values: Array) -> Array:
    """Mean over data and codes, and the same from every other code, `(2,)`.

    Where the codes are a lattice, the first is about as many times closer than the second as the
    second is than one; where they are draws, both are exact.
    """
    each = weights * values
    whole = each.sum(axis=-1).mean()
    coarse = 2 * each[..., ::2].sum(axis=-1).mean() if weights.shape[-1] > _DRAWS else whole
    return np.array([whole, coarse])


def difference(
    function: Callable[[float], Array], at: float, step: float
) -> tuple[float, float, float]:
    """First and second derivative by differences, and an estimate of the first one's error.

    The function returns a number and a coarser one, `(2,)`.
    """
    ends = [(function(at + k * step), function(at - k * step)) for k in range(1, 5)]
    eight, six = (
        sum((c * (a - b) for c, (a, b) in zip(rule, ends, strict=True)), np.zeros(2)) / step
        for rule in (_EIGHT, _SIX)
    )
    second = (ends[0][0] - 2 * function(at) + ends[0][1]) / step**2
    error = abs(eight[0] - six[0]) + abs(eight[0] - eight[1])
    return float(eight[0]), float(second[0]), float(error)


def _slope(scene: Trained, params: Array, weights: Array, t: float) -> tuple[float, float, float]:
    """The same of the mean log likelihood in t."""
    x, step = scene.codes.data[:, None], STEP * t if scene.row.positive else STEP

    def at(t: float) -> Array:
        return averaged(weights, scene.row.log_density(x, params, t))

    return difference(at, t, step)


def sums_at(scene: Trained, t: float) -> Sums:
    """The means at a t."""
    u, weights = scene.points()
    params = scene.params(u)
    entropy, base = scene.row.mean_logs(params, t)
    logs = scene.row.log_density(scene.codes.data[:, None], params, t)
    slope, _, error = _slope(scene, params, weights, t)
    means = [averaged(weights, v) for v in (logs, entropy, base)]
    size = 1 + sum(float(averaged(weights, np.abs(v))[0]) for v in (logs, entropy, base))
    lattice = float(sum(np.ptp(m) for m in means))
    first, second, third = (float(m[0]) for m in means)
    return Sums(t, first, second, third, slope, error, lattice, size)


@once
def given(scene: Trained) -> Sums:
    """The means with the decoder as it is."""
    return sums_at(scene, 1.0)


@once
def stationary(scene: Trained) -> Sums:
    """The means where the log likelihood is stationary in t, which multiplies phi."""
    u, weights = scene.points()
    params = scene.params(u)
    t, low, high = 1.0, 0.0 if scene.row.positive else -np.inf, np.inf
    for _ in range(_NEWTON):
        slope, second, _ = _slope(scene, params, weights, t)
        if abs(slope) < 1e-12:
            break
        # Log p is concave in t: the maximum is to the right where it rises.
        low, high = (t, high) if slope > 0 else (low, t)
        newton = t - slope / min(second, -1e-12)
        far = (low + high) / 2 if np.isfinite(low + high) else t + np.sign(slope) * (1 + abs(t))
        t = newton if low < newton < high and abs(newton - t) < 1 + abs(t) else float(far)
    return sums_at(scene, t)


@once
def split(scene: Trained) -> EntropySum:
    """The library's terms."""
    draws, rng = (_DRAWS, np.random.default_rng(0)) if scene.many else (None, None)
    X, q = scene.codes.data, scene.codes.encoder
    return entropy_sum(scene.model, X, q, draws=draws, rng=rng, rtol=1e-8)
