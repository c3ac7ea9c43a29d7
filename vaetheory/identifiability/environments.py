"""Latents from the densities of a datum in environments whose Gaussian priors are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._validation import SQUARABLE, Array, as_array, matrix, squarable
from vaetheory.rounding import EPS, gamma

#: Least error of a computed log density, in units of its last digit.
_DIGITS = 8


@dataclass(frozen=True, eq=False)
class RecoveredLatents:
    """Latents found from densities, and how far off they may be.

    Attributes
    ----------
    value : array (..., d)
        The latents.
    error : array (..., d)
        Bound of their errors, if the log densities are within their own errors and belong to one
        injective decoder without noise. Otherwise it says nothing; see `consistent`.
    gain : array (d,)
        How far each latent moves at most if every log density moves by one nat.
    misfit : array (...)
        The greatest amount, in nats, by which the densities and the latents found do not fit.
    consistent : array of bool (...)
        Whether the misfit is within the errors. With as many environments as unknowns (d + 1 with
        equal variances) all equations are solved exactly and it is always true.
    """

    value: Array
    error: Array
    gain: Array
    misfit: Array
    consistent: NDArray[np.bool_]


def latents_from_environments(
    log_densities: ArrayLike,
    means: ArrayLike,
    *,
    variances: ArrayLike | None = None,
    error: ArrayLike | None = None,
) -> RecoveredLatents:
    r"""The latent z = f^-1(x) of each datum, from log p(x given u) in several environments u.

    The prior in environment u is N(mu_u, diag(v_u)), the decoder f is the same in all, injective
    and without noise; it need not be known. The ratio of two densities of a datum is that of the
    priors at its latent, because the volume of f cancels, so its logarithm is linear in z:

        (mu_u - mu_0)^T z = log p(x|u) - log p(x|0) + (||mu_u||^2 - ||mu_0||^2) / 2   (v_u = 1).

    Where a coordinate's variance differs between environments, its square is one more unknown.

    Parameters
    ----------
    log_densities : array (..., U)
        log p(x given u) of each datum in each environment, in nats. With D > d outputs they are
        densities on the image of f. Any common factor cancels, also one that depends on x: log odds
        of a classifier that knows how often each environment occurs will do.
    means : array (U, d)
        mu_u.
    variances : array (U, d), (d,) or a number, optional
        v_u; one by default.
    error : array (..., U) or a number, optional
        Bound of the errors of the log densities, in nats. By default 8 units of their last digit.

    Returns
    -------
    RecoveredLatents
        `error` is a bound.

    Raises
    ------
    ValueError
        If the environments do not determine z: their means do not span (d + 1 affinely independent
        ones are needed with equal variances), however many there are. Also for shapes that do not
        fit and numbers that are not finite.

    Notes
    -----
    Source: claim 21c; the idea is that of arXiv:1907.04809. With noise the equations do not hold
    (21c-noise). If the means are only known up to a rigid motion, so are the latents (21c-rigid).

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.identifiability import latents_from_environments
    >>> means = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> z = np.array([0.5, -1.0])
    >>> logs = -0.5 * ((z - means) ** 2).sum(axis=1)  # and an unknown volume, the same for all
    >>> found = latents_from_environments(logs + 3.0, means)
    >>> found.value.round(12).tolist(), bool(found.error.max() < 1e-13)
    ([0.5, -1.0], True)
    """
    mu = squarable("means", matrix("means", means))
    count, dim = mu.shape
    logs = as_array("log_densities", log_densities, min_ndim=1)
    if logs.shape[-1] != count:
        raise ValueError(
            f"log_densities: expected shape (..., {count}), one for each row of means, got "
            f"{logs.shape}"
        )
    v = _variances(variances, count, dim)
    off = _errors(error, logs)
    # Latents are measured from the middle of the means, so that no digit is lost to their size.
    middle = mu.mean(axis=0)
    away = mu - middle
    moving = np.flatnonzero((v != v[0]).any(axis=0))
    design = np.concatenate([away / v, -0.5 / v[:, moving]], axis=1)
    own = 0.5 * (away**2 / v).sum(axis=-1), 0.5 * np.log(v).sum(axis=-1)
    size = np.abs(logs) + own[0] + 0.5 * np.abs(np.log(v)).sum(axis=-1)
    # The common factor is removed by taking means over environments away.
    heights = logs + own[0] + own[1]
    heights = heights - heights.mean(axis=-1, keepdims=True)
    spread = np.abs(design)
    design = design - design.mean(axis=0)
    inverse = _left_inverse(design, dim, moving, np.abs(mu / v).max(axis=0))
    found = heights @ inverse.T
    rest = heights - found @ design.T
    # Rounding of the equations, in which sizes of all environments come through the means.
    rounded = size + np.abs(found) @ spread.T
    rounded = gamma(4 * count + 4 * dim + 16) * (rounded + rounded.mean(axis=-1, keepdims=True))
    # z* - z = X (h* - B z) + (I - X B)(z* - z), so that no property of the solver is used.
    centred = np.abs(inverse - inverse.mean(axis=-1, keepdims=True))
    first = np.abs(rest @ inverse.T) + off @ centred.T + rounded @ np.abs(inverse).T
    defect = np.abs(np.eye(design.shape[1]) - inverse @ design)
    defect += gamma(count + 2) * np.abs(inverse) @ np.abs(design)
    scale = np.abs(inverse).sum(axis=-1)
    share = float((defect * scale / scale[:, None]).sum(axis=-1).max())
    whole = (first / scale).max(axis=-1, keepdims=True) / max(1 - share, 0.0625)
    bound = first + whole * (defect @ scale) if share < 0.5 else np.full_like(first, np.inf)
    value = middle + found[..., :dim]
    allowed = off + off.mean(axis=-1, keepdims=True) + rounded + bound @ np.abs(design).T
    fits = (np.abs(rest) <= allowed).all(axis=-1)
    for place, j in enumerate(moving):
        w, e = found[..., j], bound[..., j]
        square, of_square = found[..., dim + place], bound[..., dim + place]
        fits &= np.abs(square - w**2) <= (of_square + e * (2 * np.abs(w) + e)) * (1 + 8 * EPS)
    return RecoveredLatents(
        value,
        bound[..., :dim] + 2 * EPS * (np.abs(value) + np.abs(middle)),
        centred.sum(axis=-1)[:dim],
        np.abs(rest).max(axis=-1),
        np.asarray(fits),
    )


def _variances(given: ArrayLike | None, count: int, dim: int) -> Array:
    """The variances of all environments, `(U, d)`."""
    v = as_array("variances", 1.0 if given is None else given)
    if v.ndim > 2 or v.shape not in ((), (dim,), (count, dim)):
        raise ValueError(
            f"variances: expected a number, ({dim},) or ({count}, {dim}), got shape {v.shape}"
        )
    if not (v.min() > 1 / SQUARABLE and v.max() < SQUARABLE):
        raise ValueError(
            f"variances: expected positive numbers from {1 / SQUARABLE:g} to {SQUARABLE:g}, got "
            f"{v.min():g}..{v.max():g}"
        )
    return np.broadcast_to(v, (count, dim))


def _errors(given: ArrayLike | None, logs: Array) -> Array:
    """The errors of the log densities, `(..., U)`."""
    least = _DIGITS * 2 * EPS * np.abs(logs)
    if given is None:
        return least
    off = as_array("error", given)
    try:
        off = np.broadcast_to(off, logs.shape)
    except ValueError:
        raise ValueError(
            f"error: expected a number or shape {logs.shape}, got {off.shape}"
        ) from None
    if not (off >= 0).all():
        raise ValueError(f"error: expected numbers that are not negative, got {off.min():g}")
    return off


def _left_inverse(design: Array, dim: int, moving: NDArray[np.intp], size: Array) -> Array:
    """The pseudo-inverse `(k, U)` of a matrix of full column rank, or a ValueError."""
    top = np.abs(design).max(axis=0)
    length = top * np.linalg.norm(design / np.where(top > 0, top, 1.0), axis=0)
    unit = design / np.where(length > 0, length, 1.0)
    sizes = np.linalg.svd(unit, compute_uv=False)
    needed = design.shape[1]
    # Means that are numbers of some size are rounded, and lie on no hyperplane exactly.
    spread = length[:dim]
    rounded = 1 + float((size[spread > 0] / spread[spread > 0]).max(initial=0.0))
    least = max(design.shape) * 4 * EPS * rounded * sizes[0]
    rank = int((sizes > least).sum()) if sizes[0] > 0 else 0
    if rank < needed:
        what = (
            f"{dim + 1} or more affinely independent means"
            if not len(moving)
            else f"environments whose natural parameters span {needed} dimensions, {dim} for the "
            f"latents and {len(moving)} for squares of those whose variance differs"
        )
        raise ValueError(
            f"means: expected {what}, got {len(design)} of rank {rank}: other latents have the "
            "same densities in all of them"
        )
    return np.linalg.pinv(unit) / np.where(length > 0, length, 1.0)[:, None]
