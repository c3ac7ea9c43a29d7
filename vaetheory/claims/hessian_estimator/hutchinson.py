"""The check of 4c: the bias of Hutchinson's estimate of a Jacobian's norm as the noise shrinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import leading_coefficient, power_law, settled
from vaetheory.checking.strategies import Vector
from vaetheory.claims.hessian_estimator.scenes import WrittenDecoder, written_decoders
from vaetheory.hessian_estimators import jacobian_norm
from vaetheory.rounding import gamma

SCALES = 1 / 32 / 2.0 ** np.arange(4)


@dataclass(frozen=True)
class DecoderPoint:
    """A decoder and a point m of its latent space."""

    decoder: WrittenDecoder
    z: Vector


@st.composite
def decoder_points(draw: DrawFn) -> DecoderPoint:
    """Polynomial, sine and tanh decoders in one or two dimensions, and a point."""
    dim = draw(st.integers(1, 2))
    return DecoderPoint(draw(written_decoders(dim)), draw(strategies.vectors(dim, -2, 2)))


def frobenius(jacobian: Array) -> float:
    """||J||_F^2."""
    return float((jacobian**2).sum())


def spectral(jacobian: Array) -> float:
    """The largest singular value, squared."""
    return float(np.linalg.norm(jacobian, 2) ** 2)


@once
def bias_terms(instance: DecoderPoint) -> tuple[float, float, float]:
    """1/2 ||H||_F^2, 1/4 ||tr H||^2 and the sum of grad f_a . grad(Laplacian f_a), at m."""
    f, z = instance.decoder.decoder, np.array(instance.z)
    hessian = f.hessian(z)
    third = instance.decoder.laplacian_gradient(z)
    trace = np.trace(hessian, axis1=-2, axis2=-1)
    return (
        0.5 * float((hessian**2).sum()),
        0.25 * float((trace**2).sum()),
        float((f.jacobian(z) * third).sum()),
    )


@once
def expected_excess(
    instance: DecoderPoint, scales: Array, *, norm: Callable[[Array], float] = frobenius
) -> tuple[Array, Array]:
    """E||f(m + s eps) - f(m)||^2 / s^2 - ||J||_F^2 for each s, and estimates of the errors."""
    f, m = instance.decoder.decoder, np.array(instance.z)
    centre, limit = f(m), norm(f.jacobian(m))
    values, errors = [], []
    for scale in scales:

        def one_draw(z: Array, rows: Array, scale: float = scale) -> Array:
            points = f(z)[..., None, :]
            at = np.broadcast_to(centre, points.shape[:-2] + centre.shape)
            return jacobian_norm(points, at, scale).value

        expectation = gaussian_expectation(one_draw, m[None], scale**2 * np.eye(len(m))[None])
        value = float(expectation.value[0])
        # The rounding of f, divided by s, times twice the size of the difference that is squared.
        digits = gamma(50) * (1 + float(np.abs(centre).max())) / scale
        values.append(value - limit)
        errors.append(
            float(expectation.error[0])
            + 4 * digits * np.sqrt(value + 1)
            + gamma(50) * (value + limit)
        )
    return np.array(values), np.array(errors)


def hutchinson_rate(
    instance: DecoderPoint,
    *,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
    exponent: float = 2.0,
    norm: Callable[[Array], float] = frobenius,
) -> Comparison:
    """Compare exponent and coefficient of the bias of the squared norm with the law as s falls."""
    values, errors = expected_excess(instance, SCALES, norm=norm)
    terms = bias_terms(instance)
    coefficient = sum(w * t for w, t in zip(weights, terms, strict=True))
    size = float(np.abs(terms).sum())
    lost = gamma(200) * (1 + size)
    # Where the three terms nearly cancel, the next power hides the exponent.
    even = settled(values, errors, SCALES, exponent=exponent)
    law = power_law if even and coefficient else leading_coefficient
    return law(values, errors, SCALES, exponent=exponent, coefficient=coefficient, rounding=lost)


HUTCHINSON_RATE = Proposition(
    label="4c",
    title="Hutchinson's form tends to the Jacobian's norm as s^2, with this coefficient",
    statement=(
        r"\frac{\mathbb E\|f(m+s\varepsilon)-f(m)\|^2}{s^2} = \|J\|_F^2 + s^2\Big("
        r"\tfrac12\sum_a\|H_a\|_F^2 + \tfrac14\sum_a(\operatorname{tr}H_a)^2"
        r" + \sum_a\nabla f_a\cdot\nabla\Delta f_a\Big) + O(s^4)"
    ),
    hypotheses=(("smooth", r"f \in C^6,\ \text{of moderate growth}"),),
    kind="rate",
    instances=decoder_points(),
    check=hutchinson_rate,
    controls=wrong(
        hutchinson_rate,
        {
            "no third derivatives": {"weights": (1.0, 1.0, 0.0)},
            "no trace of H": {"weights": (1.0, 0.0, 1.0)},
            "||H||^2 twice": {"weights": (2.0, 1.0, 1.0)},
            "the spectral norm": {"norm": spectral},
            "order s": {"exponent": 1.0},
        },
    ),
    figure="hessian-estimator",
    resolution=5e-2,
)
