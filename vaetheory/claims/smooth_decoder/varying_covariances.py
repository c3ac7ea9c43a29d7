"""The check of 2b-varying: second derivatives of the optimal decoder where covariances differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class VaryingPoint:
    """Data whose posteriors have covariances of their own, and a point of the latent space."""

    scene: EncodedData
    z: Vector


@st.composite
def varying_points(draw: DrawFn) -> VaryingPoint:
    """Two to four data in one or two latent dimensions, and a point among the codes."""
    dim, data_dim = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    data = strategies.data_sets(data_dim, max_size=4)
    scene = draw(strategies.encoded_data(dim, data, shared=False))
    return VaryingPoint(scene, draw(strategies.vectors(dim)))


def _moments(scene: EncodedData, z: Array) -> tuple[Array, Array, Array]:
    """Weights `(N,)`, centred scores `(N, d)` and precisions at a real or complex z."""
    precision, away = np.linalg.inv(scene.encoder.cov), scene.encoder.loc - z
    scores = np.einsum("nij,nj->ni", precision, away)
    exponents = -0.5 * np.einsum("ni,ni->n", away, scores)
    exponents = exponents + 0.5 * np.linalg.slogdet(precision)[1]
    weights = np.exp(exponents - exponents.real.max())
    weights = weights / weights.sum()
    return weights, scores - weights @ scores, precision


def _jacobian(scene: EncodedData, z: Array) -> Array:
    """Cov[x, s] of 2a as an analytic function of z."""
    weights, scores, _ = _moments(scene, z)
    return np.einsum("n,ni,nj->ij", weights, scene.data - weights @ scene.data, scores)


def library(scene: EncodedData, z: Array) -> Array:
    """The library's closed form, `(D, d, d)`."""
    return OptimalDecoder(scene.data, scene.encoder).hessian(z)


def without_precision(scene: EncodedData, z: Array, *, factor: float = 0.0) -> Array:
    """Cov[x, s s^T] with a wrong multiple of Cov[x, -S^-1]."""
    weights, scores, precision = _moments(scene, z)
    second = scores[:, :, None] * scores[:, None, :] + factor * precision
    away = scene.data - weights @ scene.data
    return np.einsum("n,ni,njk->ijk", weights, away, second)


def added_precision(scene: EncodedData, z: Array) -> Array:
    """The closed form with the other sign of the precision."""
    return without_precision(scene, z, factor=1.0)


def hessian_has_the_precision(
    point: VaryingPoint, *, formula: Callable[[EncodedData, Array], Array] = library
) -> Comparison:
    """Compare the closed form with the complex-step derivative of the Jacobian of 2a."""
    scene, z = point.scene, np.array(point.z)
    step = 1e-30
    columns = [_jacobian(scene, z + 1j * step * e).imag / step for e in np.eye(len(z))]
    precision = _moments(scene, z)[2]
    away = float(np.ptp(scene.data, axis=0).max())
    norms = np.linalg.norm(precision, ord=2, axis=(-2, -1))
    # The terms that cancel: scores before they are centred, and the exponents of the weights.
    reach = norms * (np.linalg.norm(scene.encoder.loc, axis=-1) + np.linalg.norm(z))
    size = away * (1 + float((reach**2 + norms).max()))
    condition = float(np.linalg.cond(scene.encoder.cov).max())
    return Comparison.identity(
        formula(scene, z),
        np.stack(columns, axis=-1),
        scale=size,
        rounding=gamma(100 * len(scene.X)) * condition * size * (1 + float(reach.max()) ** 2),
    )


HESSIAN_HAS_THE_PRECISION = Proposition(
    label="2b-varying",
    title="Where the covariances differ the second derivative has a term of the precision",
    statement=(
        r"\partial_i\partial_j f^*(z) = \mathrm{Cov}_{q(x|z)}"
        r"\big[x,\ \tilde s_i\tilde s_j - (S(x)^{-1})_{ij}\big],\quad "
        r"\tilde s = s - \mathbb E_{q(x|z)}[s]"
    ),
    hypotheses=(("Gaussian encoder", r"q(z|x) = \mathcal N(m(x), S(x))"),),
    kind="identity",
    instances=varying_points(),
    check=hessian_has_the_precision,
    controls=wrong(
        hessian_has_the_precision,
        {
            "no precision": {"formula": without_precision},
            "the precision added": {"formula": added_precision},
        },
    ),
    uses=("2a",),
)
