"""The model to evaluate after training with BILBO and BAGGINS, fixed from the training data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import (
    Array,
    as_array,
    data_set,
    generator,
    integer,
    squarable,
    vectors,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds.batch_information import BatchBound, bilbo
from vaetheory.bounds.bounded_likelihood import ProfileLikelihood, baggins, profile_likelihood
from vaetheory.decoders import Decoder, Reparametrised, as_decoder
from vaetheory.derivatives import Function
from vaetheory.encoders import Posterior
from vaetheory.likelihoods import Gaussian
from vaetheory.models import LatentModel

#: The most numbers that a decoder returns at a time.
_NUMBERS = 2**22


def joined(parts: list[Array]) -> Array:
    """The rows of all parts; a single part is not copied."""
    return np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)


def fitted_likelihood(
    X: Array, reconstructions: Iterable[Array], *, information: ArrayLike | None, pooled: bool
) -> ProfileLikelihood:
    """The Gaussian likelihood of a data set, from one or more reconstructions `(N, D)` of all data.

    Parameters
    ----------
    X : array (N, D)
    reconstructions : iterable of arrays (N, D)
        The decoder's means at one sample of the posterior of each datum.
    information : number, array (D,) or None
        The presumed information of `baggins`; None for the `profile_likelihood`.
    pooled : bool
        Whether all dimensions share one variance.
    """
    each = list(reconstructions)
    xhat, repeated = joined(each), joined([X] * len(each))
    if information is None:
        return profile_likelihood(repeated, xhat, pooled=pooled)
    return baggins(repeated, xhat, information=information, pooled=pooled)


@dataclass(frozen=True, eq=False)
class EvaluationModel(ByValue):
    """A trained model with a fixed prior and a fixed likelihood.

    Attributes
    ----------
    model : LatentModel
        Its latent w has the prior N(0, I); the encoder's is z = prior_loc + L w with
        L L^T = prior_cov.
    bound : BatchBound
        BILBO of the training set, with the value of BAGGINS or of the profile likelihood: what
        training maximised, on all data at once. It is at most the mean of the sampled ELBOs.
    fit : BoundedLikelihood or ProfileLikelihood
        The likelihood of the training set.
    encoder_scale : array (d,)
        Standard deviations of the encoder's posteriors.
    """

    model: LatentModel
    bound: BatchBound
    fit: ProfileLikelihood
    encoder_scale: Array

    @property
    def prior_loc(self) -> Array:
        """Mean of the floating prior, `(d,)`."""
        return self.bound.prior_loc

    @property
    def prior_cov(self) -> Array:
        """Covariance of the floating prior, `(d, d)`."""
        return self.bound.prior_cov

    @property
    def scale(self) -> Array:
        """Standard deviations of the data given the latent, `(D,)`."""
        return self.fit.scale

    def posterior(self, loc: ArrayLike) -> Posterior:
        """The encoder's posteriors of any data as those of `model`, for `elbo`.

        Parameters
        ----------
        loc : array (..., d)
            The encoder's means.

        Returns
        -------
        Posterior
            With means L^-1 (loc - prior_loc) and the covariance of the scaled noise.

        Raises
        ------
        ValueError
            If the means are not finite or have another dimension.
        """
        means = squarable("loc", vectors("loc", loc, self.model.latent_dim))
        back = np.linalg.inv(np.linalg.cholesky(self.prior_cov))
        root = back * self.encoder_scale
        return Posterior((means - self.prior_loc) @ back.T, cov=root @ root.T)


def evaluation_model(
    decoder: Decoder | Function,
    X: ArrayLike,
    loc: ArrayLike,
    *,
    information: ArrayLike | None,
    scale: ArrayLike = 1.0,
    pooled: bool = False,
    form: str = "diagonal",
    draws: int = 1,
    rng: np.random.Generator | None = None,
) -> EvaluationModel:
    """The model of a decoder that was trained with BILBO and BAGGINS, from its training set.

    The loss computes the floating prior and the variances of the data from each batch. This fixes
    both from the whole training set, so that the density of another datum depends on no batch.

    Parameters
    ----------
    decoder : module, callable or Decoder
        As for `LatentModel`: a PyTorch module or a method of one, a `JaxDecoder`, a `Decoder`, or
        a callable written with `autograd.numpy`. It returns the means `(N, D)` of the data.
    X : array (N, D) or (N, ...)
        The training set, of any framework; with more axes if the decoder returns them.
    loc : array (N, d)
        The encoder's means of the training set, of any framework.
    information : number, array (D,) or None
        The presumed information of `baggins`, in nats, as in training; None if the model was
        trained with `profile_likelihood`.
    scale : array (d,) or number
        Standard deviations of the posteriors, the same for all data, as in training.
    pooled : bool
        Whether all dimensions share one variance, as in training.
    form : {"diagonal", "centred", "full"}
        The form of the floating prior, as in training.
    draws : int
        Samples of each posterior, from which the variances are computed. All reconstructions are
        in memory at once: `draws` N D numbers, several times.
    rng : numpy.random.Generator, optional
        For the samples; `numpy.random.default_rng(0)` by default.

    Returns
    -------
    EvaluationModel
        `model` is for `log_evidence` and other functions; `posterior(loc)` gives the encoder's
        posteriors of held-out data in its latent. `scale` has the sampling error of `draws` N
        samples; all else is exact up to rounding.

    Raises
    ------
    ValueError
        As `LatentModel`, `bilbo` and `baggins`; if `X` and `loc` have different numbers of data.
        A column of X that is constant has no variance: pool the dimensions, or leave it out.

    Notes
    -----
    Source: claims 6a, 6b and 10a.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import decoders, elbo, evaluation_model, log_evidence
    >>> X = np.array([[0.0], [1.0], [2.0], [5.0]])
    >>> trained = evaluation_model(decoders.Affine([[0.5]]), X, 2 * X, information=1.0)
    >>> trained.prior_cov.tolist(), trained.scale.shape
    ([[31.0]], (1,))
    >>> own = elbo(trained.model, X, trained.posterior(2 * X))
    >>> bool((own.value < log_evidence(trained.model, X).value).all())
    True
    """
    means = data_set("loc", loc)
    size, d = means.shape
    inner = as_decoder(decoder)
    # Any scale will do: this model checks decoder and data.
    trial = LatentModel(inner, Gaussian(scale=1.0), d)
    data = trial.check_data(X)
    if data.shape[:-1] != (size,):
        raise ValueError(
            f"X and loc: expected one mean a datum, got shapes {data.shape} and {means.shape}"
        )
    number = integer("draws", draws, low=1)
    generated = np.random.default_rng(0) if rng is None else generator("rng", rng)
    # Everything that does not need the decoder is checked before it is called.
    bilbo(0.0, means, scale, form=form)
    deviations = as_array("scale", scale) * np.ones(d)
    each = (
        _decoded(trial, means + deviations * generated.standard_normal(means.shape))
        for _ in range(number)
    )
    fit = fitted_likelihood(data, each, information=information, pooled=pooled)
    bound = bilbo(fit.value, means, deviations, form=form)
    root = np.linalg.cholesky(bound.prior_cov)
    model = LatentModel(Reparametrised(inner, root, bound.prior_loc), Gaussian(scale=fit.scale), d)
    return EvaluationModel(model, bound, fit, deviations)


def _decoded(model: LatentModel, z: Array) -> Array:
    """The outputs at many latents, `(N, d) -> (N, D)`, some at a time."""
    step = max(1, _NUMBERS // model.data_dim)
    return np.concatenate([model.decode(z[i : i + step]) for i in range(0, len(z), step)])
