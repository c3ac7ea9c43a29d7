"""Check of 11b: the gradient by hand against autograd through the library's bounds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins, bilbo, profile_likelihood
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.half_network.scenes import TINY, TinyRun, pattern, tiny_runs
from vaetheory.rounding import gamma
from vaetheory.training import Network, Vae


def _traced(network: Network, params: Any, x: Any) -> Any:
    """The network written with autograd, without the library's layers."""
    at, sizes = 0, network.sizes
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = anp.reshape(params[at : at + inputs * outputs], (outputs, inputs))
        at += inputs * outputs
        x = anp.dot(x, weight.T) + params[at : at + outputs]
        at += outputs
        if k < len(sizes) - 2:
            x = anp.tanh(x)
    return x


def traced_loss(
    vae: Vae, X: Array, noise: Array, *, information: float = 1.0
) -> Callable[[Any], Any]:
    """Minus the objective as a function of the parameters, from the library's own bounds."""
    d, D, objective = vae.latent_dim, vae.data_dim, vae.objective

    def loss(params: Any) -> Any:
        encoder, decoder, extra = vae.split(params)
        code = _traced(vae.encoder, encoder, (X - vae.units.loc) / vae.units.scale)
        loc: Any = code[:, :d]
        log_scale: Any = np.zeros(d)
        if objective.posterior == "learned":
            log_scale = code[:, d:] / 2
        elif objective.posterior == "constant":
            log_scale = extra[:d]
        z = loc + anp.exp(log_scale) * noise
        output = _traced(vae.decoder, decoder, z)
        xhat = vae.units.loc + vae.units.scale * output[:, :D]
        if objective.likelihood == "profile":
            term = profile_likelihood(X, xhat).value
        elif objective.likelihood == "baggins":
            term = baggins(X, xhat, information=vae.information).value
        else:
            log_variance = output[:, D:] if objective.likelihood == "learned" else 2 * extra[-1]
            square = (X - xhat) ** 2 * anp.exp(-log_variance)
            term = -0.5 * anp.sum(LOG_2PI + log_variance + square) / len(X)
        if objective.floating:
            bound = bilbo(term * np.ones(len(X)), loc, anp.exp(log_scale))
            return (1 - information) * bound.information - bound.value
        spread = anp.exp(2 * log_scale) + 0 * loc
        divergence = 0.5 * anp.sum(loc**2 + spread - 1 - anp.log(spread)) / len(X)
        return information * divergence - term

    return loss


def gradient_by_hand(
    scene: TinyRun, *, information: float = 1.0, noise: float = 1.0, last: float = 1.0
) -> Comparison:
    """Compare loss and gradient by hand with autograd through the library's bounds."""
    vae, X = scene.vae(), scene.data().train
    params = vae.initial(scene.seed) + pattern(vae.count, 0.25)
    draws = pattern(len(X) * vae.latent_dim, 1.5).reshape(len(X), -1)
    value, slope = vae.loss_and_gradient(params, X, draws)
    other, expected = value_and_grad(
        traced_loss(vae, X, noise * draws, information=information)
    )(params)  # fmt: skip
    expected = np.where(np.arange(vae.count) < vae.count - 1, expected, last * expected)
    # The chains have about as many operations as there are data and units; residuals lose digits
    # in proportion to the size of the data over sigma.
    size = 1 + np.abs(expected).max() + np.abs(value)
    amount = gamma(2000) * size * amplification(vae, params, X, draws)
    return Comparison.all_of(
        Comparison.identity(value, other, scale=size, rounding=amount),
        Comparison.identity(slope, expected, scale=size, rounding=amount),
    )


def amplification(vae: Vae, params: Array, X: Array, noise: Array) -> float:
    """Greatest ratio of a summand of a slope to the unit of the slope."""
    loc, log_scale = vae.encode(params, X)
    xhat, log_sigma = vae.decode(params, loc + np.exp(log_scale) * noise)
    if vae.objective.likelihood in ("learned", "one"):
        own = vae.split(params)[2][-1:] if log_sigma is None else log_sigma
        sigma = np.exp(own) * np.ones_like(xhat)
    elif vae.objective.likelihood == "profile":
        sigma = profile_likelihood(X, xhat).scale
    else:
        sigma = baggins(X, xhat, information=vae.information).scale
    largest = ((np.abs(X) + np.abs(xhat)) / sigma).max() ** 2
    return float(1 + largest)


GRADIENT = Proposition(
    label="11b",
    title="Networks are trained by the gradient of the library's own objectives",
    statement=(
        r"\nabla_\theta\big(\mathrm{term}"
        r" - \tfrac12\sum_j\log(1 + \mathbb E_B[m_j^2]/s_j^2)\big)"
        r"\text{ by hand} = \text{the same by automatic differentiation of } "
        r"\mathrm{BILBO},\ \mathrm{BAGGINS}"
    ),
    hypotheses=(TINY, ("each of the six objectives", r"\text{(a) to (f)}")),
    kind="identity",
    instances=tiny_runs(),
    check=gradient_by_hand,
    controls=wrong(
        gradient_by_hand,
        {
            "twice the information term": {"information": 2.0},
            "other noise": {"noise": 0.5},
            "the last parameter's slope doubled": {"last": 2.0},
        },
    ),
    uses=("6a", "10a"),
)
