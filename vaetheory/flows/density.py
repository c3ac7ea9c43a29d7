"""Densities of flows by change of variables, their Laplacian, and the IMA contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import differences
from vaetheory._gaussians import standard_log_prob
from vaetheory._validation import Array, representable, squarable, vectors
from vaetheory.flows.base import Embedding, Flow
from vaetheory.jets import Jet, push
from vaetheory.rounding import gamma


def require_embedding(flow: object) -> Embedding:
    """Return `flow` if it is an `Embedding`, else raise."""
    if not isinstance(flow, Embedding):
        raise ValueError(
            "flow: expected a vaetheory Flow or Embedding (Immersion makes one of a decoder), got "
            f"{type(flow).__name__}"
        )
    return flow


def preimages(flow: Embedding, x: Array, latent: ArrayLike | None = None) -> Array:
    """Checked latents z with f(z) = x, `(..., D) -> (..., d)`.

    Parameters
    ----------
    flow : Embedding
    x : array (..., D)
        Points of the image.
    latent : array (..., d), optional
        The latents if they are known; they are then only checked.

    Raises
    ------
    ValueError
        If a point is farther from the image than rounding errors can explain.
    """
    with np.errstate(all="ignore"):
        z = np.asarray(flow.inverse(x) if latent is None else vectors("latent", latent, None))
    wanted = (*x.shape[:-1], flow.latent_dim)
    if z.shape != wanted:
        name = "flow.inverse" if latent is None else "latent"
        raise ValueError(f"{name}: expected shape {wanted} for x of shape {x.shape}, got {z.shape}")
    if not np.isfinite(z).all():
        bad = x[~np.isfinite(z).all(axis=-1)][0]
        raise ValueError(f"x: expected points of the flow's image, got {bad.tolist()}")
    with np.errstate(all="ignore"):
        image, slope = flow.forward(z), flow.jacobian(z)
        off = _length(x - image)
        speed = _length(slope.reshape(*slope.shape[:-2], -1))
        size = _length(x) + _length(image)
        allowed = 1e-9 * size + 1e-12 * speed * (1 + _length(z))
    representable("x", allowed, "points and slopes")
    if not (off <= allowed).all():
        at = np.unravel_index(np.argmax(np.nan_to_num(off - allowed, nan=np.inf)), off.shape)
        raise ValueError(
            f"x: expected points of the flow's image, got {x[at].tolist()} at a distance of "
            f"{off[at]:.3g} from it"
        )
    return squarable("latents of x", z)


def _length(vectors: Array) -> Array:
    """Euclidean norms, without overflow of squares."""
    top = np.abs(vectors).max(axis=-1)
    unit = np.where((top > 0) & np.isfinite(top), top, 1.0)
    return unit * np.linalg.norm(vectors / unit[..., None], axis=-1)


def latent_log_density(flow: Embedding, z: Array) -> Array:
    """Log density of the flow at f(z), computed from the latents, `(..., d) -> (...)`."""
    return standard_log_prob(z) - checked_log_volume(flow, z)


def checked_log_volume(flow: Embedding, z: Array) -> Array:
    """The flow's log volume (possibly user code), checked for its shape and finite values."""
    with np.errstate(all="ignore"):
        volume = np.asarray(flow.log_volume(z))
    if volume.shape != z.shape[:-1]:
        raise ValueError(
            f"flow.log_det: expected shape {z.shape[:-1]} for z of shape {z.shape}, got "
            f"{volume.shape}"
        )
    if not np.isfinite(volume).all():
        bad = ~np.isfinite(volume)
        raise ValueError(
            f"flow.log_det: expected finite numbers, got {volume[bad][0]} at "
            f"z = {z[bad][0].tolist()}"
        )
    return volume


def flow_log_density(flow: Embedding, x: ArrayLike, *, latent: ArrayLike | None = None) -> Array:
    """Log density of data under a flow with the base distribution N(0, I_d), in nats.

    Parameters
    ----------
    flow : Flow or Embedding
        f. For D > d it is the density on the manifold with respect to its d-dimensional volume:
        log N(z0; 0, I) - 1/2 log det J^T J at x = f(z0).
    x : array (..., D)
        The data: points of the image of f.
    latent : array (..., d), optional
        The latents of the data, if they are known.

    Returns
    -------
    array (...)

    Raises
    ------
    ValueError
        If shapes do not fit, or a datum does not lie on the image up to rounding.

    Notes
    -----
    Source: claims 8a and 8c.

    Examples
    --------
    >>> from vaetheory import decoders
    >>> from vaetheory.flows import Cubic, Immersion, flow_log_density
    >>> flow_log_density(Cubic(1), [[0.0], [12.0]]).round(6).tolist()
    [-0.918939, -7.721524]
    >>> helix = Immersion(decoders.Helix(3.0, 4.0), 1)
    >>> round(float(flow_log_density(helix, [3.0, 0.0, 0.0])), 6)
    -0.918939
    """
    flow = require_embedding(flow)
    z = preimages(flow, vectors("x", x, flow.data_dim), latent)
    with np.errstate(all="ignore"):
        return representable("x", np.asarray(latent_log_density(flow, z)), "log densities")


