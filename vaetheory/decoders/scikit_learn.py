"""Decoders from the weights of scikit-learn's multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vaetheory._validation import Array, integer, short
from vaetheory.decoders.base import Decoder
from vaetheory.decoders.layers import fitting_layers
from vaetheory.decoders.networks import TanhNetwork
from vaetheory.decoders.piecewise_linear import PiecewiseLinear
from vaetheory.decoders.polynomials import Affine

#: What every fitted perceptron has.
_FITTED = ("coefs_", "intercepts_", "activation", "out_activation_")


def _affine(weights: Sequence[Array], biases: Sequence[Array]) -> Affine:
    """Affine maps, one after the other."""
    weight, bias = weights[0], biases[0]
    for w, b in zip(weights[1:], biases[1:], strict=True):
        weight, bias = w @ weight, w @ bias + b
    return Affine(weight, bias)


def _logistic(weights: Sequence[Array], biases: Sequence[Array]) -> TanhNetwork:
    """Logistic units as those of tanh, because expit(a) = (1 + tanh(a / 2)) / 2."""
    last, ws, bs = len(weights) - 1, [], []
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        if i:
            w, b = 0.5 * w, b + 0.5 * w.sum(axis=1)
        inner = 0.5 if i < last else 1.0
        ws.append(inner * w)
        bs.append(inner * b)
    return TanhNetwork(ws, bs)


_ACTIVATIONS: dict[str, Callable[[Sequence[Array], Sequence[Array]], Decoder]] = {
    "identity": _affine,
    "logistic": _logistic,
    "relu": PiecewiseLinear.network,
    "tanh": TanhNetwork,
}


def from_mlp(network: Any, *, skip: int = 0) -> Decoder:
    """The decoder that a fitted `sklearn.neural_network.MLPRegressor` or `MLPClassifier` computes.

    Parameters
    ----------
    network : MLPRegressor or MLPClassifier
        Fitted, from latents `(n, d)` to data `(n, D)`. It is not changed; later training has no
        effect on the decoder.
    skip : int
        Hidden layers to leave out: those of the encoder, if the network is an auto-encoder. The
        latents are then the activations of the last layer that is left out.

    Returns
    -------
    Decoder
        A `TanhNetwork` for "tanh" and "logistic" activations, a `PiecewiseLinear` for "relu", an
        `Affine` for "identity"; weights in float32 are converted exactly. It gives the sums before
        the activation of the outputs: the predicted means; their logs with `loss="poisson"`, for
        `likelihoods.Poisson`; the logits of an MLPClassifier, for `likelihoods.Bernoulli`, or for
        `Categorical` with more than two exclusive classes.

    Raises
    ------
    ValueError
        If it is no such network, it is not fitted, or `skip` leaves no layer. A pipeline or a
        scaled target computes another function than the network in it: give that, and scale the
        data.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> fitted = SimpleNamespace(
    ...     coefs_=[np.ones((1, 2)), np.ones((2, 3))],
    ...     intercepts_=[np.zeros(2), np.zeros(3)],
    ...     activation="tanh",
    ...     out_activation_="identity",
    ... )  # what an MLPRegressor has after `fit`
    >>> from_mlp(fitted).latent_dim, from_mlp(fitted)([[0.0]]).tolist()
    (1, [[0.0, 0.0, 0.0]])
    """
    missing = [name for name in _FITTED if not hasattr(network, name)]
    if missing:
        raise ValueError(
            "network: expected a fitted MLPRegressor or MLPClassifier of scikit-learn, got "
            f"{short(network)}, which has no {missing[0]}: fit it first; of a pipeline or a "
            "transformed target give the network inside, and scale the data instead"
        )
    if network.activation not in _ACTIVATIONS:
        raise ValueError(
            f"network: expected an activation among {', '.join(_ACTIVATIONS)}, got "
            f"{short(network.activation)}"
        )
    first = integer("skip", skip, low=0, high=len(network.coefs_) - 1)
    weights = [np.transpose(w) for w in network.coefs_[first:]]
    layers = fitting_layers(weights, network.intercepts_[first:])
    return _ACTIVATIONS[network.activation](*layers)
