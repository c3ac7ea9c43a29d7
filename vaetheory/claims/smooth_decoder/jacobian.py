"""The check of 2a: the Jacobian of the optimal decoder is a covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.strategies import EncodedData
from vaetheory.claims.smooth_decoder.scenes import (
    EncodedPoint,
    encoded_points,
    log_weights,
    score_sizes,
    weight_error,
)
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


def _direct(scene: EncodedData, z: Array) -> Array:
    """f*(z) by its definition, for a real or complex z `(d,)`."""
    exponents = log_weights(scene, z)
    weights = np.exp(exponents - exponents.real.max())
    return (weights @ scene.data) / weights.sum()


def _score_covariance(instance: EncodedPoint) -> Array:
    """The library's closed form."""
    scene = instance.scene
    return OptimalDecoder(scene.data, scene.encoder).jacobian(np.array(instance.z))


def jacobian_is_covariance(
    instance: EncodedPoint, *, formula: Callable[[EncodedPoint], Array] = _score_covariance
) -> Comparison:
    """Compare Cov[x, s] with the complex-step derivative of the definition of f*."""
    scene, z = instance.scene, np.array(instance.z)
    step = 1e-30
    columns = [_direct(scene, z + 1j * step * e).imag / step for e in np.eye(len(z))]
    derivative = np.stack(columns, axis=-1)
    weights = scene.encoder.responsibilities(z)
    away = np.linalg.norm(scene.data - scene.data[weights.argmax()], axis=-1)
    reach = score_sizes(scene, z)
    size = weights @ (away * reach) + (weights @ away) * (weights @ reach)
    spread = float(np.linalg.norm(np.ptp(scene.data, axis=0)))
    return Comparison.identity(
        formula(instance),
        derivative,
        scale=spread * (1 + reach.max()),
        weights=weight_error(scene, z) * size,
        # The library centres at the data mean, which leaves the rounding of the whole spread.
        rounding=gamma(30 * len(scene.X)) * spread * (weights @ reach),
    )


def _moments(instance: EncodedPoint) -> tuple[Array, Array, Array, Array]:
    scene, z = instance.scene, np.array(instance.z)
    scores = np.linalg.solve(scene.encoder.cov, (scene.encoder.loc - z)[..., None])[..., 0]
    return scene.encoder.responsibilities(z), scene.data, scores, np.array(z)


def _uncentred(instance: EncodedPoint) -> Array:
    w, x, s, _ = _moments(instance)
    return np.einsum("n,ni,nj->ij", w, x, s)


def _inflated(instance: EncodedPoint) -> Array:
    count = len(instance.scene.X)
    return _score_covariance(instance) * count / (count - 1)


def _even_weights(instance: EncodedPoint) -> Array:
    _, x, s, _ = _moments(instance)
    return (x - x.mean(axis=0)).T @ (s - s.mean(axis=0)) / len(x)


def _without_precision(instance: EncodedPoint) -> Array:
    w, x, _, z = _moments(instance)
    away = instance.scene.encoder.loc - z
    return np.einsum("n,ni,nj->ij", w, x - w @ x, away - w @ away)


JACOBIAN_IS_COVARIANCE = Proposition(
    label="2a",
    title="The Jacobian of f* is the covariance of x with the score of the encoder",
    statement=(
        r"J^*(z) = \mathrm{Cov}_{q(x|z)}[x, s(x,z)],\quad "
        r" s = \nabla_z \log q(z|x) = -S(x)^{-1}(z-m(x))"
    ),
    hypotheses=(("Gaussian encoder", r"q(z|x) = \mathcal N(m(x), S(x))"),),
    kind="identity",
    instances=encoded_points(),
    check=jacobian_is_covariance,
    controls=wrong(
        jacobian_is_covariance,
        {
            "the score with the wrong sign": {"formula": lambda i: -_score_covariance(i)},
            "E[x s], not centred": {"formula": _uncentred},
            "the N - 1 covariance": {"formula": _inflated},
            "unweighted covariance": {"formula": _even_weights},
            "z - m for S^-1 (z - m)": {"formula": _without_precision},
        },
    ),
    uses=("1a",),
    examples=50,
)
