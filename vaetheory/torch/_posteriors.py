"""The output of an encoder of PyTorch as a `Posterior`."""

from __future__ import annotations

from typing import Any

from torch import distributions

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
    """Gaussian posteriors q(z|x), one a datum, from the output of a PyTorch encoder.

    Parameters
    ----------
    encoder_output : torch.distributions.Distribution or tensor (..., d)
        A `Normal`, `MultivariateNormal` or `LowRankMultivariateNormal`, perhaps in `Independent`;
        or the means, with exactly one of the keywords. Tensors on any device, in any precision,
        with or without gradients.
    logvar, logstd, std, var : tensor (..., d), optional
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
    >>> import torch
    >>> q = posterior_of(torch.zeros(1, 2), logvar=torch.tensor([[0.0, 2.0]]))
    >>> q.cov.round(6).tolist()
    [[[1.0, 0.0], [0.0, 7.389056]]]
    """
    known = isinstance(encoder_output, distributions.Distribution)
    return posterior_from(encoder_output, known, logvar=logvar, logstd=logstd, std=std, var=var)
