"""The density of a flow with Gaussian noise, and its excess over the flow's own density.

Let p_sigma(x) be the integral of N(z; 0, I) N(x; f(z), sigma^2 I) over z. log p_sigma(x) differs
from its limit by an excess of order sigma^2, which may be smaller than the rounding errors of both.
Here the excess is computed directly. With J = Q R at x = f(z0) and z = z0 + sigma R^-1 v,

    exp(excess) = E_{v ~ N(0, I)}[exp(-h(v))],
    h(v) = 1/2 rho . (2 Q v + rho) + sigma z0 . w + 1/2 sigma^2 |w|^2,   w = R^-1 v,

where rho is the remainder (f(z0 + sigma w) - f(z0)) / sigma - J w. Its Taylor series keeps its
digits where the difference has lost them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import gaussian_expectation, hermite_rule
from vaetheory._quadrature.result import NOT_REACHED, REACHED
from vaetheory._validation import Array, as_array, fraction, integer, option, vectors
from vaetheory._value_equality import ByValue
from vaetheory.evidence import log_evidence
from vaetheory.flows._local import Local
from vaetheory.flows.base import Embedding, Flow
from vaetheory.flows.density import latent_log_density, preimages, require_embedding
from vaetheory.jets import Jet, exp, log, taylor
from vaetheory.models import LatentModel
from vaetheory.rounding import EPS, gamma

METHODS = ("auto", "series", "quadrature", "evidence")
LARGEST_DIM = 4
# Powers of sigma^2 in the series, and of t in the Taylor polynomials of the decoder.
_TERMS = 5
_TAYLOR = 12
# Most terms of the series, by dimension: the nodes per axis of the quadrature grow with them.
_MOST_TERMS = {1: 40, 2: 20, 3: 8, 4: 5}
# Most nodes of the quadrature, by dimension: enough for a few lattices (none in four dimensions).
_MOST_NODES = {1: 1000, 2: 6000, 3: 60_000, 4: 10_000}
# Nodes times outputs in memory at a time.
_CHUNK = 2**18


@dataclass(frozen=True, eq=False)
class SmoothedDensity(ByValue):
    """Log densities of a flow with noise, each as the sum of a limit and an excess.

    Attributes
    ----------
    value : array (...)
        log p_sigma(x) in nats, `limit` plus `excess`. For D > d the limit includes the divergent
        term -(D - d)/2 log(2 pi sigma^2).
    error : array (...)
        Estimate of the error of `value`.
    limit : array (...)
        log p_flow(x) - (D - d)/2 log(2 pi sigma^2).
    excess : array (...)
        log p_sigma(x) - limit, computed without cancellation.
    excess_error : array (...)
        Estimate of the absolute error of `excess`.
    status : array of str (...)
        `"reached"` where `excess_error` is at most `rtol` times the size of the terms of the
        excess.
    method : array of str (...)
        The method that gave the excess: "series", "quadrature" or "evidence".
    """

    value: Array
    error: Array
    limit: Array
    excess: Array
    excess_error: Array
    status: NDArray[np.str_]
    method: NDArray[np.str_]

    @property
    def reached(self) -> NDArray[np.bool_]:
        """True where the tolerance was reached."""
        return np.asarray(self.status == REACHED)


def _series(local: Local, terms: int) -> tuple[Array, Array]:
    """Coefficients of (sigma / unit)^2, ^4, ... of the excess, `(N, terms)`, and their rounding.

    The coefficient of sigma^2k in E[exp(-h)] is the mean of a polynomial of degree 6 k in v, for
    which the Gauss-Hermite rule is exact.
    """
    dim, D = local.flow.latent_dim, local.flow.data_dim
    nodes, weights = hermite_rule(3 * terms + 1, dim)
    # The rule is even and so is the integrand, so that one node of each pair is enough.
    half = _half(nodes)
    nodes, weights = nodes[half], weights[half] * np.where((nodes[half] == 0).all(-1), 1.0, 2.0)
    order = 2 * terms
    values, sizes = [], []
    for rows in _chunks(len(local.z), len(nodes) * D * (order + 2)):
        unit = local.unit[rows, None, None]
        w = local.directions(rows, nodes) * unit
        c = local.coefficients(rows, w, order + 1)[1:] / unit
        z = local.z[rows, None]
        h, size = np.zeros((2, order + 1, *w.shape[:-1]))
        linear, square = (z * w).sum(axis=-1), 0.5 * (w**2).sum(axis=-1)
        for k in range(1, order + 1):
            products = [(c[i] * c[k - i]).sum(axis=-1) for i in range(k + 1)]
            h[k] = 0.5 * sum(products)
            size[k] = 0.5 * sum(
                np.linalg.norm(c[i], axis=-1) * np.linalg.norm(c[k - i], axis=-1)
                for i in range(k + 1)
            )
        h[1] += linear
        h[2] += square
        size[1] += (np.abs(z) * np.abs(w)).sum(axis=-1)
        size[2] += square
        mean = exp(Jet(-h)).coefficients @ weights
        majorant = exp(Jet(size)).coefficients @ weights
        # Odd powers have mean zero, because they are odd in v.
        mean[1::2] = 0.0
        majorant[1::2] = 0.0
        values.append(log(Jet(mean)).coefficients[2::2].T)
        # The majorant of -log(1 - s) bounds that of log(1 + s).
        majorant[1:] *= -1
        sizes.append(-log(Jet(majorant)).coefficients[2::2].T)
    # Coefficient k has degree 6 k in the quantity that the uncertainty of the Jacobian affects.
    off = gamma(64) + 6 * np.arange(1, terms + 1) * local.slack[:, None]
    return np.concatenate(values), off * np.concatenate(sizes)


def _half(nodes: Array) -> NDArray[np.intp]:
    """One node of each pair v, -v of an even rule: the first entry that is not 0 is positive."""
    leading = nodes[np.arange(len(nodes)), (nodes != 0).argmax(axis=-1)]
    return np.flatnonzero(leading >= 0)


def _chunks(count: int, size: int) -> list[NDArray[np.intp]]:
    step = max(1, _CHUNK // size)
    return [np.arange(i, min(i + step, count)) for i in range(0, count, step)]


def smoothing_coefficients(
    flow: Embedding, x: ArrayLike, *, terms: int = 2, latent: ArrayLike | None = None
) -> Array:
    """Coefficients of sigma^2, sigma^4, ... in log p_sigma(x) minus its limit, `(..., terms)`.

    Parameters
    ----------
    flow : Flow or Embedding
    x : array (..., D)
        Points of the image.
    terms : int
        Number of powers.
    latent : array (..., d), optional
        The latents of x, if they are known.

    Returns
    -------
    array (..., terms)
        The series is asymptotic: it need not converge for any sigma > 0.

    Raises
    ------
    ValueError
        As `smoothed_log_density`, and if the flow's `forward` has no Taylor series (`jets.push`).

    Notes
    -----
    Source: claims 8a and 8c. The first is 1/2 Laplacian p / p on the manifold, plus
    ``1/4 |II|^2 - 1/8 |H|^2``, where II is its second fundamental form and H the trace of II.

    Examples
    --------
    >>> from vaetheory import decoders
    >>> from vaetheory.flows import Affine, Immersion, smoothing_coefficients
    >>> smoothing_coefficients(Affine([1.0]), [0.0]).round(12).tolist()
    [-0.5, 0.25]
    >>> helix = Immersion(decoders.Helix(1.0, 1.0), 1)  # curvature 1/2
    >>> smoothing_coefficients(helix, [1.0, 0.0, 0.0], terms=1).round(12).tolist()
    [-0.46875]
    """
    flow = require_embedding(flow)
    _require_dim(flow)
    terms = integer("terms", terms, low=1, high=_MOST_TERMS[flow.latent_dim])
    data = vectors("x", x, flow.data_dim)
    z = preimages(flow, data, latent)
    try:
        local = Local(flow, z.reshape(-1, flow.latent_dim))
        values, _ = _series(local, terms)
    except TypeError as error:
        raise ValueError(str(error)) from None
    with np.errstate(over="ignore"):
        for power in range(terms):
            values[:, power:] /= local.unit[:, None]
            values[:, power:] /= local.unit[:, None]
    if not np.isfinite(values).all():
        raise ValueError(
            f"terms: expected coefficients in the range of float64, got larger ones within {terms}"
            " terms; use smoothed_log_density, or data in other units"
        )
    return values.reshape(*z.shape[:-1], terms)


def _require_dim(flow: Embedding) -> None:
    if flow.latent_dim > LARGEST_DIM:
        raise ValueError(
            f"flow: expected at most {LARGEST_DIM} latent dimensions, got {flow.latent_dim}"
        )


def _quadrature(local: Local, scale: Array, rtol: float) -> tuple[Array, Array]:
    """Excess by quadrature over v, and its error estimate."""
    dim = local.flow.latent_dim
    try:
        taylor(local.flow.forward, local.z[:1], local.z[:1] + 1, 2)
        order = _TAYLOR
    except TypeError:
        order = 0

    def pair(z: Array, rows: NDArray[np.intp]) -> Array:
        up, down, _ = _exponents(local, scale[rows], rows, z, order)
        return 0.5 * (np.expm1(-up) + np.expm1(-down))

    zero, eye = np.zeros_like(local.z), np.broadcast_to(np.eye(dim), (len(local.z), dim, dim))
    # The integrand is of order sigma^2, so the tolerance is relative to its own mean modulus.
    expected = gaussian_expectation(
        pair, zero, eye, rtol=max(0.1 * rtol, 1e-14), max_nodes=_MOST_NODES[dim]
    )
    nodes, weights = hermite_rule(7, dim)
    noise = np.empty(len(scale))
    for rows in _chunks(len(scale), len(nodes) * local.flow.data_dim * (order + 1)):
        v = np.broadcast_to(nodes, (len(rows), *nodes.shape))
        with np.errstate(over="ignore", invalid="ignore"):
            up, down, off = _exponents(local, scale[rows], rows, v, order)
            # Degree 6 in the quantity that the Jacobian's uncertainty affects, as in the series.
            size = np.abs(up + down) / 2 + (up - down) ** 2 / 4
            off = off + 6 * local.slack[rows, None] * size
            noise[rows] = (np.exp(-up) * off) @ weights
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.log1p(expected.value)
        error = (expected.error + noise) / (1 + expected.value)
    bad = ~np.isfinite(value) | ~np.isfinite(error)
    return np.where(bad, 0.0, value), np.where(bad, np.inf, error)


def _exponents(
    local: Local, scale: Array, rows: NDArray[np.intp], v: Array, order: int
) -> tuple[Array, Array, Array]:
    """h(v) and h(-v) at the nodes v `(n, M, d)`, and their rounding and truncation errors."""
    s = scale[:, None]
    z, image = local.z[rows, None], local.image[rows, None]
    w = np.einsum("nij,nmj->nmi", local.inverse[rows], v)
    straight = np.einsum("nij,nmj->nmi", local.jacobian[rows], w)
    even = 0.5 * s**2 * (w**2).sum(axis=-1)
    odd = s * (z * w).sum(axis=-1)
    reach = np.linalg.norm(image, axis=-1) + np.linalg.norm(straight, axis=-1)
    # The rounding errors of f enter the difference divided by sigma.
    speed = np.linalg.norm(local.jacobian[rows], axis=(-2, -1))[:, None]
    plain_off = 8 * EPS / s * (reach + speed * np.linalg.norm(z, axis=-1))
    plain_off = plain_off + local.slack[rows, None] * np.linalg.norm(v, axis=-1)
    bends = [np.asarray(local.flow(z + sign * s[..., None] * w)) for sign in (1, -1)]
    bends = [
        (f - image) / s[..., None] - sign * straight for f, sign in zip(bends, (1, -1), strict=True)
    ]
    off = plain_off
    if order:
        powers = np.arange(2, order + 1).reshape(-1, 1, 1, 1)
        c = local.coefficients(rows, w, order)[2:] * s[..., None] ** (powers - 1)
        size = np.linalg.norm(c, axis=-1)
        # The truncation error is about as large as the last terms, as long as they decrease.
        last = size[-1] + size[-2]
        falls = np.maximum(size[-1], size[-2]) <= 0.5 * np.maximum(size[-3], size[-4])
        left = np.where(falls, 2 * last, np.inf) + 16 * EPS * size.sum(axis=0)
        near = left < plain_off
        summed = [c.sum(axis=0), (c * (-1.0) ** powers).sum(axis=0)]
        bends = [np.where(near[..., None], t, b) for t, b in zip(summed, bends, strict=True)]
        off = np.where(near, left, plain_off)
    exponents = []
    for bend, sign in zip(bends, (1, -1), strict=True):
        exponents.append(
            0.5 * (bend * (2 * sign * straight + bend)).sum(axis=-1) + sign * odd + even
        )
    noise = off * np.linalg.norm(straight + bends[0], axis=-1) + 4 * EPS * (np.abs(odd) + even)
    return exponents[0], exponents[1], noise


def smoothed_log_density(
    flow: Embedding,
    x: ArrayLike,
    scale: ArrayLike,
    *,
    method: str = "auto",
    rtol: float = 1e-9,
    latent: ArrayLike | None = None,
) -> SmoothedDensity:
    """Log density of a flow with Gaussian noise, log p_sigma(x), and its excess over the limit.

    p_sigma(x) is the evidence of the `LatentModel` whose decoder is the flow and whose likelihood
    is N(f(z), sigma^2 I). As sigma -> 0 it tends to the flow's density; the difference keeps a
    small relative error, even at sigma = 1e-4.

    Parameters
    ----------
    flow : Flow or Embedding
        f, of latent dimension up to 4.
    x : array (..., D)
        Data on the image of f. The excess is that of the point f(z0) itself.
    scale : array (...)
        sigma, broadcast against the leading axes of x.
    method : {"auto", "series", "quadrature", "evidence"}
        "series" is the asymptotic series in sigma^2; "quadrature" integrates the ratio around the
        latent of x; "evidence" is the exact log evidence minus the limit, which has no digits if
        the excess is below rounding. "auto" takes the series if its last term is small enough, else
        quadrature, and compares both with the exact evidence, which covers the whole latent space:
        if they contradict it, the evidence is taken.
    rtol : float
        Tolerance of the excess, relative to the size of its terms.
    latent : array (..., d), optional
        The latents of x, if they are known.

    Returns
    -------
    SmoothedDensity

    Raises
    ------
    ValueError
        If shapes do not fit, a scale is not positive, a datum does not lie on the image, the
        flow's Jacobian is singular there, or there are more than 4 latents.

    Notes
    -----
    Source: claims 8a and 8c.

    Examples
    --------
    >>> from vaetheory.flows import Affine, smoothed_log_density
    >>> density = smoothed_log_density(Affine([1.0]), [[0.0], [2.0]], 1e-4)
    >>> [f"{v:.12e}" for v in density.excess]  # (x^2 s / (1 + s) - log1p(s)) / 2, s = sigma^2
    ['-4.999999975000e-09', '1.499999982500e-08']
    """
    flow = require_embedding(flow)
    _require_dim(flow)
    option("method", method, METHODS)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    data = vectors("x", x, flow.data_dim)
    sigma = as_array("scale", scale)
    if not (sigma.size and (sigma > 0).all()):
        came = f"{sigma.min()}" if sigma.size else "an empty array"
        raise ValueError(f"scale: expected positive numbers, got {came}")
    z = preimages(flow, data, latent)
    try:
        shape = np.broadcast_shapes(z.shape[:-1], sigma.shape)
    except ValueError:
        raise ValueError(
            f"scale: expected a shape that broadcasts against {z.shape[:-1]}, got {sigma.shape}"
        ) from None
    limit, rounding = _limits(flow, z)
    # Each datum is kept once; a row is a pair of a datum's index and a scale.
    index = np.broadcast_to(np.arange(limit.size).reshape(limit.shape), shape).ravel()
    rows = _Rows(flow, z.reshape(-1, flow.latent_dim), index, np.broadcast_to(sigma, shape).ravel())
    flat = limit.ravel()[index] - 0.5 * (flow.data_dim - flow.latent_dim) * (
        LOG_2PI + 2 * np.log(rows.scale)
    )
    excess, error, size, names = rows.solve(method, rtol, flat, rounding.ravel()[index])
    status = np.where(error <= rtol * size, REACHED, NOT_REACHED)
    total = error + rounding.ravel()[index] + gamma(4) * np.abs(flat)
    arrays = [flat + excess, total, flat, excess, error, status, names]
    return SmoothedDensity(*(np.asarray(a).reshape(shape) for a in arrays))


def _limits(flow: Embedding, z: Array) -> tuple[Array, Array]:
    """The limit at the latents, and an estimate of its rounding error."""
    limit, local = np.asarray(latent_log_density(flow, z)), Local(flow, z)
    condition = np.linalg.cond(local.jacobian)
    size = (z**2).sum(axis=-1) + np.abs(limit) + np.abs(np.log(condition)) + condition
    rounding = gamma(16 * flow.data_dim) * size
    # A flow computes its log determinant itself; that of an embedding comes from its Jacobian.
    if not isinstance(flow, Flow):
        rounding = rounding + np.sqrt(flow.latent_dim) * local.slack
    return limit, rounding


class _Excess:
    """The excess of each row by one method: value, error, size of its terms, and method."""

    def __init__(self, value: Array, error: Array, size: Array, name: str) -> None:
        self.value, self.error, self.size = value, error, size
        self.names = np.full(len(value), name, dtype="<U10")

    def reached(self, rtol: float) -> NDArray[np.bool_]:
        """Where the tolerance is met."""
        return np.asarray(self.error <= rtol * self.size)

    def improve(self, rows: NDArray[np.intp], value: Array, error: Array) -> None:
        """Take the quadrature's values for some rows where their errors are smaller."""
        better = error < self.error[rows]
        at = rows[better]
        self.value[at], self.error[at] = value[better], error[better]
        self.size[at], self.names[at] = np.abs(value[better]), "quadrature"


