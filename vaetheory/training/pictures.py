"""A picture of a trained VAE on images: reconstructions, samples and the latent plane."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from vaetheory._files import replacing
from vaetheory._plotting import EXACT, SMALLEST, UNBOUNDED, save
from vaetheory._validation import Array, integer, require
from vaetheory.likelihoods import ContinuousBernoulli
from vaetheory.training.density import Density
from vaetheory.training.images import CHANNELS, Images
from vaetheory.training.vae import rows_of

__all__ = ["draw_picture", "likelihood_means", "write_picture"]

#: Dots an inch; dots of the side of a panel; and of what is around panels: below, beside, above.
_DPI, _PANEL, _SPACE, _HEAD = 120, 640, 28, 44
#: The most images beside each other, the most rows of them, and the most latents along an axis.
_COLUMNS, _LINES, _LATENTS = 10, 4, 20
#: The most held-out images whose means are drawn.
_POINTS = 5000


def likelihood_means(density: Density, z: Array) -> Array:
    """Mean grey values `(N, D)` of the likelihood at latents `(N, d)`.

    Of logits they are the means of the likelihood that was trained: the probabilities if that was
    the cross-entropy, and otherwise the means of the continuous Bernoulli densities.
    """
    found = require("density", density, Density).decode(z)[0]
    if not density.of_logits:
        return found
    if density.vae.objective.likelihood == "bernoulli":
        return np.asarray(expit(found))
    return ContinuousBernoulli().mean(found)


def draw_picture(density: Density, images: Images, X: Array, *, seed: int) -> Figure:
    """Draw what a trained VAE makes of images.

    Held-out images are drawn with their reconstructions, the decoded means of their posteriors,
    beneath; beside them are decoded draws from the prior, which is the floating one if the prior
    floats. Of two latents it also shows the decoded latents of a lattice at quantiles of the prior,
    and the encoder's means of the held-out images. Decoded is what `likelihood_means` returns: no
    noise of the likelihood is added. All grey values are clipped to the range of the data, [0, 1]
    if all of them are in it.

    Parameters
    ----------
    density : Density
    images : Images
        The data before their split, for their shape and range. Images of 1 channel are grey, of 3
        coloured, of 4 coloured and transparent; of another number the mean channel is shown.
    X : array (N, D)
        Held-out images, not scaled. The first are shown, and the means of up to 5,000.
    seed : int
        Sets the draws from the prior.

    Returns
    -------
    matplotlib.figure.Figure
    """
    vae = require("density", density, Density).vae
    show = _Shown(require("images", images, Images))
    X = rows_of("X", np.asarray(X)[:_POINTS], math.prod(images.shape))
    rng = np.random.default_rng([integer("seed", seed), 500])
    columns, lines = show.room(_COLUMNS, _LINES, even=True)
    loc = density.encode(X)[0]
    some = np.s_[: min(len(X), columns * lines // 2)]
    back = likelihood_means(density, loc[some])
    draws = density.prior_scale * rng.standard_normal((columns * lines, vae.latent_dim))
    floating = "floating " if vae.objective.floating else ""
    panels = [
        ("Held-out images; below each its reconstruction", show.pairs(X[some], back, columns)),
        (
            f"Decoded draws from the {floating}prior",
            show.mosaic(likelihood_means(density, draws), columns, gap=1),
        ),
    ]
    if vae.latent_dim == 2:
        along = min(show.room(_LATENTS, _LATENTS))
        panels.append((f"Decoded {along} x {along} quantiles of the {floating}prior",
                       show.mosaic(_lattice(density, along), along, gap=0)))  # fmt: skip
    sheet = _Sheet([_zoomed(pixels) for _, pixels in panels], vae.latent_dim == 2)
    sheet.figure.text(
        _SPACE / sheet.wide, 1 - _SPACE / 2 / sheet.high, f"{images.name}: {vae.objective.title}",
        fontsize=SMALLEST + 2, va="center",
    )  # fmt: skip
    for place, (title, pixels) in enumerate(panels):
        axes = sheet.axes(place, title)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
    if vae.latent_dim == 2:
        _plane(sheet.axes(3, f"The encoder's means of {len(X):,} held-out images"),
               loc / density.prior_scale, floating)  # fmt: skip
    return sheet.figure


def write_picture(path: Path, density: Density, images: Images, X: Array, *, seed: int) -> None:
    """Write the PNG of `draw_picture` atomically; the same seed gives the same bytes."""
    figure = draw_picture(density, images, X, seed=seed)
    with replacing(path) as draft:
        save(figure, draft)


class _Shown:
    """Images as pixels between 0 and 1, `(height, width)` or `(height, width, channels)`."""

    def __init__(self, images: Images) -> None:
        self.shape = images.shape
        self.low, self.high = 0.0, 1.0
        if not images.within_one:
            self.low, self.high = float(images.X.min()), float(images.X.max())
        # Of an image larger than a panel every n-th pixel is shown.
        self.every = -(-max(self.shape[1:]) // _PANEL)
        self.sides = tuple(-(-n // self.every) for n in self.shape[1:])

    def room(self, columns: int, lines: int, *, even: bool = False) -> tuple[int, int]:
        """How many images of those wanted fit into a panel: columns and lines, at least one."""
        least = 2 if even else 1
        high, wide = (_PANEL // (side + 1) for side in self.sides)
        return max(1, min(columns, wide)), max(least, min(lines, high) // least * least)

    def pixels(self, X: Array) -> NDArray[Any]:
        """Rows `(N, D)` as pixels `(N, height, width, channels)`; no last axis if they are grey."""
        shown = X.reshape(-1, *self.shape)[:, :, :: self.every, :: self.every]
        shown = (np.clip(shown, self.low, self.high) - self.low) / (self.high - self.low or 1.0)
        if self.shape[0] == 1 or self.shape[0] not in CHANNELS:
            return np.asarray(shown.mean(axis=1))
        return np.moveaxis(shown, 1, -1)

    def mosaic(self, X: Array, columns: int, *, gap: int) -> NDArray[Any]:
        """Images beside and beneath each other, row by row, with a white gap between them."""
        pixels = self.pixels(X)
        high, wide = (side + gap for side in self.sides)
        lines = -(-len(pixels) // columns)
        whole = np.ones((lines * high - gap, columns * wide - gap, *pixels.shape[3:]))
        for number, image in enumerate(pixels):
            top, left = number // columns * high, number % columns * wide
            whole[top : top + self.sides[0], left : left + self.sides[1]] = image
        return whole

    def pairs(self, X: Array, back: Array, columns: int) -> NDArray[Any]:
        """Images and beneath each of them another."""
        parts = []
        for start in range(0, len(X), columns):
            for part in (X[start : start + columns], back[start : start + columns]):
                white = np.full((columns - len(part), X.shape[1]), self.high)
                parts += [part, white]
        return self.mosaic(np.concatenate(parts), columns, gap=1)


def _lattice(density: Density, along: int) -> Array:
    """Decoded quantiles of the prior: the first latent grows to the right, the second upwards."""
    quantiles = ndtri((np.arange(along) + 0.5) / along)
    second, first = np.meshgrid(quantiles[::-1], quantiles, indexing="ij")
    z = np.stack([first.ravel(), second.ravel()], axis=-1)
    return likelihood_means(density, density.prior_scale * z)


def _zoomed(pixels: NDArray[Any]) -> tuple[int, int]:
    """Height and width in dots: a whole number for each pixel."""
    zoom = max(1, _PANEL // max(pixels.shape[:2]))
    return zoom * pixels.shape[0], zoom * pixels.shape[1]


class _Sheet:
    """A figure with panels of given sizes, two in a line, and perhaps a square after them."""

    def __init__(self, sizes: list[tuple[int, int]], square: bool) -> None:
        self._sizes = [*sizes, (_PANEL - 2 * _SPACE,) * 2] if square else sizes
        # The axis of the square is beside it and below it.
        self._beside = 2 * _SPACE
        heights = [max(h for h, _ in self._sizes[i : i + 2]) for i in range(0, len(self._sizes), 2)]
        widths = [max(w for _, w in self._sizes[i::2]) for i in (0, 1)]
        tops = np.cumsum([_SPACE, *(h + _HEAD for h in heights)])
        self._corners = [
            ((_SPACE, widths[0] + _SPACE + self._beside)[i % 2], int(tops[i // 2]) + _HEAD)
            for i in range(len(self._sizes))
        ]
        self.wide = sum(widths) + 2 * _SPACE + self._beside
        self.high = int(tops[-1]) + (2 if square else 1) * _SPACE
        self.figure = Figure((self.wide / _DPI, self.high / _DPI), dpi=_DPI, facecolor="white")

    def axes(self, place: int, title: str) -> Axes:
        """The axes of a panel."""
        (left, top), (high, wide) = self._corners[place], self._sizes[place]
        bottom = self.high - top - high
        axes = self.figure.add_axes(
            (left / self.wide, bottom / self.high, wide / self.wide, high / self.high)
        )
        axes.set_title(title, loc="left", fontsize=SMALLEST, pad=4)
        return axes


def _plane(axes: Axes, loc: Array, floating: str) -> None:
    """The encoder's means in the latent plane, in deviations of the prior."""
    axes.plot(*loc.T, ".", color=UNBOUNDED, ms=3, mew=0, alpha=0.6)
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, ec=EXACT, lw=0.8))
    most = max(2.2, 1.05 * float(np.abs(loc).max()))
    axes.set(xlim=(-most, most), ylim=(-most, most))
    axes.tick_params(labelsize=SMALLEST)
    axes.set_xlabel(
        f"in deviations of the {floating}prior; circles at one and two", fontsize=SMALLEST
    )
