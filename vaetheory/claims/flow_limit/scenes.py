"""Hypotheses and instances that several rooms of claim 8 share: flows of a few small layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from vaetheory import decoders, flows
from vaetheory._validation import Array
from vaetheory.checking import strategies, varying_metric
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder
from vaetheory.flows import Embedding, Flow

GAUSSIAN = ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)")
FLOW = ("a diffeomorphism", r"f: \mathbb R^d \to \mathbb R^d,\ D = d,\ \text{onto}")
SMOOTH = ("a smooth density", r"f \in C^\infty \text{ near } z_0")
EMBEDDING = (
    "an embedding at x",
    r"g = J^\top J \succ 0,\ x = f(z_0),\ \inf_{|z - z_0| > r}\|f(z) - x\| > 0"
    r"\text{ for all } r > 0",
)
FULL = ("full covariance", r"q = \mathcal N(m, S),\ S \text{ free, stationary}")
OWN_DATA = ("data of the flow", r"x \sim p_{\mathrm{flow}}")


@dataclass(frozen=True)
class Linear:
    """z -> R diag(stretch) R' z + offset, R and R' rotations by angles in degrees."""

    stretch: Vector
    offset: Vector
    angles: tuple[int, ...] = ()
    before: tuple[int, ...] = ()

    def build(self) -> Flow:
        """The flow."""
        d = len(self.stretch)
        turned = strategies.rotation(self.angles, d) @ np.diag(self.stretch)
        return flows.Affine(turned @ strategies.rotation(self.before, d), self.offset)


@dataclass(frozen=True)
class Bend:
    """The cubic or the hyperbolic sine on every coordinate."""

    kind: str
    dim: int

    def build(self) -> Flow:
        """The flow."""
        return flows.Cubic(self.dim) if self.kind == "cubic" else flows.Sinh(self.dim)


@dataclass(frozen=True)
class Autoregression:
    """x_1 = z_1, x_2 = exp(scale h) z_2 + shift h, h = tanh(slope z_1 + offset)."""

    slope: float
    offset: float
    scale: float
    shift: float

    def build(self) -> Flow:
        """The flow."""
        weight, shift = [[0.0, 0.0], [self.slope, 0.0]], [[0.0, 0.0], [0.0, self.shift]]
        return flows.Triangular(weight, [0.0, self.offset], [0.0, self.scale], shift)


@dataclass(frozen=True)
class CouplingLayer:
    """One coordinate stays; a tanh unit of it gives log scale and shift of the other."""

    first: bool
    slope: float
    offset: float
    scale: float
    shift: float

    def build(self) -> flows.Coupling:
        """The flow."""
        weights = [[[self.slope]], [[self.scale], [self.shift]]]
        network = decoders.TanhNetwork(weights, [[self.offset], [0.0, 0.0]])
        return flows.Coupling([self.first, not self.first], network)


Layer = Linear | Bend | Autoregression | CouplingLayer


@dataclass(frozen=True)
class FlowScene:
    """A flow, layer by layer, and a latent."""

    layers: tuple[Layer, ...]
    z: Vector

    @cached_property
    def flow(self) -> Flow:
        """The flow."""
        return flows.Composition(*(layer.build() for layer in self.layers))

    @property
    def latent(self) -> Array:
        """The latent, `(d,)`."""
        return np.array(self.z)


_STRETCHES = (1.0, 2.0, 0.5, 1.5)


@cache
def linears(dim: int) -> SearchStrategy[Linear]:
    """Invertible affine maps of small condition numbers."""
    return st.builds(
        Linear,
        st.tuples(*[st.sampled_from(_STRETCHES)] * dim),
        strategies.vectors(dim, -2, 2, 2),
        strategies.angles(dim),
        strategies.angles(dim),
    )


def couplings(first: SearchStrategy[bool]) -> SearchStrategy[CouplingLayer]:
    """Coupling layers of two coordinates, neither scale nor shift zero."""
    some = strategies.nonzero_fractions(3, 2)
    return st.builds(CouplingLayer, first, some, strategies.fractions(-2, 2, 2), some, some)


@st.composite
def flow_scenes(draw: DrawFn, *, dims: tuple[int, ...] = (1, 1, 2), bent: bool = True) -> FlowScene:
    """Two or three layers, at least one of them not affine if `bent`, and a latent."""
    dim = draw(st.sampled_from(dims))
    layers: list[Layer] = [draw(linears(dim))]
    bends = st.builds(Bend, st.sampled_from(("cubic", "sinh")), st.just(dim))
    if dim == 2:
        some = strategies.nonzero_fractions(3, 2)
        autoregressions = st.builds(
            Autoregression, some, strategies.fractions(-2, 2, 2), some, some
        )
        bends = st.one_of(bends, autoregressions, couplings(st.booleans()))
    if bent or draw(st.booleans()):
        layers.append(draw(bends))
    if draw(st.booleans()):
        layers.append(draw(linears(dim)))
    return FlowScene(tuple(layers), draw(strategies.vectors(dim, -3, 3, 2)))


@dataclass(frozen=True)
class EmbeddedScene:
    """A flow followed by a curve or a surface, and a latent."""

    layers: tuple[Layer, ...]
    surface: Decoder
    z: Vector

    @cached_property
    def flow(self) -> Embedding:
        """The embedding."""
        return flows.compose(*(layer.build() for layer in self.layers), self.surface)

    @property
    def latent(self) -> Array:
        """The latent, `(d,)`."""
        return np.array(self.z)


@st.composite
def embedded_scenes(draw: DrawFn) -> EmbeddedScene:
    """Graphs, helices and a sphere without a point, after a few layers."""
    dim = draw(st.sampled_from((1, 1, 2)))
    if dim == 1:
        surfaces = st.one_of(
            st.builds(decoders.Helix, st.sampled_from((1.0, 0.5)), st.sampled_from((1.0, 0.5))),
            st.builds(
                lambda a, b: decoders.Polynomial([[1], [2], [3]], [[1.0, 0.0], [0.0, a], [0.0, b]]),
                strategies.nonzero_fractions(3, 4),
                strategies.fractions(-2, 2, 8),
            ),
        )
    else:
        surfaces = st.one_of(
            st.builds(decoders.SpherePatch, st.sampled_from((2.0, 3.0))),
            st.builds(
                lambda a, b, c: decoders.Polynomial(
                    [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2]],
                    [[1.0, 0, 0], [0, 1.0, 0], [0, 0, a], [0, 0, b], [0, 0, c]],
                ),
                strategies.nonzero_fractions(2, 4),
                *[strategies.fractions(-2, 2, 4)] * 2,
            ),
        )
    layers: list[Layer] = [draw(linears(dim))]
    if dim == 1 and draw(st.booleans()):
        layers.append(Bend("sinh", 1))
    return EmbeddedScene(tuple(layers), draw(surfaces), draw(strategies.vectors(dim, -3, 3, 2)))


Scene = FlowScene | EmbeddedScene


def scales(scene: Scene, *, start: float = 1 / 32, count: int = 5) -> Array:
    """Halving scales; the first is a share of the scale at which the flow bends near the latent."""
    scale = varying_metric.natural_scale(scene.flow, scene.latent)
    return scale * start / 2.0 ** np.arange(count)


def tame(scene: Scene) -> Scene:
    """The scene, if the flow is not so steep, flat or bent that digits are lost."""
    assume(varying_metric.natural_scale(scene.flow, scene.latent) > 1 / 16)
    assume(np.linalg.norm(scene.flow.jacobian(scene.latent)) < 50)
    return scene


def condition_at(flow: Embedding, z: Array) -> float:
    """The condition number of the Jacobian at z."""
    return float(np.linalg.cond(flow.jacobian(z)))
