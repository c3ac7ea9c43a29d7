"""Check of 8g: compositions of coupling layers, by the evidence and by autograd's Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import derivatives, flows
from vaetheory._gaussians import standard_log_prob
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.flow_limit.excess import measured, true_limit
from vaetheory.claims.flow_limit.scenes import (
    GAUSSIAN,
    CouplingLayer,
    FlowScene,
    condition_at,
    couplings,
    scales,
)
from vaetheory.flows import Composition
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Couplings:
    """Coupling layers that keep the first and the second coordinate in turn, and a latent."""

    layers: tuple[CouplingLayer, ...]
    z: strategies.Vector

    @cached_property
    def scene(self) -> FlowScene:
        """The same as a flow scene."""
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
    """The log determinant with the wrong sign."""
    return float(standard_log_prob(z) + flow.log_det(z))


def last_layer_forgotten(flow: Composition, z: Array) -> float:
    """Without the log determinant of the last layer."""
    rest = flows.Composition(*flow.flows[:-1])
    return float(standard_log_prob(z) - rest.log_det(z))


def every_layer_at_the_latent(flow: Composition, z: Array) -> float:
    """Each layer's log determinant at the latent, not at the image of the layers before it."""
    return float(standard_log_prob(z) - sum(float(layer.log_det(z)) for layer in flow.flows))


def coupling_limit(
    instance: Couplings, *, density: Callable[[Composition, Array], float] = by_autograd
) -> Comparison:
    """Check inverse, log determinant, and the limit of the log evidence as sigma tends to 0."""
    scene = instance.scene
    flow, z = scene.flow, scene.latent
    assert isinstance(flow, Composition)
    x = flow.forward(z)
    size = 1 + float(np.abs(z).max() + np.abs(x).max())
    rounding = gamma(200) * condition_at(flow, z) * size**2
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


COUPLING_LAYERS = Proposition(
    label="8g",
    title="Compositions of coupling layers: the log determinants add up along the way",
    statement=(
        r"\lim_{\sigma\to0}\log p_\sigma(x) = \log\mathcal N(z_0; 0, I)"
        r" - \sum_l\log|\det J_l(z_{l-1})|,\quad z_l = f_l(z_{l-1}),"
        r"\ \log|\det J_l| = \sum_b s_b"
    ),
    hypotheses=(
        GAUSSIAN,
        ("coupling layers", r"x_a = z_a,\ x_b = e^{s(z_a)} z_b + t(z_a)"),
    ),
    kind="identity",
    instances=coupling_scenes(),
    check=coupling_limit,
    controls=wrong(
        coupling_limit,
        {
            "the log determinant added": {"density": added_log_det},
            "the last layer forgotten": {"density": last_layer_forgotten},
            "every layer at the latent": {"density": every_layer_at_the_latent},
        },
    ),
    uses=("8a",),
    examples=5,
)