class _Rows:
    """Pairs of a datum and a scale, as rows."""

    def __init__(self, flow: Embedding, z: Array, index: NDArray[np.intp], scale: Array) -> None:
        self.flow, self.z, self.index, self.scale = flow, z, index, scale

    def solve(
        self, method: str, rtol: float, limit: Array, rounding: Array
    ) -> tuple[Array, Array, Array, NDArray[np.str_]]:
        """Excess, its error, the size of its terms, and the method of each row."""
        count = len(self.scale)
        local = _Excess(np.zeros(count), np.full(count, np.inf), np.zeros(count), "series")
        exact = _Excess(np.zeros(count), np.full(count, np.inf), np.zeros(count), "evidence")
        if method in ("auto", "series"):
            try:
                local = self._by_series()
            except TypeError as problem:
                if method == "series":
                    raise ValueError(str(problem)) from None
        if method in ("auto", "evidence"):
            exact = self._by_evidence(limit, rounding)
        if method in ("auto", "quadrature"):
            # The most expensive method is for rows that the others do not reach, or that only the
            # evidence reaches with little margin, because its difference has few digits.
            waiting = np.flatnonzero(~(local.reached(rtol) | exact.reached(0.1 * rtol)))
            if len(waiting):
                at = Local(self.flow, self.z[self.index[waiting]])
                local.improve(waiting, *_quadrature(at, self.scale[waiting], rtol))
        # If they contradict each other there is mass far from z0. Both errors are estimates, hence
        # the factor 3.
        difference = np.abs(exact.value - local.value)
        with np.errstate(invalid="ignore"):
            taken = (difference > 3 * (exact.error + local.error)) | (exact.error < local.error)
        pairs = (
            (exact.value, local.value),
            (exact.error, local.error),
            (exact.size, local.size),
            (exact.names, local.names),
        )
        excess, error, size, names = (np.where(taken, a, b) for a, b in pairs)
        return excess, error, size, names

    def _by_series(self) -> _Excess:
        local = Local(self.flow, self.z)
        coefficients, blurred = _series(local, _TERMS)
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = self.scale / local.unit[self.index]
            powers = ratio[:, None] ** (2 * np.arange(1, _TERMS + 1))
            terms = coefficients[self.index] * powers
            # The error of an asymptotic series is about its last terms; more if they hardly fall.
            size = np.abs(terms) + np.finfo(float).tiny
            left = size[:, -1] + size[:, -2] * (size[:, 1:] / size[:, :-1]).max(axis=-1)
            error = left + (blurred[self.index] * powers).sum(axis=-1)
            value = terms.sum(axis=-1)
        # For scales that are far too large for the series its terms overflow.
        bad = ~np.isfinite(value) | ~np.isfinite(error)
        value, error = np.where(bad, 0.0, value), np.where(bad, np.inf, error)
        return _Excess(value, error, np.where(bad, 0.0, size.sum(axis=-1)), "series")

    def _by_evidence(self, limit: Array, rounding: Array) -> _Excess:
        value, error = np.empty((2, len(self.scale)))
        image = np.asarray(self.flow.forward(self.z))[self.index]
        for sigma in np.unique(self.scale):
            rows = self.scale == sigma
            likelihood = likelihoods.Gaussian(scale=float(sigma))
            model = LatentModel(self.flow, likelihood, self.flow.latent_dim)
            evidence = log_evidence(model, image[rows], rtol=1e-12)
            value[rows], error[rows] = evidence.value - limit[rows], evidence.error
        # No digit is known if the noise is below the rounding of the data.
        blind = self.scale < 8 * EPS * np.linalg.norm(image, axis=-1)
        error = np.where(blind, np.inf, error + rounding)
        return _Excess(value, error, np.abs(value), "evidence")
