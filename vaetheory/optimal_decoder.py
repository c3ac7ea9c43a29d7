"""The ELBO-optimal decoder in closed form, with its derivatives as joint cumulants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import (
    Array,
    boolean,
    data_set,
    integer,
    representable,
    require,
    same_leading,
    squarable,
    vectors,
)
from vaetheory._value_equality import ByValue, read_only
from vaetheory.decoders import Decoder
from vaetheory.encoders import AggregatePosterior
from vaetheory.likelihoods import ExponentialFamily
from vaetheory.rounding import EPS

_CHUNK = 2**21


class OptimalDecoder(ByValue, Decoder):
    """The decoder that maximises the ELBO of a data set for a fixed encoder.

    f*(z) = E_{q(x|z)}[x], the mean of the data, each weighted by its posterior density at z. It is
    the global maximum for a Gaussian likelihood of any constant covariance, and is analytic in z.

    Parameters
    ----------
    X : array (N, D)
        The data.
    encoder : AggregatePosterior
        The posteriors q(z|x_n) of the data, one Gaussian per datum.

    Raises
    ------
    ValueError
        If `X` is empty or not `(N, D)`, or the encoder does not have one posterior per datum.

    Notes
    -----
    Source: claims 1a, 1b and 2a, 2b. Let s = grad_z log q(z|x). Each derivative of an expectation
    under q(x|z) is a covariance with s, so the derivatives of f* are joint cumulants.

    Examples
    --------
    Two data encoded at +-1 with variance 1 give a tanh:

    >>> from vaetheory import AggregatePosterior, OptimalDecoder
    >>> f = OptimalDecoder([[-1.0], [1.0]], AggregatePosterior([[-1.0], [1.0]], scale=1.0))
    >>> f([[0.0]]).tolist(), f.jacobian([[0.0]]).tolist()
    ([[0.0]], [[[1.0]]])
    """

    def __init__(self, X: ArrayLike, encoder: AggregatePosterior) -> None:
        self.X: Array = read_only(data_set("X", X))
        require("encoder", encoder, AggregatePosterior)
        if len(encoder.loc) != len(self.X):
            raise ValueError(
                f"encoder: expected one posterior for each of {len(self.X)} data, "
                f"got {len(encoder.loc)}"
            )
        self.encoder = encoder
        self._centre = self.X.mean(axis=0)
        self._centred = self.X - self._centre
        squarable("X", self.X)
        with np.errstate(all="ignore"):
            precision = np.linalg.inv(encoder.cov)
            codes = np.einsum("nij,nj->ni", precision, encoder.loc)
        self._precision = representable("encoder", precision, "precisions")
        self._codes = representable("encoder", codes, "natural parameters")

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space."""
        return self.encoder.latent_dim

    def __call__(self, z: ArrayLike) -> Array:
        return self._by_chunks(
            z, lambda p: self.encoder.responsibilities(p) @ self._centred + self._centre
        )

    def jacobian(self, z: ArrayLike) -> Array:
        """First derivatives, Cov_{q(x|z)}[x, s], `(..., D, d)`; claim 2a."""
        return self.derivative(z, order=1)

    def hessian(self, z: ArrayLike) -> Array:
        """Second derivatives, `(..., D, d, d)`; a third cumulant where S is constant (2b)."""
        return self.derivative(z, order=2)

    def derivative(self, z: ArrayLike, *, order: int) -> Array:
        """Derivatives of order 1, 2 or 3, `(..., D, d, ..., d)`, in closed form.

        Parameters
        ----------
        z : array (..., d)
        order : int
            1 or 2; 3 only for an encoder with a shared covariance (claim 2b).

        Raises
        ------
        ValueError
            For another order, or order 3 and covariances that differ between data.
        """
        integer("order", order, low=1)
        if order > 3 or (order == 3 and not self.encoder.shared):
            raise ValueError(
                "order: expected 1 or 2, or 3 for an encoder with one shared covariance, "
                f"got {order}"
            )
        rule = {1: self._first, 2: self._second, 3: self._third}[order]
        return self._by_chunks(z, rule)

    def cov(self, z: ArrayLike, *, allow_singular: bool = False) -> Array:
        """Cov_{q(x|z)}[x], `(..., D, D)`: the optimal likelihood covariance at z; claim 1b.

        Parameters
        ----------
        z : array (..., d)
        allow_singular : bool
            Return singular matrices too. They are no covariances of a Gaussian density, so by
            default they raise an error.

        Raises
        ------
        ValueError
            If a covariance is numerically singular and `allow_singular` is False.
        """
        boolean("allow_singular", allow_singular)
        matrix = self._by_chunks(z, self._covariance)
        if not allow_singular:
            eigenvalues = np.linalg.eigvalsh(matrix)
            singular = eigenvalues[..., 0] <= len(self.X) * 2 * EPS * eigenvalues[..., -1]
            if singular.any():
                bad = vectors("z", z, None)[singular][0]
                raise ValueError(
                    "cov: expected a non-singular covariance of x given z, got eigenvalues from "
                    f"{eigenvalues[..., 0][singular].min():.3g} at z = {bad.tolist()}: the data "
                    f"encoded there span less than {self.X.shape[1]} dimensions "
                    "(allow_singular=True returns the matrix)"
                )
        return matrix

    def _by_chunks(self, z: ArrayLike, rule: Callable[[Array], Array]) -> Array:
        points = vectors("z", z, self.encoder.latent_dim)
        flat = points.reshape(-1, points.shape[-1])
        # Only the covariance needs all differences of the data; the others need little per datum.
        wide = self.X.shape[1] if rule == self._covariance else 0
        size = max(1, _CHUNK // (self.X.shape[0] * (8 + wide)))
        with np.errstate(all="ignore"):
            moments = np.concatenate([rule(flat[i : i + size]) for i in range(0, len(flat), size)])
        representable("z", moments, "moments of the data")
        return moments.reshape(*points.shape[:-1], *moments.shape[1:])

    def _scores(self, z: Array, weights: Array) -> Array:
        """s(x_n, z) minus its mean, `(M, N, d)`."""
        turned = z @ self._precision.reshape(-1, z.shape[-1]).T
        scores = self._codes - turned.reshape(len(z), *self._codes.shape)
        return scores - weights[:, None] @ scores

    def _against_data(self, weights: Array) -> Array:
        """Sum over the data of weights `(M, N, ...)` times x, `(M, D, ...)`."""
        return np.moveaxis(np.tensordot(weights, self._centred, axes=(1, 0)), -1, 1)

    def _first(self, z: Array) -> Array:
        w = self.encoder.responsibilities(z)
        return self._against_data(w[..., None] * self._scores(z, w))

    def _second_weights(self, z: Array, w: Array, s: Array) -> Array:
        """Weighted s_j s_k minus its mean, plus the derivative of s, `(M, N, d, d)`."""
        product = s[..., :, None] * s[..., None, :] - self._precision
        mean = np.einsum("mn,mnij->mij", w, product)
        return w[..., None, None] * (product - mean[:, None])

    def _second(self, z: Array) -> Array:
        w = self.encoder.responsibilities(z)
        return self._against_data(self._second_weights(z, w, self._scores(z, w)))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        points = vectors("z", z, self.encoder.latent_dim)
        factors = vectors("weights", weights, self.X.shape[1])
        same_leading("weights", factors, "z", points)
        flat = points.reshape(-1, self.encoder.latent_dim)
        projected = factors.reshape(-1, self.X.shape[1]) @ self._centred.T
        size = max(1, _CHUNK // (self.X.shape[0] * 8))
        parts = []
        for i in range(0, len(flat), size):
            w = self.encoder.responsibilities(flat[i : i + size])
            second = self._second_weights(
                flat[i : i + size], w, self._scores(flat[i : i + size], w)
            )
            parts.append(np.einsum("mn,mnij->mij", projected[i : i + size], second))
        return np.concatenate(parts).reshape(*np.shape(z), flat.shape[-1])

    def _third(self, z: Array) -> Array:
        w = self.encoder.responsibilities(z)
        s = self._scores(z, w)
        cov = np.einsum("mn,mni,mnj->mij", w, s, s)
        triple = np.einsum("mni,mnj,mnk->mnijk", s, s, s)
        triple = triple - np.einsum("mn,mnijk->mijk", w, triple)[:, None]
        for axes in ("mni,mjk->mnijk", "mnj,mik->mnijk", "mnk,mij->mnijk"):
            triple -= np.einsum(axes, s, cov)
        return self._against_data(w[..., None, None, None] * triple)

    def _covariance(self, z: Array) -> Array:
        log_weights = self.encoder.log_responsibilities(z)
        # Relative to the datum of greatest weight, nothing cancels if the other weights are tiny.
        away = self.X - self.X[log_weights.argmax(axis=-1)][:, None]
        w = np.exp(log_weights)
        mean = np.einsum("mn,mni->mi", w, away)
        return np.einsum("mn,mni,mnj->mij", w, away, away) - mean[:, :, None] * mean[:, None, :]


def optimal_parameters(
    X: ArrayLike, encoder: AggregatePosterior, likelihood: ExponentialFamily, z: ArrayLike
) -> Array:
    """Parameters of the ELBO-optimal decoder for any exponential-family likelihood, `(..., D)`.

    They satisfy E_{p(x|params)}[T] = E_{q(x|z)}[T] (matching of mean parameters).

    Parameters
    ----------
    X : array (N, D)
        The data.
    encoder : AggregatePosterior
        One posterior per datum.
    likelihood : ExponentialFamily
        The family whose parameters are wanted.
    z : array (..., d)

    Raises
    ------
    ValueError
        If the likelihood is no exponential family, the data are outside the support, or there is
        not one posterior per datum.

    Notes
    -----
    Source: claim 1c.

    Examples
    --------
    >>> from vaetheory import AggregatePosterior, likelihoods
    >>> X, encoder = [[0.0], [1.0]], AggregatePosterior([[-1.0], [1.0]], scale=1.0)
    >>> optimal_parameters(X, encoder, likelihoods.Bernoulli(), [[1.0]]).round(12).tolist()
    [[2.0]]
    """
    if not getattr(likelihood, "exponential", False):
        raise ValueError(
            "likelihood: expected an exponential family, whose best parameters match the mean "
            f"parameters, got {type(likelihood).__name__}"
        )
    require("encoder", encoder, AggregatePosterior)
    data = likelihood.check_data(data_set("X", X))
    if len(encoder.loc) != len(data):
        raise ValueError(
            f"encoder: expected one posterior for each of {len(data)} data, got {len(encoder.loc)}"
        )
    return likelihood.fit(data, encoder.log_responsibilities(z))
