"""Checks of 8g: compositions of coupling layers, by the evidence and by autograd's Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import derivatives, flows
from vaetheory._gaussians import standard_log_prob
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.flow_limit.scenes import CouplingLayer, FlowScene, couplings, scales
from vaetheory.claims.flow_limit.smoothing import measured, true_limit
from vaetheory.flows import Composition
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Couplings:
    """Coupling layers that pass the one and the other coordinate by turns, and a latent."""

    layers: tuple[CouplingLayer, ...]
    z: strategies.Vector

    @property
    def scene(self) -> FlowScene:
        """As a flow."""
        return FlowScene(self.layers, self.z)


@st.composite
def coupling_scenes(draw: DrawFn) -> Couplings:
    """Two or three layers."""
    count = draw(st.integers(2, 3))
    layers = tuple(draw(couplings(st.just(k % 2 == 0))) for k in range(count))
    return Couplings(layers, draw(strategies.vectors(2, -3, 3, 2)))


def by_autograd(flow: Composition, z: Array) -> float:
    """The change of variables with the determinant of autograd's Jacobian."""
    J = derivatives.jacobian(flow.forward, z[None])[0]
    return float(standard_log_prob(z) - np.linalg.slogdet(J)[1])


def added_log_det(flow: Composition, z: Array) -> float:
    """The log determinant added."""
    return float(standard_log_prob(z) + flow.log_det(z))


def last_layer_forgotten(flow: Composition, z: Array) -> float:
    """Without the log determinant of the last layer."""
    rest = flows.Composition(*flow.flows[:-1])
    return float(standard_log_prob(z) - rest.log_det(z))


def every_layer_at_the_latent(flow: Composition, z: Array) -> float:
    """Each layer's log determinant at the latent, not where the layers before it lead."""
    return float(standard_log_prob(z) - sum(float(layer.log_det(z)) for layer in flow.flows))


def coupling_limit(
    instance: Couplings, *, density: Callable[[Composition, Array], float] = by_autograd
) -> Comparison:
    """Inverse, log determinant, and the log evidence as sigma tends to 0."""
    scene = instance.scene
    flow, z = scene.flow, scene.latent
    assert isinstance(flow, Composition)
    x = flow.forward(z)
    size = 1 + float(np.abs(z).max() + np.abs(x).max())
    condition = float(np.linalg.cond(flow.jacobian(z)))
    rounding = gamma(200) * condition * size**2
    wanted = density(flow, z)
    sigma = scales(scene, start=1 / 16, count=4)
    exact, off = measured(scene, sigma, true_limit, method="evidence")
    limit, left, noise = extrapolate(exact + true_limit(flow, z, sigma), off)
    return Comparison.all_of(
        Comparison.identity(flow.inverse(x), z, scale=size, rounding=rounding),
        Comparison.identity(
            float(flows.flow_log_density(flow, x)), wanted, scale=size, rounding=rounding
        ),
        Comparison.identity(
            limit, wanted, scale=size, expansion=left, numerics=noise, rounding=rounding
        ),
    )
