"""A look whether a decoder has kinks or jumps of which it does not tell."""

from __future__ import annotations

import warnings

import numpy as np

from vaetheory._kept import Kept
from vaetheory._validation import Array
from vaetheory.models import LatentModel

#: Lines, their half-length, points on each, places that are looked at more closely on each.
_LINES, _LENGTH, _POINTS, _PLACES = 8, 4.0, 129, 4
#: How much shorter the steps become, and how often.
_CLOSER, _LOOKS = 32, 3
#: Powers of the step with which second differences fall: two where a function is smooth, one at a
#: kink, none at a jump.
_KINKED = 1.5
#: Second differences below this share of the greatest output are rounding.
_ROUNDING = 1e-12


class KinksWarning(UserWarning):
    """A decoder has kinks, and does not tell where: integrals over several latents are costly."""


def kink(model: LatentModel) -> Array | None:
    """A place `(d,)` near a kink or a jump of the decoder, or None if none was seen.

    Second differences along random lines are compared with those of much shorter steps.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> likelihood = likelihoods.Gaussian(scale=1.0)
    >>> kink(LatentModel(decoders.Circle(1.0), likelihood)) is None
    True
    >>> relus = decoders.PiecewiseLinear.network([[[1.0]], [[1.0]]], [[-0.5], [0.0]])
    >>> kink(LatentModel(relus, likelihood)).round(3).tolist()
    [0.5]
    """
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(_LINES, model.latent_dim))
    direction = rng.normal(size=(_LINES, model.latent_dim))
    direction *= _LENGTH / np.linalg.norm(direction, axis=-1, keepdims=True)
    places = np.linspace(-1.0, 1.0, _POINTS)
    before, z = _second(model, centre, direction, places)
    top = np.argsort(-before, axis=-1)[:, :_PLACES]
    before = np.take_along_axis(before, top, axis=-1).ravel()
    z = np.take_along_axis(z, top[..., None], axis=1).reshape(-1, model.latent_dim)
    direction = np.repeat(direction, _PLACES, axis=0)
    for _ in range(_LOOKS):
        previous, direction = before, direction / _CLOSER
        now, points = _second(model, z, direction, places)
        best = now.argmax(axis=-1)
        rows = np.arange(len(z))
        z, before = points[rows, best], now[rows, best]
    # However steep a function is, the last steps are short enough to show whether it is smooth.
    seen = np.flatnonzero((before > previous / _CLOSER**_KINKED) & (before > 0))
    return z[seen[0]] if len(seen) else None


def _second(
    model: LatentModel, centre: Array, direction: Array, places: Array
) -> tuple[Array, Array]:
    """Sizes of second differences along lines, and where they are: `(L, P - 2)` and `(..., d)`."""
    z: Array = centre[:, None] + direction[:, None] * places[:, None]
    params = model.decode(z)
    second = np.abs(np.diff(params, n=2, axis=1))
    second[~(second > _ROUNDING * np.abs(params).max())] = 0.0
    return second.max(axis=-1), z[:, 1:-1]


_SEEN: Kept[Array | None] = Kept()


def notice(model: LatentModel) -> bool:
    """Whether the decoder has kinks; the first time they are seen a warning tells where."""
    known: list[bool] = []

    def look() -> Array | None:
        known.append(True)
        return kink(model)

    place = _SEEN.of(model, look)
    if place is not None and known:
        warnings.warn(
            f"the decoder has a kink or a jump near z = {place.round(3).tolist()} and does not "
            "tell where its kinks are: with several latents most evaluations are spent there, and "
            "the tolerance may not be reached within max_nodes. The errors stay honest. Layers "
            "that vaetheory knows (decoders.PiecewiseLinear, or a PyTorch module of linear layers "
            "and ReLU) cost far less, as do a larger rtol and smooth activations",
            KinksWarning,
            stacklevel=2,
        )
    return place is not None
