"""The 1,797 handwritten digits that scikit-learn carries, and a model fitted to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.decoders import Decoder

_WIDTH = 32


@dataclass(frozen=True)
class Digits:
    """Images `(1797, 64)` with grey values 0 to 16, their labels, and two-dimensional codes."""

    images: Array
    labels: Array
    codes: Array


class NoDigitsError(RuntimeError):
    """scikit-learn, with which the digits come, is not installed."""


@lru_cache(maxsize=1)
def load() -> Digits:
    """The digits with codes of unit variance along their first two principal axes.

    Raises
    ------
    NoDigitsError
        If scikit-learn, an extra, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NoDigitsError(
            "the digits come with scikit-learn: pip install 'vaetheory[data]'"
        ) from None
    bunch = load_digits()
    images = np.asarray(bunch.data, dtype=np.float64)
    left, _, axes = np.linalg.svd(images - images.mean(axis=0), full_matrices=False)
    # Signs of singular vectors are arbitrary: make the largest entry of each axis positive.
    sign = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])
    codes = sign * left[:, :2] * np.sqrt(len(images))
    return Digits(images, np.asarray(bunch.target), codes)


@lru_cache(maxsize=1)
def fitted_decoder() -> tuple[Decoder, float]:
    """A tanh network of fixed hidden units fitted to the digits by ridge, and its residual."""
    digits = load()
    k = np.arange(_WIDTH)
    turn = np.pi * (3 - np.sqrt(5)) * k
    hidden = 1.5 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    shift = 2.5 * (2 * ((k * (np.sqrt(5) - 1) / 2) % 1) - 1)
    features = np.hstack(
        [np.tanh(digits.codes @ hidden.T + shift), np.ones((len(digits.codes), 1))]
    )
    ridge = np.diag([0.01 * len(features)] * _WIDTH + [0.0])
    fit = np.linalg.solve(features.T @ features + ridge, features.T @ digits.images)
    scale = float(np.sqrt(((digits.images - features @ fit) ** 2).mean()))
    return decoders.TanhNetwork([hidden, fit[:-1].T], [shift, fit[-1]]), scale


@dataclass(frozen=True)
class FittedDigits:
    """The fitted model with its noise scaled by a factor."""

    noise: float
