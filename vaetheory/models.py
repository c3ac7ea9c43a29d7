"""The latent variable model: prior N(0, I_d), decoder, likelihood."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._arguments import read_arguments
from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._reduction import WhitenedLayer
from vaetheory._validation import Array, all_within, dimension, flattened, require, vectors
from vaetheory._value_equality import ByValue
from vaetheory.decoders import Decoder, LastLayer, as_decoder
from vaetheory.decoders._agreement import agreeing_last_layer
from vaetheory.decoders._outputs import as_output
from vaetheory.decoders._trial import require_decoder
from vaetheory.derivatives import Function
from vaetheory.likelihoods import Gaussian, Likelihood, NoMetricError
from vaetheory.rounding import ULP

#: Rounding of the log density at latents `(N, M, d)`, in nats.
Rounding = Callable[[Array], Array]

# A decoder's outputs are clipped to this size, so that their squares fit in float64.
_LARGEST = 1e140


def require_model(model: object) -> None:
    """Raise a ValueError if `model` is not a `LatentModel`."""
    require("model", model, LatentModel)


def _dimension(decoder: object, given: int | None) -> int:
    """The dimension of the latents: the one given, or the one that the decoder knows."""
    if given is not None:
        return dimension("latent_dim", given)
    known = getattr(decoder, "latent_dim", None)
    if known is None:
        raise ValueError(
            "latent_dim: expected the dimension of z, since the decoder has no `latent_dim` of its "
            f"own, got none with a {type(decoder).__name__}"
        )
    return dimension("decoder.latent_dim", known)


@dataclass(frozen=True)
class ReducedModel:
    """A model and data that say the same of the latents as another model and its data.

    Attributes
    ----------
    model : LatentModel
        With fewer outputs, or a simpler likelihood.
    data : array (N, K)
        Its data.
    offset : array (N,)
        log p(x given z) of the other model minus that of this one, in nats.
    error : array (N,)
        Error figure of `offset`: rounding, in nats.
    rounding : callable
        Estimates how far the log density at latents `(N, M, d)` is rounded in addition, `(N, M)`.
    """

    model: LatentModel
    data: Array
    offset: Array
    error: Array
    rounding: Rounding


@dataclass(frozen=True, eq=False, init=False)
class LatentModel(ByValue):
    """The model p(x, z) = N(z; 0, I_d) p(x given f(z)).

    Parameters
    ----------
    decoder : callable or Decoder
        f, `(..., d) -> (..., D)`, row by row; a plain callable must use `autograd.numpy`.
    likelihood : Likelihood
        The family; the decoder's outputs are its parameters.
    latent_dim : int, optional
        The dimension d of z. By default the decoder's own `latent_dim`, which the decoders and
        flows of this package have; a plain callable does not know it.

    Attributes
    ----------
    data_dim : int
        D, the size of a datum.
    param_dim : int
        The number of outputs of the decoder: D, or 2 D if the likelihood takes two parameters for
        each data dimension.

    Raises
    ------
    ValueError
        If the decoder returns a wrong shape, NaN, another library's tensors or less than double
        precision, is random or does not work row by row, cannot be traced by autograd, or has
        derivatives that visibly differ from those of its values; if its outputs do not fit the
        likelihood, or the `curvature_bounds` or `curvature_range` of a user-defined likelihood do
        not hold; if no `latent_dim` is given and the decoder does not know it. A `NoMetricError`
        if the support of the likelihood moves with its parameters (claim 7e).

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.1))
    >>> model.latent_dim, model.data_dim
    (1, 2)
    >>> LatentModel(lambda z: z**2, likelihoods.Gaussian(scale=0.1), latent_dim=3).data_dim
    3
    """

    decoder: Decoder
    likelihood: Likelihood
    latent_dim: int
    data_dim: int
    param_dim: int

    def __init__(
        self, decoder: Decoder | Function, likelihood: Likelihood, latent_dim: int | None = None
    ) -> None:
        made = as_decoder(decoder)
        d = _dimension(decoder, latent_dim)
        if not isinstance(likelihood, Likelihood):
            raise ValueError(
                "likelihood: expected a member of vaetheory.likelihoods, "
                f"got {type(likelihood).__name__}"
            )
        if likelihood.no_metric is not None and not likelihood.fixed_support:
            raise NoMetricError(likelihood.no_metric)
        for name, value in (
            ("decoder", made),
            ("likelihood", likelihood),
            ("latent_dim", d),
        ):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "param_dim", require_decoder(self.decoder, d))
        expected = likelihood.param_dim
        if expected is not None and expected != self.param_dim:
            raise ValueError(
                f"decoder and likelihood: expected {expected} outputs as the likelihood has, "
                f"got {self.param_dim}"
            )
        object.__setattr__(self, "data_dim", likelihood.data_dim_of(self.param_dim))
        likelihood.require_bounds(self.data_dim)

    def with_likelihood(self, likelihood: Likelihood) -> LatentModel:
        """The model with another likelihood of the same parameters, without testing the decoder.

        Examples
        --------
        >>> from vaetheory import decoders, likelihoods
        >>> model = LatentModel(decoders.Circle(1.0), likelihoods.LogNormal(scale=0.1), 1)
        >>> model.with_likelihood(likelihoods.Gaussian(scale=0.1)).decoder == model.decoder
        True
        """
        return self._with(likelihood=likelihood)

    def _with(self, **changed: object) -> LatentModel:
        made = copy.copy(self)
        vars(made).pop("_last_layer", None)
        for name, value in changed.items():
            object.__setattr__(made, name, value)
        return made

    @cached_property
    def _last_layer(self) -> tuple[LatentModel, WhitenedLayer] | None:
        """The model with the last layer's outputs reduced, and how to reduce its data.

        None if there is nothing to reduce.
        """
        if not self.likelihood.gaussian or self.data_dim == 1:
            return None
        layer = agreeing_last_layer(self.decoder, self.latent_dim)
        if layer is None or len(layer.weight) <= layer.weight.shape[1]:
            return None
        white = WhitenedLayer(layer.weight, layer.bias, cast(Gaussian, self.likelihood))
        smaller = self._with(
            decoder=LastLayer(layer.hidden, white.weight),
            likelihood=Gaussian(scale=1.0),
            data_dim=len(white.weight),
            param_dim=len(white.weight),
        )
        return smaller, white

    def reduced(self, X: Array) -> ReducedModel:
        """A simpler model of the same latents, for data `(N, D)` that have been checked.

        The likelihood is replaced by a simpler one (`Likelihood.reduced`). If it is Gaussian and
        the decoder ends in an affine layer (`Decoder.last_layer`), its D outputs are replaced by as
        many as the hidden layer has, exactly: the part of the residual that no output of the layer
        can reach does not depend on z. Evidences, ELBOs and posteriors use this by themselves.

        Examples
        --------
        >>> import numpy as np
        >>> from vaetheory import decoders, likelihoods
        >>> model = LatentModel(decoders.Affine(np.ones((784, 2))), likelihoods.Gaussian(scale=0.5))
        >>> model.reduced(np.zeros((3, 784))).data.shape
        (3, 2)
        """
        likelihood, data, offset = self.likelihood.reduced(X)
        model = self if likelihood is self.likelihood else self.with_likelihood(likelihood)
        error = ULP * np.abs(offset)
        if (found := model._last_layer) is None or (small := found[1].reduce(data)) is None:
            return ReducedModel(model, data, offset, error, lambda z: np.zeros(z.shape[:-1]))
        unit = 0.5 * len(small.weight) * LOG_2PI
        hidden = cast(LastLayer, found[0].decoder).hidden
        return ReducedModel(
            found[0],
            small.data,
            offset + small.offset + unit,
            error + small.error + ULP * unit,
            lambda z: small.rounding(as_output(hidden(z)), model.latent_dim),
        )

    def check_data(self, X: ArrayLike) -> Array:
        """Return `X` as an array `(..., D)` in the support of the likelihood, or raise.

        Where the model has a `data_shape`, data `(..., *data_shape)` are flattened.
        """
        # The likelihood copies what it checks.
        return self.likelihood.check_data(
            vectors("X", flattened("X", X, self.data_shape), self.data_dim, copy=False)
        )

    @property
    def data_shape(self) -> tuple[int, ...] | None:
        """Shape of a datum, if the decoder has an `event_shape`.

        It is that of the outputs, or if the likelihood takes two parameters for each data
        dimension, that of one half of them along their first axis, as of `(2 C, H, W)`.
        """
        shape, each = self.decoder.event_shape, self.likelihood.params_each
        if shape is None or each == 1:
            return shape
        return (shape[0] // each, *shape[1:]) if shape[0] % each == 0 else None

    def decode(self, z: Array) -> Array:
        """f(z), `(..., d) -> (..., P)`; shape, NaNs and the likelihood's limits are checked."""
        raw = as_output(self.decoder(z))
        if raw.dtype.kind not in "biuf":
            raise ValueError(f"decoder: expected real numbers, got an array of {raw.dtype}")
        params = raw.astype(np.float64, copy=False)
        expected = (*np.shape(z)[:-1], self.param_dim)
        if params.shape != expected:
            raise ValueError(
                f"decoder: expected shape {expected} for z of shape {np.shape(z)}, "
                f"got {params.shape}"
            )
        if params.size and not all_within(params, _LARGEST):
            if np.isnan(params).any():
                bad = np.isnan(params).any(axis=-1)
                raise ValueError(f"decoder: expected numbers, got NaN at z = {z[bad][0].tolist()}")
            params = np.clip(params, -_LARGEST, _LARGEST)
        if (found := self.likelihood.excluded(params)) is not None:
            where = z[found.where][0].tolist()
            raise ValueError(f"decoder: expected {found.expected} at z = {where}")
        return params

    def log_likelihood(self, X: Array, z: Array) -> Array:
        """Log p(x given z) in nats, `(...)`; leading axes broadcast."""
        return self.likelihood.log_prob(X, self.decode(z))

    def log_joint(self, X: Array, z: Array) -> Array:
        """Log p(x, z) = -U(z; x) in nats, `(...)`; leading axes broadcast."""
        return self.log_likelihood(X, z) + standard_log_prob(z)

    def likelihood_derivatives(self, X: Array, z: Array) -> tuple[Array, Array, Array]:
        """First and second derivatives in z of -log p(x given z).

        Returns
        -------
        gradient : array (..., d)
        hessian : array (..., d, d)
            J^T (-d^2 log p / dparams^2) J - score . d^2 f.
        gauss_newton : array (..., d, d)
            The Hessian without its last term.
        """
        params, jacobian = self.decode(z), self.decoder.jacobian(z)
        gradient, score = self._gradient(X, params, jacobian)
        gauss_newton = self.pulled_back(params, jacobian, X)
        return gradient, gauss_newton - self.decoder.weighted_hessian(z, score), gauss_newton

    def potential_derivatives(self, X: Array, z: Array) -> tuple[Array, Array, Array]:
        """First and second derivatives in z of the potential U = -log p(x, z).

        Returns
        -------
        gradient : array (..., d)
        hessian : array (..., d, d)
            A = I + the Hessian of -log p(x given z).
        gauss_newton : array (..., d, d)
            A without the second derivatives of the decoder, and with the likelihood's
            `definite_information` in place of the observed information. It is always positive
            definite.

        Raises
        ------
        NoMetricError
            If the likelihood has no metric: its log density has no second derivatives.
        """
        gradient, hessian, gauss_newton = self.likelihood_derivatives(X, z)
        unit = np.eye(self.latent_dim)
        if not self.likelihood.concave:
            gauss_newton = self._definite(X, self.decode(z), self.decoder.jacobian(z))
        return gradient + z, hessian + unit, gauss_newton + unit

    def gauss_newton(self, X: Array, z: Array) -> tuple[Array, Array]:
        """`gradient` and `gauss_newton` of `potential_derivatives`, without the Hessian.

        Likelihoods without a metric have them as well.
        """
        params, jacobian = self.decode(z), self.decoder.jacobian(z)
        gradient, _ = self._gradient(X, params, jacobian)
        return gradient + z, self._information(X, params, jacobian)

    def _information(self, X: Array, params: Array, jacobian: Array) -> Array:
        return self._definite(X, params, jacobian) + np.eye(self.latent_dim)

    def definite_information(self, X: Array, z: Array) -> Array:
        """The matrix of `gauss_newton` alone, `(..., d, d)`."""
        return self._information(X, self.decode(z), self.decoder.jacobian(z))

    def search_derivatives(self, X: Array, z: Array) -> tuple[Array, Array, Array]:
        """As `potential_derivatives`, to scale steps and lattices: for any likelihood.

        For one without a metric, whose log density has kinks, both matrices are `gauss_newton`.
        """
        if self.likelihood.no_metric is None:
            return self.potential_derivatives(X, z)
        gradient, safe = self.gauss_newton(X, z)
        return gradient, safe, safe

    def _definite(self, X: Array, params: Array, jacobian: Array) -> Array:
        return self._pulled(jacobian, partial(self.likelihood.definite_information, X, params))

    def pulled_back(self, params: Array, jacobian: Array, X: Array | None = None) -> Array:
        """The pulled-back Fisher or (given X) observed information; infinite where J is."""
        if X is None:
            return self._pulled(jacobian, partial(self.likelihood.expected_information, params))
        return self._pulled(jacobian, partial(self.likelihood.observed_information, X, params))

    def _pulled(self, jacobian: Array, information: Callable[[Array], Array]) -> Array:
        known = np.isfinite(jacobian).all(axis=(-2, -1), keepdims=True)
        # Far from the origin a decoder's derivative may overflow.
        slopes = jacobian if known.all() else np.where(known, jacobian, 0.0)
        metric = information(slopes)
        if slopes is jacobian:
            return metric
        return np.where(known, metric, np.where(np.eye(self.latent_dim) > 0, np.inf, 0.0))

    def _gradient(self, X: Array, params: Array, jacobian: Array) -> tuple[Array, Array]:
        """The gradient in z of -log p(x given z), and the score of the likelihood."""
        score = self.likelihood.score(X, params)
        return -np.einsum("...i,...ij->...j", score, jacobian), score


read_arguments(
    LatentModel,
    {
        "decode": ("z",),
        **dict.fromkeys(
            (
                "log_likelihood",
                "log_joint",
                "likelihood_derivatives",
                "potential_derivatives",
                "gauss_newton",
                "definite_information",
            ),
            ("X", "z"),
        ),
    },
    defined=False,
)
