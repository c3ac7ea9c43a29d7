"""The output of an encoder of JAX as a `Posterior`."""

from __future__ import annotations

from typing import Any

from vaetheory._encoder_outputs import posterior_from
from vaetheory.encoders import Posterior


def posterior_of(
    encoder_output: Any,
    *,
    logvar: Any = None,
    logstd: Any = None,
    std: Any = None,
    var: Any = None,
) -> Posterior:
    """Gaussian posteriors q(z|x), one a datum, from the output of an encoder of JAX.

    Parameters
    ----------
    encoder_output : array (..., d) or distribution
        The means, with exactly one of the keywords; arrays on any device, in any precision. Or a
        Gaussian distribution of numpyro, distrax or TensorFlow Probability: a `Normal` or a
        `MultivariateNormal`, `-Diag`, `-Tri`, `-TriL`, `-FullCovariance` or low-rank, perhaps in
        `Independent`. It is recognised by the name of its class.
    logvar, logstd, std, var : array (..., d), optional
        The log variances, log standard deviations, standard deviations or variances of
        independent latents, in the shape of the means.

    Returns
    -------
    Posterior
        In float64, with one full covariance matrix a datum.

    Raises
    ------
    ValueError
        If the distribution is not Gaussian, the spread is missing, given twice, not positive or
        of another shape than the means, or an entry is not finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> q = posterior_of(jnp.zeros((1, 2)), logvar=jnp.array([[0.0, 2.0]]))
    >>> q.cov.round(6).tolist()
    [[[1.0, 0.0], [0.0, 7.389056]]]
    """
    known = hasattr(encoder_output, "log_prob")
    return posterior_from(encoder_output, known, logvar=logvar, logstd=logstd, std=std, var=var)
