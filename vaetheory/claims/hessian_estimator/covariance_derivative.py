"""The check of 4a: the derivative of a smoothed function in the covariance."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.hessian_estimator.smooth_functions import (
    SMOOTH,
    SmoothFunction,
    by_lattice,
    by_rules,
    flat,
    smooth_functions,
)
from vaetheory.rounding import gamma


def _directions(dim: int) -> Array:
    """Symmetric directions: e_i e_i^T, and e_i e_j^T + e_j e_i^T, which moves S_ij and S_ji."""
    unit = np.eye(dim)
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]
    return np.stack(
        [
            (np.outer(unit[i], unit[j]) + np.outer(unit[j], unit[i])) / (1 + (i == j))
            for i, j in pairs
        ]
    )


def derivative_in_covariance(
    instance: SmoothFunction,
    *,
    factor: float = 0.5,
    smoothed: bool = True,
    residual: bool = True,
    pairs_once: bool = False,
) -> Comparison:
    """Compare 1/2 tr(E[Hess g] B) with the complex step of E_{N(m, S + i h B)}[g], B symmetric."""
    loc, cov = instance.loc, instance.cov
    dim = len(loc)
    directions = _directions(dim)
    hessian, error = _smoothed_hessian(instance, residual)
    if not smoothed:
        hessian = flat(instance.hessians(loc))
    along = directions if not pairs_once else np.tril(directions)
    right = factor * np.einsum("kij,ij->k", along, hessian.reshape(dim, dim))
    right_error = factor * np.einsum("kij,ij->k", directions, error.reshape(dim, dim))

    value, lost, swing = _by_complex_step(instance)
    return Comparison.identity(
        value,
        right,
        scale=np.abs(hessian).max() + swing,
        lattice=lost,
        quadrature=right_error,
        rounding=gamma(200) * swing * (1 + float(np.linalg.cond(cov))),
    )


@once
def _smoothed_hessian(instance: SmoothFunction, residual: bool) -> tuple[Array, Array]:
    """E[Hess g] by the library's rules, its entries `(d^2,)` and their errors."""
    return by_rules(
        lambda z: flat(instance.hessians(z, residual=residual)), instance.loc, instance.cov
    )


@once
def _by_complex_step(instance: SmoothFunction) -> tuple[Array, Array, float]:
    """Derivatives of E_{N(m, S)}[g] along the directions, their errors, and the size of terms."""
    loc, cov = instance.loc, instance.cov
    directions = _directions(len(loc))
    # Only the density is differentiated, by a complex step, which loses no digits.
    step = 1e-30
    moved = cov + 1j * step * directions
    inverses = np.linalg.inv(moved)
    dets = np.array([np.linalg.det(2 * np.pi * m) for m in moved])
    centre = float(instance.values(loc[None])[0])

    def columns(z: Array) -> Array:
        away = z - loc
        square = np.einsum("mi,kij,mj->mk", away, inverses, away)
        slopes = (np.exp(-0.5 * square) / np.sqrt(dets)).imag / step
        # A constant has no derivative: g(m) is subtracted, and less cancels.
        g = instance.values(z) - centre
        density = np.exp(-0.5 * square[:, 0].real) / np.sqrt(dets[0].real)
        return np.concatenate([g[:, None] * slopes, (np.abs(g) * density)[:, None]], axis=-1)

    value, lost = by_lattice(columns, loc, cov)
    swing = float(np.linalg.norm(np.linalg.inv(cov), 2)) * (1 + abs(centre) + float(value[-1]))
    return value[:-1], lost[:-1], swing


DERIVATIVE_IN_COVARIANCE = Proposition(
    label="4a",
    title="The derivative of a smoothed function in S is half its smoothed Hessian",
    statement=(
        r"\frac{d}{dt}\Big|_0 \mathbb E_{\mathcal N(m, S + tB)}[g]"
        r" = \tfrac12\operatorname{tr}(\mathbb E[\nabla^2 g]\,B)"
        r"\quad\text{for every symmetric } B"
    ),
    hypotheses=(
        SMOOTH,
        ("symmetric steps", r"S_{ij} \text{ and } S_{ji} \text{ move together}"),
    ),
    kind="identity",
    instances=smooth_functions(),
    check=derivative_in_covariance,
    controls=wrong(
        derivative_in_covariance,
        {
            "no factor 1/2": {"factor": 1.0},
            "the Hessian at the mean": {"smoothed": False},
            "Gauss-Newton part": {"residual": False},
            "off-diagonal entries counted once": {"pairs_once": True},
        },
    ),
    uses=("3b",),
)
