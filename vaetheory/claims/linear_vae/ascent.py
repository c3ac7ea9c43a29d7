"""Ascent of the ELBO of linear VAEs from many starts at once, with nothing known of the optimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory._validation import Array


def gradient(cov: Array, W: Any, noise: Array) -> Any:
    """The gradient of the profile ELBO in W, C^-1 Lam C^-1 W - W diag(1/M_jj), `(..., D, d)`."""
    total = W @ np.swapaxes(W, -1, -2) + noise[..., None, None] * np.eye(W.shape[-2])
    first = np.linalg.solve(total, W)
    second = np.linalg.solve(total, cov @ first)
    return second - W / ((W**2).sum(axis=-2) + noise[..., None])[..., None, :]


def ascend(
    cov: Array, W: Array, noise: Array, *, steps: int, learn: bool = False
) -> tuple[Array, Array]:
    """Coordinate ascent in (V, delta) and W, and in sigma^2 if it is learned; both results.

    Parameters
    ----------
    cov : array (..., D, D)
        Covariances of the data.
    W, noise : arrays (..., D, d), (...)
        The starts.

    Notes
    -----
    The best encoder of a weight is that of 12a. Given the encoder the ELBO is quadratic in W, and
    in sigma^2 it has the maximum at which sigma^2 is the residual of 12d; no step lowers the ELBO.
    """
    dim, d = W.shape[-2:]
    eye = np.eye(d)
    for _ in range(steps):
        T = np.swapaxes(W, -1, -2)
        gram = T @ W
        encoder = np.linalg.solve(gram + noise[..., None, None] * eye, T)
        diagonal = np.diagonal(gram, axis1=-2, axis2=-1) + noise[..., None]
        cross = cov @ np.swapaxes(encoder, -1, -2)
        second = encoder @ cross + (noise[..., None] / diagonal)[..., None] * eye
        W = np.swapaxes(np.linalg.solve(second, np.swapaxes(cross, -1, -2)), -1, -2)
        if learn:
            fitted = (W * cross).sum(axis=(-1, -2))
            noise = (np.trace(cov, axis1=-2, axis2=-1) - fitted) / dim
    return W, noise


def climb(cov: Array, W: Array, noise: Array, *, steps: int) -> Array:
    """Ascent by Newton's steps that run from saddles too: each curvature counts by its size.

    Of several step lengths, 0 included, each step takes the one of the greatest ELBO; the second
    derivatives are complex steps of the gradient.
    """
    dim, d = W.shape[-2:]
    lengths = np.array([0.0, 1 / 64, 1 / 8, 1 / 2, 1.0, 4.0])
    trial_noise = np.broadcast_to(noise[..., None], (*noise.shape, len(lengths)))
    for _ in range(steps):
        columns = []
        for row, column in np.ndindex(dim, d):
            moved = W.astype(complex)
            moved[..., row, column] += 1e-30j
            slope = gradient(cov, moved, noise)
            columns.append(slope.imag.reshape(*W.shape[:-2], dim * d) / 1e-30)
        hessian = np.stack(columns, axis=-1)
        curvatures, axes = np.linalg.eigh((hessian + np.swapaxes(hessian, -1, -2)) / 2)
        slope = gradient(cov, W, noise).reshape(*W.shape[:-2], dim * d, 1)
        # Far away steps are shorter, so that a curvature near zero makes none that is too long.
        shorter = np.linalg.norm(slope, axis=-2) / np.sqrt(noise)[..., None]
        along = (np.swapaxes(axes, -1, -2) @ slope)[..., 0] / (np.abs(curvatures) + shorter)
        step = (axes @ along[..., None]).reshape(W.shape)
        trials = W[..., None, :, :] + lengths[:, None, None] * step[..., None, :, :]
        values = _profile(cov[..., None, :, :], trials, trial_noise)
        # A full step where rounding hides which one is the best.
        ahead = values >= values.max(axis=-1, keepdims=True) - 1e-13 * np.abs(values)
        chosen = np.where(ahead[..., 4], 4, values.argmax(axis=-1))
        W = np.take_along_axis(trials, chosen[..., None, None, None], axis=-3)[..., 0, :, :]
    return W


def _profile(cov: Array, W: Array, noise: Array) -> Array:
    """The profile ELBO of 12a up to a constant."""
    total = W @ np.swapaxes(W, -1, -2) + noise[..., None, None] * np.eye(W.shape[-2])
    trace = np.trace(np.linalg.solve(total, cov), axis1=-2, axis2=-1)
    return -0.5 * (trace + np.log((W**2).sum(axis=-2) + noise[..., None]).sum(axis=-1))
