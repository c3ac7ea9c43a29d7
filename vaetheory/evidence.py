"""Exact log evidence, posterior expectations and posterior divergences of latent models."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._arguments import protected
from vaetheory._piecewise_linear.limits import DoesNotApply
from vaetheory._progress import Progress
from vaetheory._quadrature import alternatives
from vaetheory._quadrature.expectations import expectations
from vaetheory._quadrature.noticed_kinks import KinksWarning
from vaetheory._quadrature.result import REACHED, Integral
from vaetheory._validation import Array, fraction, integer, option, require_callable
from vaetheory.bounds._exact_evidence import (
    MAX_NODES,
    exact_log_evidence,
    require_quadrature,
    sum_of_pieces,
)
from vaetheory.bounds._linear_gaussian import linear_gaussian
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.decoders import Affine
from vaetheory.decoders._outputs import double
from vaetheory.encoders import Posterior
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel, require_model

__all__ = [
    "Integral",
    "KinksWarning",
    "linear_log_evidence",
    "log_evidence",
    "posterior_expectation",
    "posterior_kl",
]

PIECES = "piecewise-linear"
METHODS = ("adaptive", *alternatives.METHODS, PIECES)


def _request(
    model: LatentModel, X: ArrayLike, rtol: float, max_nodes: int
) -> tuple[Array, float, int]:
    """The checked data and options."""
    require_model(model)
    require_quadrature(model)
    rtol = fraction("rtol", rtol, low=1e-14, high=0.1)
    return model.check_data(X), rtol, integer("max_nodes", max_nodes, low=1)


def log_evidence(
    model: LatentModel,
    X: ArrayLike,
    *,
    method: str = "adaptive",
    rtol: float = 1e-10,
    max_nodes: int = MAX_NODES,
    progress: Progress | None = None,
) -> Integral:
    """Exact log evidence log p(x), the log of the integral of N(z; 0, I) p(x given z) over z.

    Parameters
    ----------
    model : LatentModel
        With a latent dimension of at most 4; for 4 the tolerance may not be reached.
    X : array (..., D)
        The data, with any leading axes; `(D,)` is one datum.
    method : str
        "adaptive" is the engine, except for piecewise linear decoders with kinks and a Gaussian
        likelihood, d = 1 or 2: they are integrated in closed form, piece by piece.
        "piecewise-linear" is this exact sum only, for affine decoders as well. The others are
        independent methods for comparison, with less reliable error figures: "gauss-hermite" at
        the mode, "trapezoid" (a lattice around the mode), "importance" (draws from a Student t at
        the mode; the error is two standard errors) and "cubature" (SciPy's).
    rtol : float
        Relative tolerance of the evidence, 1e-14 to 0.1.
    max_nodes : int
        Evaluations of the integrand that one datum may cost. A linear piece counts as one: a
        decoder with more pieces goes to the engine.
    progress : callable, optional
        Called with the fraction of the data that is done.

    Returns
    -------
    Integral
        `value` (...) in nats; `error` (...), an estimate, is the absolute error of the log
        evidence: quadrature estimate + estimated bound of the truncation + rounding. It is
        infinite where the budget was too small for any estimate. It does not include a bump that
        lies between all samples of the decoder (d = 1: narrower than 0.01; on the plane some
        tenths), see Limits in the documentation. `status` is "reached" where `error <= rtol`, and
        "gave up" where `max_nodes` was spent first, or where a datum is so far from all outputs of
        the decoder that the last digit of its log joint is 1e-3 nats or more.

        Sums over pieces have another error: a proved bound of the pieces left out, of the mass
        outside all pieces, and of their quadrature (d = 2), plus an estimate of the rounding, which
        dominates. Their status is "reached" or "not reached", and `nodes` is the number of pieces
        whose masses were computed, summed over the data.

    Raises
    ------
    ValueError
        If the data do not fit the model, the latent dimension is above 4, `rtol`, `max_nodes` or
        `method` is out of range, or the decoder returns NaN. If the method is "piecewise-linear"
        and the likelihood is not Gaussian, the decoder has no known linear layers, the latent
        dimension is above 2, or there are too many pieces (more than 200,000, or 20 million numbers
        in their affine maps).

    Warns
    -----
    KinksWarning
        If there are several latents and the decoder has kinks or jumps of which it does not tell
        (`Decoder.kinks`), so that most evaluations are spent there.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> result = log_evidence(model, np.array([[0.0], [40.0]]))
    >>> result.value.round(9).tolist(), result.status.tolist()
    ([-1.265512123, -401.265512123], ['reached', 'reached'])
    """
    data, rtol, max_nodes = _request(model, X, rtol, max_nodes)
    method = option("method", method, METHODS)
    rows, shape = data.reshape(-1, data.shape[-1]), data.shape[:-1]
    if method == "adaptive":
        found = exact_log_evidence(model, rows, rtol=rtol, max_nodes=max_nodes, progress=progress)
    elif method == PIECES:
        try:
            found = sum_of_pieces(model, rows, rtol, max_nodes, progress, affine=True)
        except DoesNotApply as reason:
            raise ValueError(f"method: {reason}, for {PIECES!r}") from None
    else:
        found = alternatives.log_evidence(
            model, rows, method, rtol=rtol, max_nodes=max_nodes, progress=progress
        )
    return found.reshape(shape)


def posterior_expectation(
    model: LatentModel,
    X: ArrayLike,
    h: Callable[[Array], Array],
    *,
    rtol: float = 1e-10,
    max_nodes: int = MAX_NODES,
    progress: Progress | None = None,
) -> Integral:
    """Exact posterior expectations E[h(z) given x], with the engine of `log_evidence`.

    Piecewise linear decoders are left to the engine as well: only their evidence has a closed form.

    Parameters
    ----------
    model : LatentModel
        As for `log_evidence`.
    X : array (..., D)
        The data.
    h : callable
        Function of the latent, `(..., d) -> (...)` or `(..., d) -> (..., K)`; it should be as
        smooth as the decoder.
    rtol : float
        Tolerance, relative to E|h(z)|.
    max_nodes : int
        Evaluations of the integrand that one datum may cost.
    progress : callable, optional
        Called with the fraction of the data that is done.

    Returns
    -------
    Integral
        `value` (...) or (..., K), in the unit of h; `error` is an estimate of the absolute error.
        It is infinite where h has more than a hundredth of E|h| in the tails of the posterior (46
        nats below its maximum, 9.6 standard deviations of a Gaussian), as exp(t z) has for large t:
        the integral may then have any value. `status` is "reached" where the error is at most
        `rtol` E|h|.

    Raises
    ------
    ValueError
        As `log_evidence`, and if h returns other shapes.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> moments = posterior_expectation(model, np.array([[2.0]]), lambda z: z[..., 0])
    >>> moments.value.round(9).tolist()
    [1.0]
    """
    data, rtol, max_nodes = _request(model, X, rtol, max_nodes)
    rows, shape = data.reshape(-1, data.shape[-1]), data.shape[:-1]
    d = model.latent_dim
    require_callable("h", h, "(..., d) -> (...) or (..., d) -> (..., K)")
    h = protected(h, "h")
    probe = double(h(np.zeros((2, 3, d))), "h").shape
    if probe[:2] != (2, 3) or len(probe) > 3 or 0 in probe:
        raise ValueError(
            f"h: expected to map shape (2, 3, {d}) to (2, 3) or (2, 3, K), got shape {probe}"
        )
    scalar = len(probe) == 2

    def columns(z: Array) -> Array:
        values = double(h(z), "h").astype(np.float64, copy=False)
        if values.shape != (*z.shape[:-1], *probe[2:]):
            raise ValueError(
                f"h: expected shape {(*z.shape[:-1], *probe[2:])} for z of shape {z.shape}, got "
                f"{values.shape}"
            )
        if np.isnan(values).any():
            bad = np.isnan(values).reshape(*z.shape[:-1], -1).any(axis=-1)
            raise ValueError(f"h: expected numbers, got NaN at z = {z[bad][0].tolist()}")
        return values[..., None] if scalar else values

    moments = expectations(model, rows, columns, rtol=rtol, max_nodes=max_nodes, progress=progress)
    return moments.reshape(shape if scalar else (*shape, probe[2]))


def posterior_kl(
    model: LatentModel, X: ArrayLike, posterior: Posterior, *, rtol: float = 1e-10
) -> Integral:
    """Exact KL(q || p(z given x)) of Gaussian posteriors: the log evidence minus the ELBO.

    Parameters
    ----------
    model : LatentModel
        As for `log_evidence`.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian per datum.
    rtol : float
        Tolerance of the evidence.

    Returns
    -------
    Integral
        `value` (...) in nats; `error` is an estimate of the absolute error: the sum of both errors.
        "reached" means that evidence and ELBO both reached their tolerances.

    Raises
    ------
    ValueError
        As `log_evidence` and `elbo`.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> q = Posterior([[1.0]], cov=[[0.5]])
    >>> bool(abs(posterior_kl(model, np.array([[2.0]]), q).value[0]) < 1e-12)
    True
    """
    evidence, bound = log_evidence(model, X, rtol=rtol), elbo(model, X, posterior)
    status = np.where(bound.reached, evidence.status, bound.status)
    value, error = evidence.value - bound.value, evidence.error + bound.error
    return Integral(value, error, status, evidence.nodes + bound.nodes)


def linear_log_evidence(model: LatentModel, X: ArrayLike) -> Integral:
    """Log evidence of an affine decoder with a Gaussian likelihood, in closed form.

    It is N(x; b, W W^T + Lambda) for f(z) = W z + b, in any latent dimension; the computation
    shares nothing with `log_evidence`.

    Parameters
    ----------
    model : LatentModel
        With a `decoders.Affine` decoder and a `likelihoods.Gaussian` likelihood.
    X : array (..., D)
        The data.

    Returns
    -------
    Integral
        `value` (...) in nats; `error` (...), an estimate of the rounding. `nodes` is 0.

    Raises
    ------
    ValueError
        If the model is not linear and Gaussian, or the data do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> round(float(linear_log_evidence(model, np.zeros(1)).value), 9)
    -1.265512123
    """
    require_model(model)
    decoder, likelihood = model.decoder, model.likelihood
    if not (isinstance(decoder, Affine) and likelihood.gaussian):
        raise ValueError(
            "model: expected an Affine decoder and a Gaussian likelihood, got "
            f"{type(decoder).__name__} and {type(likelihood).__name__}"
        )
    found = linear_gaussian(
        decoder.weight, decoder.bias, cast(Gaussian, likelihood), model.check_data(X)
    )
    return Integral(found.value, found.error, np.full(found.value.shape, REACHED), 0)
