"""Check of 11a: the half-network has half the outputs of an ordinary VAE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.half_network.scenes import HALF
from vaetheory.training import OBJECTIVES, Units, Vae


@dataclass(frozen=True)
class Shape:
    """Dimensions of data and latent, and the widths of the hidden layers."""

    data_dim: int
    latent_dim: int
    hidden: tuple[int, ...]


def shapes() -> SearchStrategy[Shape]:
    """Small networks."""
    widths = st.lists(st.integers(1, 6), max_size=2).map(tuple)
    return st.builds(Shape, st.integers(1, 9), st.integers(1, 4), widths)


def outputs_counted(
    shape: Shape, *, half: str = "half", factor: float = 0.5, parameters: bool = False
) -> Comparison:
    """Compare the numbers of outputs that half-network and ordinary VAE return."""

    def counted(name: str) -> tuple[int, int]:
        units = Units(np.zeros(shape.data_dim), np.array(1.0))
        vae = Vae(OBJECTIVES[name], shape.data_dim, shape.latent_dim, shape.hidden, units)
        outputs = 0
        for network, inputs in ((vae.encoder, shape.data_dim), (vae.decoder, shape.latent_dim)):
            layers = network.layers(np.zeros(network.count))
            outputs += network.forward(layers, np.zeros((1, inputs)))[-1].shape[1]
        return outputs, vae.count

    (few, less), (many, more) = counted(half), counted("ordinary")
    left, right = (less, factor * more) if parameters else (few, factor * many)
    # The weights and the bias of each output that is left out.
    width, other = (shape.hidden or (shape.data_dim,))[-1], (shape.hidden or (shape.latent_dim,))[0]
    saved = (width + 1) * shape.latent_dim + (other + 1) * shape.data_dim
    parts = [Comparison.identity(left, right, scale=float(right))]
    if not parameters and half == "half":
        parts.append(Comparison.identity(more - less, saved, scale=float(saved)))
    return Comparison.all_of(*parts)


HALF_THE_OUTPUTS = Proposition(
    label="11a",
    title="The half-network has half the outputs of an ordinary VAE",
    statement=(
        r"d + D = \tfrac12(2d + 2D);\quad"
        r"\text{parameters saved: } (H + 1)d + (H' + 1)D"
    ),
    hypotheses=(HALF, ("the same hidden layers", r"H, H' \text{ their last widths}")),
    kind="identity",
    instances=shapes(),
    check=outputs_counted,
    controls=wrong(
        outputs_counted,
        {
            "half the parameters": {"parameters": True},
            "learned posterior variances and one sigma": {"half": "one-sigma"},
            "a third": {"factor": 1 / 3},
        },
    ),
)
