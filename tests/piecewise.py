"""Decoders that are straight between kinks, and what is exact about them, by mpmath."""

from dataclasses import dataclass
from itertools import pairwise

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.special import ndtr

from vaetheory import LatentModel, likelihoods


class Broken:
    """slope z + sum of bends max(z - c, 0) + sum of jumps 1[z > c], along a direction."""

    def __init__(self, slope, places, bends, jumps, direction=(1.0,)):
        self.slope, self.direction = slope, np.array(direction)
        self.places, self.bends, self.jumps = map(np.array, (places, bends, jumps))

    def __call__(self, z):
        along = anp.dot(z, self.direction)[..., None]
        over = along - self.places
        rise = anp.maximum(over, 0.0) * self.bends + anp.where(over > 0, self.jumps, 0.0)
        return self.slope * along + anp.sum(rise, axis=-1, keepdims=True)

    def mean_square(self, x, m, s):
        """E (x - f)^2 where z along the direction is N(m, s^2)."""
        order = np.argsort(self.places)
        edges = (np.concatenate([[-np.inf], self.places[order], [np.inf]]) - m) / s
        slopes = self.slope + np.concatenate([[0.0], np.cumsum(self.bends[order])])
        steps = self.jumps[order] - self.bends[order] * self.places[order]
        offsets = np.concatenate([[0.0], np.cumsum(steps)])
        finite = np.where(np.isfinite(edges), edges, 0.0)
        density = np.exp(-0.5 * edges**2) / np.sqrt(2 * np.pi)
        # Both tails are small numbers there, not differences from one.
        low, high = edges[:-1], edges[1:]
        mass = np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
        first = density[:-1] - density[1:]
        second = mass + (finite * density)[:-1] - (finite * density)[1:]
        a, b = x - offsets - slopes * m, -slopes * s
        return (a**2 * mass + 2 * a * b * first + b**2 * second).sum()


@dataclass(frozen=True)
class Piecewise:
    """f(z) = slope z + sum_k bends_k max(z - kinks_k, 0) + jumps_k [z > kinks_k], one output.

    The datum is `away` standard deviations of the noise from f(at).
    """

    kinks: tuple[float, ...]
    bends: tuple[float, ...]
    jumps: tuple[float, ...]
    slope: float
    scale: float
    at: float
    away: float

    @property
    def decoder(self):
        return Broken(self.slope, self.kinks, self.bends, self.jumps)

    def model(self):
        return LatentModel(self.decoder, likelihoods.Gaussian(scale=self.scale), 1)

    def datum(self):
        return self.decoder(np.array([[self.at]])) + self.scale * self.away

    def _pieces(self):
        """Ends, slope and offset of every straight piece."""
        order = np.argsort(self.kinks)
        ends = [-mp.inf, *(mpf(self.kinks[i]) for i in order), mp.inf]
        slope, offset = mpf(self.slope), mpf(0)
        for number, (low, high) in enumerate(pairwise(ends)):
            if number:
                i = order[number - 1]
                slope += mpf(self.bends[i])
                offset += mpf(self.jumps[i]) - mpf(self.bends[i]) * mpf(self.kinks[i])
            yield low, high, slope, offset

    def masses(self):
        """Each piece's share of the evidence, its ends, and the Gaussian that z has on it."""
        x, s = mpf(float(self.datum()[0, 0])), mpf(self.scale)
        for low, high, slope, offset in self._pieces():
            variance = s**2 + slope**2
            mean, width = slope * (x - offset) / variance, s / mp.sqrt(variance)
            a, b = (low - mean) / width, (high - mean) / width
            # On the side where nothing cancels.
            share = mp.ncdf(-a) - mp.ncdf(-b) if a > 0 else mp.ncdf(b) - mp.ncdf(a)
            yield mp.npdf(x, offset, mp.sqrt(variance)) * share, low, high, mean, width

    def log_evidence(self):
        with mp.workdps(60):
            return mp.log(mp.fsum(mass for mass, *_ in self.masses()))

    def posterior_mean(self):
        with mp.workdps(60):
            total = moment = mpf(0)
            for mass, low, high, mean, width in self.masses():
                total += mass
                if not mass:
                    continue
                a, b = (low - mean) / width, (high - mean) / width
                share = mp.ncdf(-a) - mp.ncdf(-b) if a > 0 else mp.ncdf(b) - mp.ncdf(a)
                moment += mass * (mean + width * (mp.npdf(a) - mp.npdf(b)) / share)
            return moment / total


@st.composite
def piecewise(draw, *, most=3, scales=(1.0, 0.3, 0.1, 0.01)):
    """Few kinks with small numbers first; places anywhere, dyadic ones (borders of cells) too."""
    count = draw(st.integers(1, most))
    place = st.one_of(
        st.integers(-32, 32).map(lambda k: k / 16),
        st.floats(-3, 3, allow_subnormal=False),
    )
    size = st.sampled_from((1.0, -1.0, 0.1, 3.0, -0.01, 1e-4, 1e-7, 10.0))
    kinks = draw(st.lists(place, min_size=count, max_size=count, unique=True))
    jumps = st.sampled_from((0.0, 0.0, 0.0, 1.0, -0.1, 1e-5))
    return Piecewise(
        tuple(kinks),
        tuple(draw(st.lists(size, min_size=count, max_size=count))),
        tuple(draw(st.lists(jumps, min_size=count, max_size=count))),
        draw(st.sampled_from((0.0, 1.0, -0.3))),
        draw(st.sampled_from(scales)),
        draw(st.floats(-2, 2, allow_subnormal=False)),
        draw(st.sampled_from((0.0, 1.0, -2.0, 10.0))),
    )