def ima_contrast(flow: Embedding, z: ArrayLike) -> Array:
    """Loss of a diagonal posterior in the limit, sum_k log|d_k f| - 1/2 log det J^T J.

    It is not negative, and zero if and only if the columns of the Jacobian are orthogonal.

    Parameters
    ----------
    flow : Flow or Embedding
    z : array (..., d)
        Latents.

    Returns
    -------
    array (...)
        In nats; the rounding error grows with the condition number of the normalised columns.

    Raises
    ------
    ValueError
        If shapes do not fit or the Jacobian is not of full rank.

    Notes
    -----
    Source: claim 8f; the contrast of independent mechanism analysis (Gresele et al.,
    arXiv:2106.05200; Reizinger et al., arXiv:2206.02416).

    Examples
    --------
    >>> from vaetheory.flows import Affine, Rotation, ima_contrast
    >>> round(float(ima_contrast(Affine([[1.0, 1.0], [0.0, 1.0]]), [0.0, 0.0])), 6)
    0.346574
    >>> float(ima_contrast(Rotation([1.0]), [0.0, 0.0]))
    0.0
    """
    flow = require_embedding(flow)
    with np.errstate(all="ignore"):
        jacobian = flow.jacobian(vectors("z", z, flow.latent_dim))
        length = _length(np.swapaxes(jacobian, -1, -2))
    representable("z", length, "slopes")
    if not (length > 0).all():
        raise ValueError("jacobian: expected full rank everywhere, got a column of zeros")
    triangle = np.linalg.qr(jacobian / length[..., None, :], mode="r")
    # It is -log of a product of sines, which rounding must not make greater than one.
    sines = np.minimum(np.abs(np.diagonal(triangle, axis1=-2, axis2=-1)), 1.0)
    if not (sines > 0).all():
        raise ValueError("jacobian: expected full rank everywhere, got a singular one")
    # A sine that differs from one by rounding only is set to one.
    near = 1 - sines < gamma(8 * jacobian.shape[-2])
    return np.abs(np.log(np.where(near, 1.0, sines)).sum(axis=-1))


def log_det_derivatives(flow: Flow, z: Array, path: tuple[Array, Array]) -> tuple[Array, Array]:
    """First and second derivatives of log |det J| along z + t path[0] + t^2 path[1] at t = 0."""
    first, second = path
    try:
        c = push(flow.log_det, Jet(np.stack(np.broadcast_arrays(z, first, second)))).coefficients
        return c[1], 2 * c[2]
    except TypeError:
        # A log determinant without a Taylor series: differences give about nine digits.
        def scalar(point: Array) -> Array:
            return np.asarray(flow.log_det(point))[..., None]

        z = np.broadcast_to(z, first.shape)
        slope = differences.jacobian(scalar, z)[..., 0, :]
        bend = differences.hessian(scalar, z)[..., 0, :, :]
        curved = np.einsum("...ij,...i,...j->...", bend, first, first)
        return (slope * first).sum(axis=-1), curved + 2 * (slope * second).sum(axis=-1)


def laplacian_ratio(flow: Flow, x: ArrayLike) -> Array:
    """The Laplacian of a flow's density divided by the density, (Laplacian p / p)(x).

    To first order, noise of scale sigma adds half of it times sigma^2 to the log density.

    Parameters
    ----------
    flow : Flow
    x : array (..., d)
        Data.

    Returns
    -------
    array (...)
        In units of 1 / x^2.

    Raises
    ------
    ValueError
        If shapes do not fit, or `flow` is no Flow (for D > d see `smoothing_coefficients`).

    Notes
    -----
    Source: claim 8a. With l = log p it is the sum of l_ii + l_i^2 over the axes of x. The
    derivatives of l are taken along the path z(t) with f(z(t)) = x + t e_i, whose terms of first
    and second order follow from J and the second derivatives of f.

    Examples
    --------
    >>> from vaetheory.flows import Affine, laplacian_ratio
    >>> laplacian_ratio(Affine([2.0]), [[0.0], [4.0]]).tolist()
    [-0.25, 0.75]
    """
    if not isinstance(flow, Flow):
        raise ValueError(f"flow: expected a Flow, got {type(flow).__name__}")
    z = preimages(flow, vectors("x", x, flow.latent_dim))
    checked_log_volume(flow, z)
    with np.errstate(all="ignore"):
        return representable("x", _laplacian_ratio(flow, z), "ratios")


def _laplacian_ratio(flow: Flow, z: Array) -> Array:
    slope, bend = np.linalg.inv(flow.jacobian(z)), flow.hessian(z)
    total = np.zeros(z.shape[:-1])
    for axis in range(flow.latent_dim):
        first = slope[..., axis]
        bent = np.einsum("...ijk,...j,...k->...i", bend, first, first)
        second = -0.5 * np.einsum("...ij,...j->...i", slope, bent)
        volume, curved = log_det_derivatives(flow, z, (first, second))
        gradient = -(z * first).sum(axis=-1) - volume
        hessian = -(first**2).sum(axis=-1) - 2 * (z * second).sum(axis=-1) - curved
        total = total + hessian + gradient**2
    return total
