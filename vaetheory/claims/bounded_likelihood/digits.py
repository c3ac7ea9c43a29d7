"""Check of 18-digits: how far a VAE of the digits is from the best decoder and prior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory.bounds.any_vae import LikelihoodCertificate, likelihood_certificate
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digit_models import digit_model
from vaetheory.checking.digits import FittedDigits, load
from vaetheory.evidence import log_evidence

# Every so many digits are taken.
_STRIDE = 72


@dataclass(frozen=True)
class CertifiedDigits:
    """The certificate of the fitted VAE, its mean evidence and error, and mixtures of copies."""

    found: LikelihoodCertificate
    evidence: float
    error: float
    at_data: float
    peak: float
    count: int


@lru_cache(maxsize=2)
def certified_digits(noise: float) -> CertifiedDigits:
    """The fitted model's evidences, and what they certify; computed once a process."""
    model, X = digit_model(noise), load().images[::_STRIDE]
    exact = log_evidence(model, X, rtol=1e-8)
    found = likelihood_certificate(model, X, log_evidence=exact.value)
    params = X[:, None]
    each = model.likelihood.log_prob(X[None], params)
    at_data = float(np.log(np.exp(each - each.max()).mean(axis=0)).mean() + each.max())
    return CertifiedDigits(
        found,
        float(exact.value.mean()),
        float(exact.error.mean()),
        at_data,
        float(model.likelihood.greatest_log_prob(X).mean()),
        len(X),
    )


def digits_certified(
    instance: FittedDigits, *, best: bool = False, peak: bool = False, stored: bool = False
) -> Comparison:
    """Check that VAEs which store the digits lie below the ceiling, and the fitted one too."""
    told = certified_digits(instance.noise)
    found = told.found
    size = 1 + abs(told.peak)
    ceiling = told.evidence if best else found.ceiling
    reached = told.peak if peak else told.peak - np.log(told.count)
    return Comparison.all_of(
        Comparison.at_most(told.evidence, ceiling, scale=size, evidence=told.error),
        # One component at each digit.
        Comparison.at_most(told.at_data, ceiling, scale=size, rounding=1e-12 * size),
        Comparison.at_most(reached, ceiling, scale=size, rounding=1e-12 * size),
        Comparison.at_most(
            told.at_data, told.peak - np.log(told.count) if stored else found.reached,
            scale=size, rounding=1e-12 * size,
        ),
        Comparison.at_most(found.reached, ceiling, scale=size, rounding=1e-12 * size),
        Comparison.at_most(ceiling, told.evidence + found.upper, scale=size, evidence=told.error,
                           rounding=1e-12 * size),
        findings=(
            f"{told.count} digits, in nats a digit: a fitted VAE of two latents, with twice its "
            f"noise, has {told.evidence:.2f}; no VAE with this noise has more than "
            f"{found.ceiling:.2f}, a gain of {found.gain:.2f}, and some VAE reaches "
            f"{found.reached:.2f}; the peak of the noise is {told.peak:.2f}, and the VAE's own "
            f"evidences certify a gain of {found.upper:.2f}",
        ),
    )  # fmt: skip


DIGITS = Proposition(
    label="18-digits",
    title="What no VAE with the noise of a fitted one can gain on the digits",
    statement=(
        r"\mathbb E_n\log p(x_n) \le \mathrm{NPMLE} \le \mathrm{ceiling} \le "
        r"\mathbb E_n\log c_n + \log\max_\eta\mathbb E_n\,p(x_n|\eta)/c_n,\quad "
        r"\text{ceiling} \ge -\tfrac D2\log 2\pi\sigma^2 - \log N"
    ),
    hypotheses=(
        (
            "the model",
            r"d = 2,\ \text{a tanh network fitted to the digits, twice the fitted noise}",
        ),
        ("the data", r"25\ \text{digits},\ D = 64,\ c_n \text{ the model's evidences}"),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(2.0)),
    check=digits_certified,
    controls=wrong(
        digits_certified,
        {
            "the fitted VAE is the best": {"best": True},
            "some VAE reaches the peak": {"peak": True},
            "components at the digits do not overlap": {"stored": True},
        },
    ),
    uses=("18b", "18c"),
    figure="bounded-likelihood",
    examples=1,
)
