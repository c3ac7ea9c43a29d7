"""Checks of 10a: the noise that BAGGINS presumes, the bound it gives, and what sampling adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.stats import binom

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds import BoundedLikelihood, baggins, bilbo
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.bounded import FitScene, fit_scenes
from vaetheory.claims.bilbo.floating_prior import lattice_evidence
from vaetheory.claims.bilbo.scenes import Batch, ModelBatch, batches, expected_log_likelihood
from vaetheory.decoders import Decoder
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma

# 10a --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoiseScene:
    """A fit, and variances to hold against the best, as multiples of it."""

    fit: FitScene
    multiple: float


def noise_scenes() -> st.SearchStrategy[NoiseScene]:
    """Fits at up to four nats, and variances half to four times the best."""
    return st.builds(
        NoiseScene,
        fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)),
        st.sampled_from((2.0, 0.5, 4.0)),
    )


def _noisy_log_likelihood(
    x: Array, xhat: Array, noise: Array, variance: Array
) -> tuple[Array, Array]:
    """Mean over the batch of E[log N(x + noise; xhat, variance)], `(D,)`, by lattice; its error."""
    away = x - xhat

    def integrand(unit: Array) -> Array:
        density = np.exp(-(unit**2) / 2) / np.sqrt(2 * np.pi)
        square = (away + np.sqrt(noise) * unit[..., None]) ** 2
        terms = -0.5 * (LOG_2PI + np.log(variance) + square / variance)
        values = (density[..., None] * terms).reshape(len(unit), -1)
        return np.concatenate([values, np.abs(values)], axis=-1)

    value, error = lattice_integral(integrand, np.array([-10.0]), np.array([10.0]), step=0.25)
    half = away.size
    lost = error[:half] + gamma(50) * value[half:]
    return value[:half].reshape(away.shape).mean(axis=0), lost.reshape(away.shape).mean(axis=0)


def presumed_noise(
    scene: NoiseScene, *, power: float = 2.0, noisy: bool = True, surplus: float = 1.0
) -> Comparison:
    """The term is the noisy data's mean log likelihood at the best variance, by quadrature."""
    fit = scene.fit
    residual, spread = fit.moments()
    x, xhat = fit.data, fit.fits
    h = fit.information[0] if fit.pooled else fit.presumed
    term = baggins(x, xhat, information=h, pooled=fit.pooled)
    variance = np.asarray(term.scale) ** 2
    presumed = spread * np.exp(-power * fit.presumed)
    noise = presumed if noisy else np.zeros_like(presumed)
    best, lost = _noisy_log_likelihood(x, xhat, noise, variance)
    other, lost_too = _noisy_log_likelihood(x, xhat, noise, scene.multiple * variance)
    clean, lost_also = _noisy_log_likelihood(x, xhat, np.zeros_like(presumed), variance)
    # KL(N(0, variance) || N(0, multiple variance)) of each dimension.
    deficit = 0.5 * len(variance) * (1 / scene.multiple - 1 + np.log(scene.multiple))
    size = 10 + float(np.abs(term.log_scale).sum() + (residual / variance).sum())
    rounding = gamma(200) * size
    return Comparison.all_of(
        Comparison.identity(
            term.value, best.sum(), scale=size, lattice=lost.sum(), rounding=rounding
        ),
        Comparison.identity(
            best.sum() - other.sum(),
            surplus * deficit,
            scale=size,
            lattice=lost.sum() + lost_too.sum(),
            rounding=rounding,
        ),
        # The data themselves fit better than with the noise, by half its share of sigma^2.
        Comparison.identity(
            clean.sum() - term.value,
            0.5 * (presumed / variance).sum(),
            scale=size,
            lattice=lost_also.sum(),
            rounding=rounding,
        ),
    )


# 10a-evidence -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class BoundScene:
    """Data, their batch of posteriors, a decoder, and the presumed information."""

    decoder: Decoder
    X: tuple[Vector, ...]
    batch: Batch
    information: float

    @property
    def data(self) -> Array:
        """The data `(B, D)`."""
        return np.array(self.X)

    def term(self, *, at_mean: bool = False) -> BoundedLikelihood:
        """BAGGINS, its residual taken over a rule that is exact for the decoder."""
        nodes, weights = hermite_rule(5, 1)
        if at_mean:
            nodes, weights = np.zeros((1, 1)), np.ones(1)
        z = self.batch.means[:, None] + nodes * self.batch.deviations
        fits = np.asarray(self.decoder(z)).reshape(-1, len(self.X[0]))
        return baggins(
            np.repeat(self.data, len(weights), axis=0),
            fits,
            information=self.information,
            weights=np.tile(weights, len(self.X)),
        )


@st.composite
def bound_scenes(draw: DrawFn) -> BoundScene:
    """Two or three data in the plane, decoded from one latent by a line or a parabola."""
    entry = strategies.vectors(2, -3, 3)
    batch = draw(batches(1, min_size=2, max_size=3, reach=3, scales=(0.5, 1.0), distinct=True))
    X = tuple(draw(entry) for _ in batch.loc)
    assume(np.array(X).std(axis=0).min() > 0)
    decoder = decoders.Polynomial([[0], [1], [2]], [draw(entry), draw(entry), draw(entry)])
    return BoundScene(decoder, X, batch, draw(st.sampled_from((0.5, 0.0, 1.0))))


