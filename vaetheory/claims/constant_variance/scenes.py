"""Hypotheses and instances that several rooms of claim 5 share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import strategies, varying_metric
from vaetheory.checking.strategies import Vector
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.decoders import Decoder

ISOTROPIC = ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)")
ON_THE_IMAGE = ("an embedding at each datum", r"g \succ 0,\ x_n = f(z_n),\ f \text{ injective}")
NEAR = ("the branch near z_n", r"q_n \text{ continued from } \mathcal N(z_n, \sigma^2 g_n^{-1})")


@dataclass(frozen=True)
class GraphData:
    """A decoder that is a graph over its latents, and the latents of its data x_n = f(z_n)."""

    graph: varying_metric.Graph
    others: tuple[Vector, ...]

    @property
    def latents(self) -> Array:
        """z_n, `(N, d)`."""
        return np.array([self.graph.z, *self.others])

    @property
    def scales(self) -> Array:
        """Sigma, halving from a small share of the least natural scale of the data, `(5,)`."""
        decoder = self.graph.decoder
        least = float(varying_metric.natural_scale(decoder, np.array(self.latents)).min())
        return least / 16 / 2.0 ** np.arange(5)


@st.composite
def graph_data(draw: DrawFn) -> GraphData:
    """Two or three different points on a curve or a surface; their metrics differ."""
    graph = draw(varying_metric.graphs())
    more = st.lists(strategies.vectors(len(graph.z), -2, 2, 2), min_size=1, max_size=2)
    scene = GraphData(graph, tuple(draw(more)))
    assume(float(_limit(scene.graph.decoder, scene.latents)) > 1e-3)
    return scene


def pulled_back_metrics(decoder: Decoder, Z: Array) -> Array:
    """The metrics g_n = J^T J at the latents z_n, `(N, d, d)`."""
    return varying_metric.metric_slope(decoder, Z)[0]


def _limit(decoder: Decoder, Z: Array) -> float:
    """The limit of the penalty as sigma tends to 0: the penalty of the metrics."""
    return float(constant_variance_penalty(pulled_back_metrics(decoder, Z)).value)
