"""Decoders whose metric g = J^T J varies over the latent space, and the slope of the metric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder


@dataclass(frozen=True)
class Graph:
    """The decoder z -> (W z, a polynomial of z): injective, and an immersion, since W is."""

    stretch: Vector
    angles: tuple[int, ...]
    powers: tuple[tuple[int, ...], ...]
    coefficients: Vector
    z: Vector

    @cached_property
    def decoder(self) -> Decoder:
        """The polynomial decoder, `(d,) -> (d + 1,)`."""
        dim = len(self.stretch)
        linear = np.diag(self.stretch) @ strategies.rotation(self.angles, dim)
        flat = np.hstack([linear.T, np.zeros((dim, 1))])
        bent = np.hstack([np.zeros((len(self.powers), dim)), np.array(self.coefficients)[:, None]])
        powers = np.vstack([np.eye(dim), np.array(self.powers)])
        return decoders.Polynomial(powers, np.vstack([flat, bent]))


_MONOMIALS = {1: ((2,), (3,)), 2: ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1))}


@st.composite
def graphs(draw: DrawFn) -> Graph:
    """Curves and surfaces that are graphs over their latent space, and a point of it."""
    dim = draw(st.sampled_from((1, 1, 2)))
    powers = _MONOMIALS[dim]
    coefficients = draw(strategies.vectors(len(powers), -4, 4, 4))
    z = draw(strategies.vectors(dim, -2, 2, 2))
    stretch = draw(st.tuples(*[st.sampled_from((1.0, 2.0, 1.5))] * dim))
    scene = Graph(stretch, draw(strategies.angles(dim)), powers, coefficients, z)
    assume(np.abs(scene.decoder.hessian(np.array(z))).max() > 0)
    return scene


def metric_slope(decoder: Decoder, z: Array) -> tuple[Array, Array]:
    """The metric g = J^T J at each z, `(..., d, d)`, and T_ijk = f_i.f_jk + f_j.f_ik + f_k.f_ij."""
    jacobian, hessian = decoder.jacobian(z), decoder.hessian(z)
    product = np.einsum("...ai,...ajk->...ijk", jacobian, hessian)
    slope = product + np.swapaxes(product, -3, -2) + np.moveaxis(product, -3, -1)
    return np.swapaxes(jacobian, -1, -2) @ jacobian, slope


def gap_coefficient(decoder: Decoder, z: Array) -> Array:
    """Coefficient of sigma^2 in the gap of log evidence and ELBO at each z, ||T||_g^2 / 12."""
    metric, slope = metric_slope(decoder, z)
    inverse = np.linalg.inv(metric)
    norm = np.einsum(
        "...ijk,...lmn,...il,...jm,...kn->...", slope, slope, inverse, inverse, inverse
    )
    return np.asarray(norm / 12)


def natural_scale(decoder: Decoder, z: Array) -> Array:
    """The sigma below which the posterior is narrow against the prior and the decoder's bend.

    One for each z, `(...)`.
    """
    least = np.linalg.svd(decoder.jacobian(z), compute_uv=False)[..., -1]
    bend = np.linalg.norm(decoder.hessian(z).reshape(*least.shape, -1), axis=-1)
    return np.asarray(least * np.minimum(1.0, least / np.maximum(bend, 1e-3)))
