"""Maps that keep the prior, written a second time, and evidences by lattices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import ndtr

from vaetheory import decoders, flows
from vaetheory._validation import Array
from vaetheory.checking import once, strategies
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

KEEPS = ("a map that keeps the prior", r"T_\#\mathcal N(0, I) = \mathcal N(0, I)")
ROTATION = ("a rotation", r"T(z) = Rz,\ R^\top R = I")
TWIST = ("a twist", r"T(z) = R(k\|z\|^2)\,z,\ R(t) \text{ a rotation by } t \text{ in a plane}, "
         r"d \ge 2")  # fmt: skip
_REACH = 9.0


@dataclass(frozen=True)
class Move:
    """A rotation, a twist in a plane by `rate` radians per unit of |z|^2, and a rotation."""

    before: tuple[int, ...]
    rate: float
    plane: tuple[int, int]
    after: tuple[int, ...]

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.before) + 1

    @cached_property
    def flow(self) -> flows.Flow:
        """The library's map."""
        turns = [flows.Rotation(np.radians(a)) for a in (self.before, self.after)]
        if self.rate == 0:
            return flows.Composition(*turns)
        return flows.Composition(turns[0], flows.Twist(self.dim, self.rate, self.plane), turns[1])


@st.composite
def moves(draw: DrawFn, dim: int, rates: Sequence[float]) -> Move:
    """Maps of `dim` latents; a rate of 0 is a rotation."""
    first = draw(st.integers(0, dim - 1))
    second = draw(st.integers(0, dim - 2))
    plane = (first, second + (second >= first))
    return Move(
        draw(strategies.angles(dim)), draw(st.sampled_from(tuple(rates))), plane,
        draw(strategies.angles(dim)),
    )  # fmt: skip


def moved(moves: Sequence[Move], z: Array, *, kind: str = "twist") -> Array:
    """The images of points `(I, ..., d)`, real or complex, under maps of one dimension.

    Other kinds than a twist are wrong versions: what stands between the two rotations keeps |z| but
    no volume ("first latent"), a volume but not |z| ("shear"), or neither ("scale").
    """
    d = z.shape[-1]
    shape = (len(moves), *[1] * (z.ndim - 2), 1)
    before, after = (
        np.stack([strategies.rotation(a, d) for a in angles])
        for angles in ([m.before for m in moves], [m.after for m in moves])
    )
    first, second = (np.zeros((len(moves), d)) for _ in range(2))
    for row, m in enumerate(moves):
        first[row, m.plane[0]] = second[row, m.plane[1]] = 1.0
    first, second = (v.reshape(*shape[:-1], d) for v in (first, second))
    y = np.einsum("iab,i...b->i...a", before, z)
    along, across = ((y * v).sum(axis=-1, keepdims=True) for v in (first, second))
    rate = np.array([m.rate for m in moves]).reshape(shape)
    if kind == "shear":
        y = y + 0.5 * across * first
    elif kind == "scale":
        y = y * 1.1
    else:
        # A wrong version turns also where the map itself is a rotation.
        angle = rate * (y**2).sum(axis=-1, keepdims=True) if kind == "twist" else along
        c, s = np.cos(angle), np.sin(angle)
        y = (
            y
            + (c * along - s * across - along) * first
            + (s * along + c * across - across) * second
        )
    return np.einsum("iab,i...b->i...a", after, y)


@dataclass(frozen=True)
class MovedScene:
    """A model of two latents, a datum, and a map of the latents."""

    scene: ModelScene
    move: Move

    @property
    def x(self) -> Array:
        """The datum."""
        return np.array(self.scene.x)

    @cached_property
    def model(self) -> LatentModel:
        """The model with the decoder f o T."""
        decoder = decoders.Composed(self.scene.decoder, self.move.flow)
        return LatentModel(decoder, self.scene.likelihood)


@st.composite
def moved_scenes(draw: DrawFn, rates: Sequence[float]) -> MovedScene:
    """Models under four likelihoods."""
    return MovedScene(draw(model_scenes(dims=(2,))), draw(moves(2, rates)))


@once
def lattice_evidence(
    scene: MovedScene, kind: str, loc: tuple[float, float], variances: tuple[float, float]
) -> tuple[float, float]:
    """Log p(x) of f, or of f after a wrong map, under the prior N(loc, diag v), and its error."""
    mean, v = np.array(loc), np.array(variances)
    model, deviation = scene.scene.model, np.sqrt(v)
    change: Callable[[Array], Array] = lambda z: z  # noqa: E731
    if kind:
        change = lambda z: moved([scene.move], z[None], kind=kind)[0]  # noqa: E731

    def logs(z: Array) -> Array:
        prior = (
            -0.5 * ((z - mean) ** 2 / v).sum(axis=-1) - 0.5 * np.log(v).sum() - np.log(2 * np.pi)
        )
        return model.log_likelihood(scene.x, change(z)) + prior

    trial = np.stack(np.meshgrid(*[np.linspace(-4, 4, 41)] * 2), -1).reshape(-1, 2)
    shift = float(logs(mean + trial * deviation).max())
    value, error = lattice_integral(
        lambda z: np.exp(np.maximum(logs(z) - shift, -700))[:, None],
        mean - _REACH * deviation, mean + _REACH * deviation, step=1 / 8,
    )  # fmt: skip
    # Beyond nine deviations there is at most the prior's tail times the greatest likelihood.
    peak = float(model.likelihood.greatest_log_prob(scene.x))
    tail = 4 * float(ndtr(-_REACH)) * np.exp(peak - shift)
    size = 1 + abs(shift) + abs(float(np.log(value[0])))
    lost = (float(error[0]) + tail) / float(value[0]) + gamma(400) * size
    return float(np.log(value[0])) + shift, lost
