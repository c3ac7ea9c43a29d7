"""Checks of 21a: maps that keep the prior keep the evidence of every datum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.identifiability.scenes import (
    KEEPS,
    ROTATION,
    TWIST,
    Move,
    MovedScene,
    lattice_evidence,
    moved,
    moved_scenes,
    moves,
)
from vaetheory.evidence import Integral, log_evidence
from vaetheory.flows import flow_log_density
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: The step of derivatives by complex arguments, whose square is nothing.
_COMPLEX = 1e-100


@dataclass(frozen=True)
class MovedPoint:
    """A map and a latent."""

    move: Move
    z: Vector


@st.composite
def moved_points(draw: DrawFn) -> MovedPoint:
    """Maps of two to eight latents, near the origin and far from it."""
    dim = draw(st.sampled_from((2, 2, 3, 4, 8)))
    move = draw(moves(dim, (0.0, 0.25, -0.5, 2.0)))
    return MovedPoint(move, draw(strategies.vectors(dim, -8, 8, 2)))


@once
def of_library(points: tuple[MovedPoint, ...]) -> tuple[Array, Array, Array]:
    """Images `(I, d)`, Jacobians `(I, d, d)` and log densities of N(0, I) moved there, `(I,)`."""
    z = [np.array(p.z) for p in points]
    images = [p.move.flow.forward(v) for p, v in zip(points, z, strict=True)]
    slopes = [p.move.flow.jacobian(v) for p, v in zip(points, z, strict=True)]
    densities = [flow_log_density(p.move.flow, x) for p, x in zip(points, images, strict=True)]
    return np.array(images), np.array(slopes), np.array(densities)


@together(alike=lambda point: point.move.dim)
def keeps_the_prior(points: Sequence[MovedPoint], *, kind: str = "twist") -> list[Comparison]:
    """Compare the density at the image with that at the latent, by derivatives of another kind."""
    z = np.array([p.z for p in points])
    own = [p.move for p in points]
    d = z.shape[-1]
    stepped = z[:, None] + 1j * _COMPLEX * np.eye(d)
    slopes = np.swapaxes(moved(own, stepped, kind=kind).imag / _COMPLEX, -1, -2)
    image = moved(own, z.astype(complex), kind=kind).real
    squares = (z**2).sum(axis=-1), (image**2).sum(axis=-1)
    volume = np.linalg.slogdet(slopes)[1]
    images, theirs, densities = of_library(tuple(points))
    rate = np.abs([m.rate for m in own]) + 1
    # An angle is rounded relatively, and multiplies the length.
    off = gamma(60 * d) * rate * (1 + squares[0])
    length = 1 + np.sqrt(squares[0])
    here = -0.5 * squares[0] - 0.5 * d * np.log(2 * np.pi)
    there = -0.5 * squares[1] - 0.5 * d * np.log(2 * np.pi) + volume
    size = (1 + squares[0]) * rate
    steep = 1 + 2 * rate * squares[0]
    each = [
        Comparison.identities(
            there, here, scale=size, rounding=gamma(60 * d) * steep**2 + off * length
        ),
        Comparison.identities(densities, there, scale=size, rounding=gamma(60 * d) * steep**2),
        Comparison.identities(
            images, image, scale=length[:, None], rounding=(off * length)[:, None]
        ),
        Comparison.identities(
            theirs, slopes, scale=steep[:, None, None], rounding=(off * steep)[:, None, None]
        ),
    ]
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


MAPS = Proposition(
    label="21a-maps",
    title="Rotations and twists keep the prior: they move no volume and no latent's length",
    statement=(
        r"\mathcal N(T(z); 0, I)\,|\det J_T(z)| = \mathcal N(z; 0, I),\quad "
        r"T(z) = R(k\|z\|^2)z:\ \|T(z)\| = \|z\|,\ \det J_T = 1 + 2k\,z^\top R^\top R'z = 1"
    ),
    hypotheses=(("a rotation or a twist", r"R(t) \in SO(d),\ 2 \le d \le 8"),),
    kind="identity",
    instances=moved_points(),
    check=keeps_the_prior,
    controls=wrong(
        keeps_the_prior,
        {
            "a rotation by an angle that grows with one latent": {"kind": "first latent"},
            "a shear": {"kind": "shear"},
            "a scale of 1.1": {"kind": "scale"},
        },
    ),
    figure="identifiability",
    examples=24,
)


@once
def evidence_after(scene: MovedScene) -> Integral:
    """The library's log evidence of f o T."""
    return log_evidence(scene.model, scene.x)


def same_evidence(scene: MovedScene, *, kind: str = "") -> Comparison:
    """Compare the evidence of f o T by quadrature with that of f by a lattice."""
    found = evidence_after(scene)
    value, error = lattice_evidence(scene, kind, (0.0, 0.0), (1.0, 1.0))
    return Comparison.identity(
        float(found.value), value, scale=1 + abs(value), quadrature=float(found.error),
        lattice=error,
    )  # fmt: skip


