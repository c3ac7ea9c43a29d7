"""Claim 5 on real data: what one covariance for all 1,797 digits costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from hypothesis import strategies as st

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.claims.claim import Certificate, Control, Proposition
from vaetheory.claims.digits import FittedDigits, digit_gaps, fitted_decoder, load
from vaetheory.constant_variance import (
    Penalty,
    constant_variance_penalty,
    log_specht_ratio,
    mode_hessians,
)
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma
from vaetheory.stationary import StationaryPosterior, stationary_posterior


@dataclass(frozen=True)
class DigitPenalties:
    """Hessians at the modes of all digits, their penalty, and the best shared posterior."""

    hessians: Array
    penalty: Penalty
    shared: StationaryPosterior


@lru_cache(maxsize=4)
def digit_penalties(noise: float) -> DigitPenalties:
    """Everything 5-digits needs beside `digit_gaps`, computed once a process."""
    (decoder, scale), X = fitted_decoder(), load().images
    model = LatentModel(decoder, likelihoods.Gaussian(scale=noise * scale), 2)
    hessians = mode_hessians(model, X, posterior_mode(model, X))
    shared = stationary_posterior(model, X, structure="shared", rtol=1e-7)
    return DigitPenalties(hessians, constant_variance_penalty(hessians), shared)


def _log_det_gap(hessians: Array, *, harmonic: bool = False) -> float:
    """1/2 (log det E[A] - E[log det A]) by plain log determinants."""
    mean = hessians.mean(axis=0)
    if harmonic:
        mean = np.linalg.inv(np.linalg.inv(hessians).mean(axis=0))
    return 0.5 * float(np.linalg.slogdet(mean)[1] - np.linalg.slogdet(hessians)[1].mean())


def digit_penalty(
    instance: FittedDigits, *, harmonic: bool = False, shift: float = 0.0, trim: float = 0.0
) -> Certificate:
    """The penalty by two routes, below Specht's bound; the shared ELBO below the free one.

    `trim` leaves out that share of the most extreme eigenvalues on either side of the bound.
    """
    digits, found = digit_gaps(instance.noise), digit_penalties(instance.noise)
    penalty, A = found.penalty, found.hessians
    d = A.shape[-1]
    value = float(penalty.value)
    spectra = np.linalg.eigvalsh(A)
    low, high = np.quantile(spectra, [trim, 1 - trim])
    specht = 0.5 * d * float(log_specht_ratio(high / low))
    # Each log determinant is that of a well-conditioned matrix of this size.
    size = float(np.abs(np.linalg.slogdet(A)[1]).mean()) + d
    rounding = gamma(20 * d**2 + np.log2(len(A))) * float(spectra.max() / spectra.min()) * size
    exact = digits.elbo - found.shared.value
    exact_error = float((digits.elbo_error + found.shared.error).mean())
    s = np.sqrt(np.diag(penalty.cov))
    told = (
        f"digits, second order: eigenvalues of the Hessians from {spectra.min():.1f} to "
        f"{spectra.max():.1f} (h = {float(penalty.ratio):.0f}); the best constant deviations are "
        f"{s[0]:.3f} and {s[1]:.3f}; they cost {value:.3f} nats a digit, small-variation "
        f"approximation {float(penalty.second_order):.3f}, Specht bound {specht:.3f}",
        f"digits, exact ELBO: one covariance for all costs {exact.mean():.3f} nats a digit, of "
        f"{digits.elbo.mean():.1f}",
    )
    return Certificate.all_of(
        Certificate.identity(
            value,
            _log_det_gap(A, harmonic=harmonic),
            scale=size,
            penalty=penalty.error,
            rounding=rounding,
        ),
        Certificate.at_most(value, specht, scale=size, penalty=penalty.error, rounding=rounding),
        Certificate.at_most(
            found.shared.value.mean() + shift,
            digits.elbo.mean(),
            scale=abs(float(digits.elbo.mean())),
            elbo=exact_error,
        ),
        findings=told,
    )


CONSTANT_VARIANCE = Proposition(
    label="5-digits",
    title="One covariance for 1,797 digits costs a third of a nat a digit, far below Specht's bound",
    statement=(
        r"\tfrac12(\log\det\mathbb E[A] - \mathbb E[\log\det A]) \le"
        r" \tfrac d2\log\mathrm{Specht}(h),\quad"
        r"\max_{S}\mathrm{ELBO}(S) \le \max_{S_n}\mathrm{ELBO}(S_1, \dots, S_N)"
    ),
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(1.0)),
    check=digit_penalty,
    controls=(
        Control("the harmonic mean of A", partial(digit_penalty, harmonic=True)),
        Control("the shared ELBO half a nat higher", partial(digit_penalty, shift=0.5)),
        Control("h without a quarter of either tail", partial(digit_penalty, trim=0.25)),
    ),
    uses=("5a", "5c", "3-digits"),
    figure="constant-variance",
    examples=1,
)
