"""Check of 8a: a flow under noise, by the Laplacian of its density in the data space.

The Laplacian comes from inverse, log determinant, and first and second derivatives of the flow.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from vaetheory import flows
from vaetheory._validation import Array
from vaetheory.checking import Proposition, wrong
from vaetheory.claims.flow_limit.excess import excess_law, wrong_limit
from vaetheory.claims.flow_limit.scenes import FLOW, GAUSSIAN, SMOOTH, flow_scenes, tame
from vaetheory.flows import Embedding, Flow


def half_laplacian(flow: Embedding, z: Array) -> float:
    """Half the Laplacian of p_flow over p_flow, at x = f(z)."""
    assert isinstance(flow, Flow)
    return 0.5 * float(flows.laplacian_ratio(flow, flow.forward(z)))


def whole_laplacian(flow: Embedding, z: Array) -> float:
    """The Laplacian over the density, without the half."""
    return 2 * half_laplacian(flow, z)


def laplacian_of_the_log(flow: Embedding, z: Array) -> float:
    """Half the Laplacian of log p_flow: the squared gradient is missing."""
    assert isinstance(flow, Flow)
    x = flow.forward(z)
    return half_laplacian(flow, z) - 0.5 * float((score(flow, x) ** 2).sum())


def score(flow: Flow, x: Array) -> Array:
    """The gradient of log p_flow at x."""
    z = flow.inverse(x)
    slope = np.linalg.inv(flow.jacobian(z))
    volume = np.einsum("ij,ijk->k", slope.T, flow.hessian(z))
    return -(z + volume) @ slope


#: 8a: D = d, the Laplacian in the data space.
smooth_flow = partial(excess_law, coefficient=half_laplacian)


CHANGE_OF_VARIABLES = Proposition(
    label="8a",
    title="A flow under noise: half the Laplacian of its density times sigma^2",
    statement=(
        r"\log p_\sigma(x) = \log p_{\mathrm{flow}}(x)"
        r" + \frac{\sigma^2}{2}\frac{\Delta p_{\mathrm{flow}}}{p_{\mathrm{flow}}}(x)"
        r" + O(\sigma^4),\quad p_{\mathrm{flow}} = \mathcal N(f^{-1}(x); 0, I)"
        r"\,|\det J_{f^{-1}}|"
    ),
    hypotheses=(GAUSSIAN, FLOW, SMOOTH),
    kind="rate",
    instances=flow_scenes().map(tame),
    check=smooth_flow,
    controls=wrong(
        smooth_flow,
        {
            "the log determinant of the wrong sign": {"limit": partial(wrong_limit, volume=-1.0)},
            "the Laplacian without the half": {"coefficient": whole_laplacian},
            "the Laplacian of log p": {"coefficient": laplacian_of_the_log},
            "sigma for sigma^2": {"exponent": 1.0},
            "a remainder of order sigma^3": {"remainder": 3.0},
        },
    ),
    figure="flow-limit",
    resolution=5e-2,
    examples=5,
)
