"""Decoders that are straight between kinks, and what is exact about them, by mpmath."""

from dataclasses import dataclass
from itertools import pairwise

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory import LatentModel, likelihoods


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

    def decoder(self, z):
        out = self.slope * z
        for kink, bend, jump in zip(self.kinks, self.bends, self.jumps, strict=True):
            out = out + bend * anp.maximum(z - kink, 0.0)
            if jump:
                out = out + jump * anp.where(z > kink, 1.0, 0.0)
        return out

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
