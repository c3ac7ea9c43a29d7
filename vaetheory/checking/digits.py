"""The claims on real data: the 1,797 handwritten digits that scikit-learn carries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from vaetheory import _gaussians, decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking.claim import Control, Proposition
from vaetheory.checking.comparison import Comparison
from vaetheory.decoders import Decoder
from vaetheory.encoders import AggregatePosterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma

_WIDTH = 32


@dataclass(frozen=True)
class Digits:
    """Images `(1797, 64)` with grey values 0 to 16, their labels, and two-dimensional codes."""

    images: Array
    labels: Array
    codes: Array


@lru_cache(maxsize=1)
def load() -> Digits:
    """The digits with codes of unit variance along their first two principal axes.

    Raises
    ------
    RuntimeError
        If scikit-learn, an extra, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise RuntimeError(
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


# 2-digits ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DigitEncoder:
    """The digits' encoder of constant standard deviation s, and where f* is looked at."""

    s: float
    z: tuple[float, float]


def digit_encoders() -> st.SearchStrategy[DigitEncoder]:
    """Posterior deviations from 1/8 to 1, and points of the latent space."""
    entry = st.integers(-6, 6).map(lambda k: k / 4)
    return st.builds(
        DigitEncoder, st.sampled_from((1.0, 0.5, 0.25, 0.125)), st.tuples(entry, entry)
    )


@lru_cache(maxsize=4)
def _slopes_at_codes(s: float) -> Array:
    """Spectral norms of the Jacobian of f* at every code: the long part, once for each s."""
    digits = load()
    f = OptimalDecoder(digits.images, AggregatePosterior(digits.codes, scale=s))
    return np.linalg.norm(f.jacobian(digits.codes), ord=2, axis=(-2, -1))


def digit_slopes(
    instance: DigitEncoder, *, weighted: bool = True, power: float = -2.0, factor: float = 0.25
) -> Comparison:
    """Jacobian of f* at every code: below the bound; and equal to a complex-step derivative."""
    digits, s, z = load(), instance.s, np.array(instance.z)
    encoder = AggregatePosterior(digits.codes, scale=s)
    f = OptimalDecoder(digits.images, encoder)
    bound = factor * pdist(digits.images).max() * pdist(digits.codes).max() * s**power
    slopes = _slopes_at_codes(s)

    def direct(point: Array) -> Array:
        exponents = -((point - digits.codes) ** 2).sum(axis=-1) / (2 * s**2)
        w = np.exp(exponents - exponents.real.max())
        if not weighted:
            w = 1 + 0 * w
        return (w @ digits.images) / w.sum()

    derivative = np.stack([direct(z + 1e-30j * e).imag / 1e-30 for e in np.eye(2)], axis=-1)
    size = 16 * (np.linalg.norm(z) + np.linalg.norm(digits.codes, axis=-1).max()) / s**2
    exponent = ((np.abs(z) + 4) ** 2).sum() / s**2
    steepest = int(slopes.argmax())
    found = (
        f"digits, s = {s:g}: the steepest slope at a code is {slopes.max():.1f} grey values a unit "
        f"(datum {steepest}, a {digits.labels[steepest]}), {slopes.max() / bound:.1%} of the bound "
        f"{bound:.0f}"
    )
    return Comparison.all_of(
        Comparison.at_most(slopes.max(), bound, scale=bound, rounding=gamma(1e4) * bound),
        Comparison.identity(
            f.jacobian(z),
            derivative,
            scale=size,
            weights=gamma(100 + 10 * exponent) * size,
            rounding=gamma(100 + np.log2(len(digits.codes))) * size,
        ),
        findings=(found,),
    )


SMOOTH_DECODER = Proposition(
    label="2-digits",
    title="On 1,797 digits the closed-form decoder keeps its slope bound",
    statement=(
        r"\|J^*(m(x_n))\| \le \tfrac14\,\mathrm{diam}(X)\,\mathrm{diam}(m(X))/s^2"
        r"\text{ for every digit},\quad J^* = \partial f^*"
    ),
    hypotheses=(("constant covariance", r"S = s^2 I,\ m \text{ the first two principal axes}"),),
    kind="inequality",
    instances=digit_encoders(),
    check=digit_slopes,
    controls=(
        Control("diam m(X) for diam S^-1 m(X)", partial(digit_slopes, power=0.0)),
        Control("a sixtieth for a quarter", partial(digit_slopes, factor=1 / 60)),
        Control("the unweighted mean", partial(digit_slopes, weighted=False)),
    ),
    uses=("2a", "2c"),
    examples=4,
)


# 3-digits ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FittedDigits:
    """The fitted model, looked at with its noise scaled by a factor."""

    noise: float


@dataclass(frozen=True)
class DigitGaps:
    """Log evidence by two routes and stationary ELBO of every digit, with error figures."""

    evidence: Array
    evidence_error: Array
    lattice: Array
    lattice_error: Array
    elbo: Array
    elbo_error: Array


_RADIUS, _STEP = 16.0, 0.1


def _lattice_evidence(
    decoder: Decoder, likelihood: likelihoods.Gaussian, X: Array
) -> tuple[Array, Array]:
    """Log evidence of all data from two plain lattices half a step apart, and their difference."""
    side = np.arange(-_RADIUS, _RADIUS, _STEP)
    white = likelihood.whiten(X)
    square = 0.5 * (white**2).sum(axis=-1)
    sums = []
    for offset in (0.0, _STEP / 2):
        grid = np.stack([g.ravel() for g in np.meshgrid(side + offset, side + offset)], axis=-1)
        grid = grid[(grid**2).sum(axis=-1) < _RADIUS**2]
        params = likelihood.whiten(decoder(grid))
        fixed = _gaussians.standard_log_prob(grid) - 0.5 * (params**2).sum(axis=-1)
        total = np.empty(len(X))
        for i in range(0, len(X), 100):
            exponent = white[i : i + 100] @ params.T + fixed
            top = exponent.max(axis=-1, keepdims=True)
            kept = np.exp(np.maximum(exponent - top, -100)).sum(axis=-1)
            total[i : i + 100] = top[:, 0] + np.log(kept)
        sums.append(total - square + 2 * np.log(_STEP))
    peak = likelihood.log_peak(X.shape[1])
    value = np.logaddexp(*sums) - np.log(2) + peak
    # Outside the disc there is at most the prior's tail times the likelihood's peak.
    tail = np.exp(-0.5 * _RADIUS**2 + peak - value)
    # The squares are expanded here, which costs rounding of their size.
    return value, np.abs(sums[0] - sums[1]) + gamma(300) * square + tail


@lru_cache(maxsize=4)
def digit_gaps(noise: float) -> DigitGaps:
    """Everything 3-digits needs, computed once a process."""
    (decoder, scale), X = fitted_decoder(), load().images
    likelihood = likelihoods.Gaussian(scale=noise * scale)
    model = LatentModel(decoder, likelihood, 2)
    evidence = log_evidence(model, X)
    lattice, lattice_error = _lattice_evidence(decoder, likelihood, X)
    best = stationary_posterior(model, X, rtol=1e-7)
    return DigitGaps(evidence.value, evidence.error, lattice, lattice_error, best.value, best.error)


def digit_evidence(
    instance: FittedDigits, *, gap: float = 1.0, shift: float = 0.0, excess: float = 0.0
) -> Comparison:
    """Every digit: two routes to the evidence agree, and the stationary ELBO lies below."""
    labels = load().labels
    found = digit_gaps(instance.noise)
    gaps = found.evidence - found.elbo
    widest = int(gaps.argmax())
    scale = np.abs(found.evidence)
    told = (
        f"digits, 2-d latent, exact evidence of all {len(gaps)}: mean gap to the best Gaussian's "
        f"ELBO {gaps.mean():.4f} nats, largest {gaps.max():.4f} (datum {widest}, a "
        f"{labels[widest]}), smallest {gaps.min():.4f}; mean log evidence "
        f"{found.evidence.mean():.3f}",
    )
    return Comparison.all_of(
        Comparison.identity(
            found.evidence + shift,
            found.lattice,
            scale=scale,
            cells=found.evidence_error,
            lattice=found.lattice_error,
        ),
        Comparison.at_most(
            gap * found.elbo + excess,
            gap * found.evidence,
            scale=scale,
            evidence=found.evidence_error,
            elbo=found.elbo_error,
        ),
        findings=told,
    )


STATIONARY_EVIDENCE = Proposition(
    label="3-digits",
    title="The exact evidence of every digit lies above its best Gaussian's ELBO",
    statement=r"\mathrm{ELBO}(x_n) \le \log p(x_n) \text{ for each of 1,797 digits}",
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(1.0)),
    check=digit_evidence,
    controls=(
        Control("the evidence below the ELBO", partial(digit_evidence, gap=-1.0)),
        Control("half a log 2 pi too many", partial(digit_evidence, shift=_gaussians.LOG_2PI / 2)),
        Control("one nat too many in the ELBO", partial(digit_evidence, excess=1.0)),
    ),
    uses=("3a", "3b"),
    figure="stationary-evidence",
    examples=1,
)
