"""The cost of a constant variance in other coordinates, and the least of it over polynomials.

A reparametrisation of the decoder f is f o psi^-1 with psi a diffeomorphism of the patch. Its
metric at psi(u) is Dpsi^-T g Dpsi^-1. As the likelihood narrows the cost of a constant variance is
that of these metrics (5e-speed), averaged over a law on the patch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from vaetheory._validation import Array
from vaetheory.checking.strategies import Vector
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.decoders import Decoder


@dataclass(frozen=True)
class Patch:
    """A law on a patch of a decoder's latents by a rule: nodes, weights of sum 1, and metrics."""

    nodes: Array
    weights: Array
    metric: Array

    @classmethod
    def of(cls, decoder: Decoder, nodes: Array, weights: Array) -> Patch:
        """The patch with the pull-back metric of a decoder."""
        J = decoder.jacobian(nodes)
        return cls(nodes, weights / weights.sum(), np.swapaxes(J, -1, -2) @ J)


@dataclass(frozen=True)
class Least:
    """The least penalty over the polynomials of a degree, in nats; `error` is an estimate.

    `slopes` is Dpsi at the nodes. `slack` is the error of the optimiser, with rounding, and `rule`
    that of the quadrature.
    """

    degree: int
    value: float
    slack: float
    rule: float
    slopes: Array

    @property
    def error(self) -> float:
        """The sum of both errors."""
        return self.slack + self.rule


def _powers(dim: int, degree: int) -> Array:
    grid = np.stack(np.meshgrid(*[np.arange(degree + 1)] * dim, indexing="ij"), axis=-1)
    flat = grid.reshape(-1, dim)
    total = flat.sum(axis=-1)
    return flat[(total > 0) & (total <= degree)]


def gradients(nodes: Array, degree: int, reach: float) -> Array:
    """Gradients of all Legendre products of total degree 1 to `degree`, `(M, K, d)`."""
    dim, powers = nodes.shape[-1], _powers(nodes.shape[-1], degree)
    values = np.polynomial.legendre.legvander(nodes / reach, degree)
    slopes = np.stack(
        [
            np.polynomial.legendre.legval(
                nodes / reach, np.polynomial.legendre.legder(np.eye(degree + 1)[k])
            )
            / reach
            for k in range(degree + 1)
        ],
        axis=-1,
    )
    fields = np.ones((len(nodes), len(powers), dim))
    for axis in range(dim):
        for j in range(dim):
            table = slopes if axis == j else values
            fields[:, :, axis] *= table[:, j][:, powers[:, j]]
    return fields


def reparametrised(metric: Array, slopes: Array) -> Array:
    """Metrics Dpsi^-T g Dpsi^-1 in the coordinates psi, `(M, d, d)`."""
    inverse = np.linalg.inv(slopes)
    return np.asarray(np.swapaxes(inverse, -1, -2) @ metric @ inverse)


def penalty(patch: Patch, slopes: Array) -> tuple[float, float]:
    """Penalty in the coordinates whose Jacobian at the nodes is `slopes`, with its rounding."""
    cost = constant_variance_penalty(reparametrised(patch.metric, slopes), weights=patch.weights)
    return float(cost.value), float(cost.error)


def least_penalty(coarse: Patch, fine: Patch, degree: int) -> Least:
    """Least penalty over polynomial reparametrisations of a degree, from the identity.

    It is minimised on the rule of `coarse`, then evaluated on that of `fine` as well.
    """
    dim, reach = coarse.nodes.shape[-1], float(np.abs(coarse.nodes).max())
    basis = gradients(coarse.nodes, degree, reach)
    # Orthonormal gradients: the optimiser then sees a well-conditioned problem.
    rooted = np.sqrt(coarse.weights)[:, None, None] * basis
    flat = np.swapaxes(rooted, 1, 2).reshape(-1, basis.shape[1])
    mixing = np.linalg.inv(np.linalg.qr(flat)[1])
    basis = np.einsum("mkd,kl->mld", basis, mixing)
    log_dets = float(coarse.weights @ np.linalg.slogdet(coarse.metric)[1])
    eye = np.eye(dim)
    identity = np.einsum("m,mkj->kj", coarse.weights, basis)
    # A row for each field, with its values at all nodes: the objective is products of matrices.
    fields = np.swapaxes(basis, 0, 1).reshape(basis.shape[1], -1)

    def objective(flat_coefficients: Array) -> tuple[float, Array]:
        rows = flat_coefficients.reshape(-1, dim).T @ fields
        slopes = np.swapaxes(rows.reshape(dim, -1, dim), 0, 1)
        sign, log_det = np.linalg.slogdet(slopes)
        if (sign <= 0).any():
            # The map folds and is no diffeomorphism: the line search must turn back.
            return 1e3, np.zeros_like(flat_coefficients)
        inverse = np.linalg.inv(slopes)
        metrics = np.swapaxes(inverse, -1, -2) @ coarse.metric @ inverse
        mean = np.tensordot(coarse.weights, metrics, axes=1)
        value = 0.5 * (float(np.linalg.slogdet(mean)[1]) - log_dets) + float(
            coarse.weights @ log_det
        )
        pull = inverse @ (eye - np.linalg.solve(mean, metrics))
        gradient = fields @ (coarse.weights[:, None, None] * pull).reshape(-1, dim)
        return value, gradient.ravel()

    optimum = minimize(
        objective,
        identity.ravel(),
        jac=True,
        method="BFGS",
        options={"gtol": 1e-10, "maxiter": 500},
    )
    coefficients = optimum.x.reshape(-1, dim)
    slopes = np.einsum("ka,mkj->maj", coefficients, basis)
    value, rounding = penalty(coarse, slopes)
    finer = np.einsum("mkd,kl->mld", gradients(fine.nodes, degree, reach), mixing)
    again, _ = penalty(fine, np.einsum("ka,mkj->maj", coefficients, finer))
    # Newton's decrement, with the optimiser's own estimate of the curvature.
    decrement = abs(float(optimum.jac @ optimum.hess_inv @ optimum.jac))
    return Least(degree, value, decrement + rounding, abs(again - value), slopes)


@dataclass(frozen=True)
class Distorted(Decoder):
    """f after a change of coordinates chi, each coordinate moved by sines: f(chi(u)).

    In one dimension chi(u) = u + a sin(2 u) / 2; in two, chi(u, v) = (u + a sin v + b sin u,
    v + c sin u).
    """

    inner: Decoder
    bends: Vector

    def __call__(self, z: Array) -> Array:
        return self.inner(self.chi(z))

    def chi(self, z: Array) -> Array:
        """The flat coordinates of each point."""
        if len(self.bends) == 1:
            return z + 0.5 * self.bends[0] * np.sin(2 * z)
        a, b, c = self.bends
        u, v = z[..., 0], z[..., 1]
        return np.stack([u + a * np.sin(v) + b * np.sin(u), v + c * np.sin(u)], axis=-1)

    def slopes(self, z: Array) -> Array:
        """Dchi, `(..., d, d)`."""
        if len(self.bends) == 1:
            return (1 + self.bends[0] * np.cos(2 * z))[..., None]
        a, b, c = self.bends
        u, v = z[..., 0], z[..., 1]
        rows = ([1 + b * np.cos(u), a * np.cos(v)], [c * np.cos(u), np.ones_like(u)])
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    def jacobian(self, z: Array) -> Array:
        return np.asarray(self.inner.jacobian(self.chi(z)) @ self.slopes(z))

    def hessian(self, z: Array) -> Array:
        raise NotImplementedError("only the metric of a distorted decoder is needed")