@dataclass(frozen=True)
class NoisyEvidence:
    """BILBO + BAGGINS and what it bounds: means over batch and noise, nats a datum.

    `expected` is the log likelihood by a second route, `divergence` that of the posteriors, by a
    lattice; `error` is the sum of all error figures.
    """

    term: float
    value: float
    expected: float
    noisy: float
    clean: float
    divergence: float
    error: float


def noisy_evidence(
    scene: BoundScene,
    *,
    at_mean: bool = False,
    information: float = 1.0,
    floating: bool = True,
) -> NoisyEvidence:
    """Both sides of 10a's bound, the noise averaged over by a rule that is exact for the term."""
    term, x, batch = scene.term(at_mean=at_mean), scene.data, scene.batch
    likelihood = likelihoods.Gaussian(scale=np.asarray(term.scale))
    # Log likelihoods are quadratic in the noise: three nodes an axis average them exactly. Of the
    # evidence they give a mean over those very noises, for which the bound holds as well.
    nodes, weights = hermite_rule(3, 2)
    deviation = x.std(axis=0) * np.exp(-scene.information)
    noisy = (x[:, None] + nodes * deviation).reshape(-1, 2)
    shares = np.tile(weights, len(x)) / len(x)
    repeated = Batch(tuple(r for r in batch.loc for _ in weights), batch.scale)
    whole = ModelBatch(scene.decoder, likelihood, tuple(map(tuple, noisy)), repeated)
    expected, lost = expected_log_likelihood(whole)
    bound = bilbo(np.zeros(len(x)), batch.means, batch.deviations)
    (other,) = lattice_evidence(whole, [bound])
    model = whole.rescaled(bound.prior_loc, bound.prior_cov) if floating else whole.model
    evidence, clean = log_evidence(model, noisy), log_evidence(model, x)
    errors = shares @ (lost + evidence.error + other.error) + clean.error.mean()
    return NoisyEvidence(
        float(term.value),
        float(term.value) - information * float(bound.information),
        float(shares @ expected),
        float(shares @ evidence.value),
        float(clean.value.mean()),
        float(shares @ other.divergence),
        float(errors),
    )


def evidence_bound(
    scene: BoundScene,
    *,
    at_mean: bool = False,
    information: float = 1.0,
    divergence: float = 1.0,
    floating: bool = True,
) -> Comparison:
    """BILBO + BAGGINS below the mean log evidence of the noisy data, by a mean divergence."""
    found = noisy_evidence(scene, at_mean=at_mean, information=information, floating=floating)
    size = 10 + abs(found.expected) + abs(found.noisy)
    named = {"quadrature": found.error, "rounding": gamma(1000) * size}
    return Comparison.all_of(
        Comparison.identity(found.term, found.expected, scale=size, **named),
        Comparison.identity(
            found.noisy - found.value, divergence * found.divergence, scale=size, **named
        ),
        Comparison.at_most(found.value, found.noisy, scale=size, **named),
        Comparison.at_most(found.value, found.clean, scale=size, **named),
    )


# 10a-sampled ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampledScene:
    """Residuals that are one or the other with probability 1/2, and the presumed information."""

    one: float
    other: float
    information: float


def sampled_scenes() -> st.SearchStrategy[SampledScene]:
    """Residuals of different size."""
    residual = strategies.fractions(0, 8, 4)
    level = st.sampled_from((1.0, 0.5, 0.0))
    scenes = st.builds(SampledScene, residual, residual, level)
    return scenes.filter(lambda s: s.one != s.other)


def sampled_coefficient(scene: SampledScene) -> float:
    """Var(e^2) / (4 sigma^4), the data's own spread being one."""
    squares = np.array([scene.one, scene.other]) ** 2
    variance = squares.mean() + np.exp(-2 * scene.information)
    return float(squares.var() / (4 * variance**2))


def sampled_excess(scene: SampledScene, size: int) -> tuple[float, float]:
    """Mean over all sampled reconstructions of a batch, less the term at the mean residual."""
    # A column for each number of data that drew the other residual.
    drawn = np.arange(size)[:, None] < np.arange(size + 1)
    x = np.where(np.arange(size) % 2, 1.0, -1.0)[:, None] * np.ones(size + 1)
    term = baggins(x, x + np.where(drawn, scene.other, scene.one), information=scene.information)
    values = -0.5 * (1 + LOG_2PI) - np.asarray(term.log_scale)
    both = x[:2, :1] + np.array([[scene.one], [scene.other]])
    limit = float(baggins(x[:2, :1], both, information=scene.information).value)
    p = binom.pmf(np.arange(size + 1), size, 0.5)
    rounding = gamma(200) * (3 + float(np.abs(values).max())) + gamma(50 * np.log(size)) * float(
        p @ np.abs(values - limit)
    )
    return float(p @ (values - limit)), rounding


def sampled_optimism(
    scene: SampledScene, *, factor: float = 1.0, exponent: float = 2.0
) -> Comparison:
    """The mean excess of sampled reconstructions, in powers of 1 / B."""
    sizes = 32 * 4 ** np.arange(3)
    excess, errors = np.array([sampled_excess(scene, int(b)) for b in sizes]).T
    coefficient = factor * sampled_coefficient(scene)
    return power_law(
        excess,
        errors,
        1 / np.sqrt(sizes),
        exponent=exponent,
        coefficient=coefficient,
        rounding=gamma(100) * coefficient,
    )
