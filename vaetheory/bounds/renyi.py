"""Renyi bounds of the evidence: from the ELBO over the evidence to CUBO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.result import NOT_REACHED, REACHED, Integral
from vaetheory._validation import Array, as_array, integer
from vaetheory.bounds._growth import Fall, fall_of, finite_power
from vaetheory.bounds._linear_weights import weighed
from vaetheory.bounds._posterior_means import log_evidences
from vaetheory.bounds._weight_nodes import Frame, Weights
from vaetheory.bounds._weight_powers import log_mean_power, tilted_gaussian, windowed_power
from vaetheory.bounds._weights_on_the_line import log_mean_power as on_the_line
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel


def renyi_bound(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    order: float,
    *,
    rtol: float = 1e-10,
) -> Integral:
    """The bound V_a = log E_q[w^(1 - a)] / (1 - a) with w = p(x, z) / q(z|x), in nats.

    It falls as the order a rises: V_1 is the ELBO, V_0 the log evidence, and V_(1 - n) is CUBO_n,
    an upper bound. Above order 1 it may be minus infinity, below order 0 plus infinity; whether
    it is, is decided by theorems and never by the size of a sum.

    Parameters
    ----------
    model : LatentModel
        Of any latent dimension if it is linear with Gaussian noise; otherwise of at most 3.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian per datum, with the leading axes of `X`.
    order : float
        a, any real number.
    rtol : float
        Tolerance of quadratures, relative to E_q[w^(1 - a)].

    Returns
    -------
    Integral
        `value` `(...)`, infinite where the bound is: then `error` is 0. Otherwise `error` is an
        estimate: of rounding for linear models, whose bounds are in closed form; else of the
        quadrature as well, with the limits that `elbo` and `log_evidence` state. It is infinite
        where the quadrature shows tails that are not known to be small, where the bound is not
        between the ELBO and the evidence, or beyond them, as it must be, and where more of
        E_q[w^(1 - a)] is seen near q or the posterior than the value allows.

    Raises
    ------
    ValueError
        As `elbo`. If a model is not linear and has more than three latents. If it is not known
        whether the bound is infinite: outside the orders from 0 to 1 that depends on the tails,
        for which the decoder must say how fast it grows (`Decoder.growth_degree`, 0 for bounded
        outputs), and at the threshold itself rounding decides nothing.

    Notes
    -----
    Source: claim 15a. With n = 1 - a, posterior precision P and Q = S^-1, the bound of a linear
    model is finite if and only if n P + (1 - n) Q is positive definite. If the decoder's outputs
    are bounded, P is replaced by the prior's I, however narrow the posterior is: CUBO_n is infinite
    if an eigenvalue of S is at most (n - 1) / n.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import renyi_bound
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> q = Posterior([[0.0]], scale=0.6)
    >>> [round(float(renyi_bound(model, [[0.0]], q, a).value[0]), 4) for a in (2, 1, 0, -1, -3)]
    [-1.3063, -1.2898, -1.2655, -1.2245, inf]
    """
    a = float(as_array("order", order, ndim=0))
    data, loc, cov, linear = weighed(model, X, posterior, rtol)
    shape = posterior.loc.shape[:-1]
    power = 1 - a
    if linear is not None:
        known = linear.finite_power(power)
        _require_known(known, a, "it is within rounding of the threshold")
        finite, rounding = linear.log_mean_power(power)
        found = Integral(finite, rounding, np.full(len(data), REACHED), 0)
        return _infinite_where(known < 0, power, found).reshape(shape)
    if power == 0:
        return elbo(model, X, posterior, rtol=max(rtol * 1e-2, 1e-14))
    if power == 1:
        return log_evidences(model, data, rtol).reshape(shape)
    variances = np.linalg.eigvalsh(cov)
    fall = fall_of(model)
    known = finite_power(fall, variances, power)
    if not 0 < power < 1 and not np.isfinite(model.likelihood.greatest_log_prob(data)).all():
        known[:] = 0
    why = "it is within rounding of the threshold"
    if fall is Fall.UNKNOWN:
        why = (
            "for it is not known how the likelihood falls far out (set the decoder's "
            "growth_degree to 0 if its outputs are bounded)"
        )
    _require_known(known, a, why)
    rows = np.flatnonzero(known > 0)
    found = _by_quadrature(model, data[rows], loc[rows], cov[rows], variances[rows], power, rtol)
    value, error = np.full(len(data), np.nan), np.full(len(data), np.inf)
    status = np.full(len(data), NOT_REACHED, dtype="<U11")
    value[rows], error[rows], status[rows] = found.value, found.error, found.status
    whole = Integral(value, error, status, found.nodes)
    return _infinite_where(known < 0, power, whole).reshape(shape)


def cubo(
    model: LatentModel, X: ArrayLike, posterior: Posterior, n: int = 2, *, rtol: float = 1e-10
) -> Integral:
    """CUBO_n = log E_q[w^n] / n, an upper bound of the log evidence, which is often infinite.

    It is `renyi_bound` of order 1 - n: CUBO_n - log p(x) is (n - 1) / n times Renyi's divergence of
    order n of the posterior from q. The ordinary diagonal encoder of a linear model has none for
    n = 2 as soon as two latents have a posterior precision correlation of 1/2.

    Parameters
    ----------
    model, X, posterior, rtol
        As for `renyi_bound`.
    n : int
        At least 2.

    Returns
    -------
    Integral
        As from `renyi_bound`.

    Raises
    ------
    ValueError
        As `renyi_bound`, and if n is no integer of at least 2.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import cubo
    >>> model = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.5))
    >>> cubo(model, [[1.0, 0.0]], Posterior([[0.0]], scale=0.45)).value.tolist()
    [inf]
    """
    return renyi_bound(model, X, posterior, 1 - integer("n", n, low=2), rtol=rtol)


def _require_known(known: NDArray[np.intp], order: float, why: str) -> None:
    """Raise a ValueError if it is not known of some data whether their bounds are infinite."""
    if (known == 0).any():
        raise ValueError(
            "order: expected one at which the bound is known to be finite or infinite, got "
            f"{order:g}: for datum {int(np.argmax(known == 0))} neither is known, {why}"
        )


def _infinite_where(where: NDArray[np.bool_], power: float, found: Integral) -> Integral:
    """The bounds, with infinite ones of the sign that the power says."""
    return Integral(
        np.where(where, np.copysign(np.inf, power), found.value),
        np.where(where, 0.0, found.error),
        np.where(where, REACHED, found.status),
        found.nodes,
    )


def _by_quadrature(
    model: LatentModel,
    data: Array,
    loc: Array,
    cov: Array,
    variances: Array,
    power: float,
    rtol: float,
) -> Integral:
    """Bounds that are finite, s neither 0 nor 1: under a tilted Gaussian or on the line."""
    if not len(data):
        return Integral(np.empty(0), np.empty(0), np.full(0, REACHED), 0)
    lowest = highest = None
    nodes = 0
    if power < 1:
        lowest = elbo(model, data, Posterior(loc, cov=cov))
        nodes += lowest.nodes
    if power > 0:
        highest = log_evidences(model, data, rtol)
        nodes += highest.nodes
    value, error = np.full(len(data), np.nan), np.full(len(data), np.inf)
    status = np.full(len(data), NOT_REACHED, dtype="<U11")
    within = np.flatnonzero((power * variances + 1 - power > 0).all(axis=-1))
    if len(within):
        found = log_mean_power(model, data[within], loc[within], cov[within], power, rtol)
        value[within], error[within], status[within] = found.value, found.error, found.status
        nodes += found.nodes
    if model.latent_dim == 1:
        # Nodes that follow the tails miss what lies far from their centre; these look everywhere.
        found = on_the_line(model, data, loc, cov, power, rtol)
        nodes += found.nodes
        more = np.sign(power) * (found.value - value) > found.error + error
        better = more | ((status != REACHED) & (found.error < error))
        value[better], error[better] = found.value[better], found.error[better]
        status[better] = found.status[better]
    above: Sequence[Integral | None] = (lowest, highest) if power > 0 else (None, lowest)
    if power > 1:
        above = (highest, None)
    wrong = np.zeros(len(data), dtype=bool)
    for bound, sign in zip(above, (1.0, -1.0), strict=True):
        if bound is not None:
            wrong |= sign * (bound.value - value) > error + bound.error
    if model.latent_dim > 1 and len(within):
        at = data[within], loc[within], cov[within], value[within]
        missed = _missed(model, *at, power, rtol)
        error[within] += missed
        status[within[missed > rtol]] = NOT_REACHED
    # A value out of order shows that the nodes have missed something.
    error[wrong | ~np.isfinite(value)], status[wrong] = np.inf, NOT_REACHED
    if lowest is not None and highest is not None:
        # From 0 to 1 the bounds next to it are an answer, if a wide one.
        half = 0.5 * (highest.value - lowest.value) + highest.error + lowest.error
        wide = half < error
        value = np.where(wide, 0.5 * (highest.value + lowest.value), value)
        error = np.where(wide, half, error)
    return Integral(value, error, status, nodes)


def _missed(
    model: LatentModel, data: Array, loc: Array, cov: Array, value: Array, power: float, rtol: float
) -> Array:
    """By how much values lack what is seen near q, or near the posterior, in nats, `(N,)`.

    In a window there the integral is computed twice: by the nodes of the values, and by others that
    follow the window.
    """
    reduced = model.reduced(data)
    windows = [(loc, cov)]
    if power > 0:
        frame = Frame.of(Weights(reduced, loc, np.linalg.cholesky(cov)))
        windows.append((frame.loc, frame.root @ np.swapaxes(frame.root, -1, -2)))
    centre, narrow, rise = tilted_gaussian(reduced, loc, cov, power)
    tilted = centre, narrow / rise[:, None, None]
    rtol = rtol * min(abs(power), 1.0)
    most = np.zeros(len(data))
    for window in windows:
        seen, known = (
            windowed_power(model, data, loc, cov, power, window, nodes, rtol)
            for nodes in (window, tilted)
        )
        with np.errstate(all="ignore"):
            own = np.exp(seen.log - power * value)
            more = own * (1 + seen.share) - np.exp(known.log - power * value) * (1 - known.share)
            lost = np.log1p(np.maximum(more, 0.0)) / abs(power)
        # Where nothing is seen in the window nothing is missed there.
        lost = np.where(np.isneginf(seen.log) & (seen.share != seen.share), 0.0, lost)
        most = np.maximum(most, np.where(np.isnan(lost), np.inf, lost))
    return most