EVIDENCE = Proposition(
    label="21a",
    title="A decoder after a map that keeps the prior has the same evidence for every datum",
    statement=(
        r"p_{f \circ T}(x) = \int p(x|f(T(z)))\,\mathcal N(z; 0, I)\,dz = p_f(x) "
        r"\quad \text{for every } x"
    ),
    hypotheses=(
        KEEPS,
        ("any likelihood", r"\text{the check: } d = 2,\ \text{four families, linear and bent } f"),
        ROTATION,
        TWIST,
    ),
    kind="identity",
    instances=moved_scenes((0.0, 0.125, -0.125, 0.0625)),
    check=same_evidence,
    controls=wrong(
        same_evidence,
        {
            "a shear": {"kind": "shear"},
            "a scale of 1.1": {"kind": "scale"},
            "a rotation by an angle that grows with one latent": {"kind": "first latent"},
        },
    ),
    uses=("21a-maps",),
    figure="identifiability",
    examples=6,
)


@dataclass(frozen=True)
class NarrowScene:
    """A linear model of two latents with little noise, a datum, and a map of the latents."""

    singular_values: Vector
    angle: int
    noise: float
    x: Vector
    move: Move

    @property
    def weight(self) -> Array:
        """W `(3, 2)`."""
        turned = np.diag(self.singular_values) @ strategies.rotation((self.angle,), 2)
        return strategies.rotation((30, 45), 3)[:, :2] @ turned


@st.composite
def narrow_scenes(draw: DrawFn) -> NarrowScene:
    """Posteriors down to a hundredth of the prior, some of them many deviations out."""
    size = st.sampled_from((1.0, 2.0, 0.5))
    noise = draw(st.sampled_from((0.25, 0.0625, 0.015625)))
    return NarrowScene(
        (draw(size), draw(size)), draw(st.sampled_from((0, 30, 45))), noise,
        draw(strategies.vectors(3)), draw(moves(2, (0.125, -0.0625, 0.0))),
    )  # fmt: skip


@once
def narrow_evidences(scenes: tuple[NarrowScene, ...]) -> tuple[Array, Array]:
    """The library's log evidences of f o T, `(I,)`, and their errors."""
    values, errors = [], []
    for s in scenes:
        decoder = decoders.Composed(decoders.Affine(s.weight), s.move.flow)
        model = LatentModel(decoder, likelihoods.Gaussian(scale=s.noise))
        found = log_evidence(model, np.array(s.x))
        values.append(float(found.value))
        errors.append(float(found.error))
    return np.array(values), np.array(errors)


@together
def same_narrow_evidence(
    scenes: Sequence[NarrowScene], *, shear: float = 0.0, scale: float = 1.0
) -> list[Comparison]:
    """Compare the evidence of f o T by quadrature with the Gaussian density of f."""
    values, errors = narrow_evidences(tuple(scenes))
    change = scale * np.array([[1.0, shear], [0.0, 1.0]])
    W = np.array([s.weight for s in scenes]) @ change
    variance = np.array([s.noise for s in scenes])[:, None, None] ** 2
    x = np.array([s.x for s in scenes])
    # By Woodbury's formula, since the covariance of x is nearly singular.
    A = np.eye(2) + np.swapaxes(W, 1, 2) @ W / variance
    pull = np.einsum("nij,ni->nj", W, x) / variance[:, 0]
    gained = np.einsum("nj,nj->n", pull, np.linalg.solve(A, pull[..., None])[..., 0])
    squares = (x**2).sum(axis=-1) / variance[:, 0, 0]
    logs = np.linalg.slogdet(A)[1] + 3 * np.log(2 * np.pi * variance[:, 0, 0])
    exact = -0.5 * (squares - gained + logs)
    lost = gamma(100) * (1 + squares + np.abs(logs)) * np.linalg.cond(A)
    return Comparison.identities(values, exact, scale=1 + squares, quadrature=errors, rounding=lost)


NARROW = Proposition(
    label="21a-narrow",
    title="A map that keeps the prior keeps evidences with little noise, far from the prior's mean",
    statement=(
        r"p_{f \circ T}(x) = \mathcal N(x; 0, WW^\top + \sigma^2I) = p_f(x),\quad f(z) = Wz"
    ),
    hypotheses=(
        ("linear model", r"p(x|z) = \mathcal N(Wz, \sigma^2I),\ d = 2,\ D = 3,\ "
         r"\sigma \ge \tfrac1{64}"),
        KEEPS,
        ROTATION,
        TWIST,
    ),
    kind="identity",
    instances=narrow_scenes(),
    check=same_narrow_evidence,
    controls=wrong(
        same_narrow_evidence,
        {"a shear": {"shear": 0.5}, "a scale of 1.01": {"scale": 1.01}},
    ),
    uses=("21a",),
    examples=8,
)  # fmt: skip
