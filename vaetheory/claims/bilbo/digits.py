"""Check of 6-digits: the forms of BILBO on digits and their exact log evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds import FORMS, bilbo
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.batches import rescaled_model, rescaled_posterior
from vaetheory.checking.digit_models import digit_hessians, digit_model
from vaetheory.checking.digits import FittedDigits, load
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma

# The batch is every third digit, 599 of them; each has its exact evidence under three priors.
_STRIDE = 3


@dataclass(frozen=True)
class DigitBounds:
    """What 6-digits compares, one row for each of `FORMS`, in nats per digit.

    `gauge` is the ELBO of the rescaled model, `evidence` its mean log evidence.
    """

    terms: Array
    terms_error: float
    loc: Array
    scale: Array
    gauge: Array
    gauge_error: Array
    evidence: Array
    evidence_error: Array


@lru_cache(maxsize=4)
def digit_bounds(noise: float) -> DigitBounds:
    """Bounds with means at the modes and the best constant deviations; computed once a process."""
    model, X = digit_model(noise), load().images[::_STRIDE]
    loc, hessians = (values[::_STRIDE] for values in digit_hessians(noise))
    scale = np.sqrt(np.diag(constant_variance_penalty(hessians).cov))
    cov = np.broadcast_to(np.diag(scale**2), (len(X), 2, 2))
    terms = gaussian_expectation(
        lambda z, rows: model.log_likelihood(X[rows, None], z), loc, cov, rtol=1e-7
    )
    rows = []
    for form in FORMS:
        prior = bilbo(terms.value, loc, scale, form=form)
        rescaled = rescaled_model(model, prior.prior_loc, prior.prior_cov)
        q = rescaled_posterior(loc, scale, prior.prior_loc, prior.prior_cov)
        bound, evidence = elbo(rescaled, X, q, rtol=1e-9), log_evidence(rescaled, X, rtol=1e-8)
        figures = (bound.value, bound.error, evidence.value, evidence.error)
        rows.append([float(v.mean()) for v in figures])
    gauge, gauge_error, exact, exact_error = np.array(rows).T
    return DigitBounds(
        terms.value, float(terms.error.mean()), loc, scale, gauge, gauge_error, exact, exact_error
    )


def digit_forms(
    instance: FittedDigits, *, share: float = 1.0, power: float = 1.0, order: float = 1.0
) -> Comparison:
    """Check each form against ELBO and evidence of the rescaled model, and the forms' order."""
    exact = digit_bounds(instance.noise)
    bounds = [bilbo(exact.terms, exact.loc, exact.scale**power, form=form) for form in FORMS]
    information = np.array([share * float(b.information) for b in bounds])
    values = exact.terms.mean() - information
    size = float(np.abs(exact.terms).mean())
    rounding = gamma(100) * size
    values_by_form = "; ".join(
        f"{form} {value:.4f} (information {bits:.4f}, evidence {evidence:.4f})"
        for form, value, bits, evidence in zip(
            FORMS, values, information, exact.evidence, strict=True
        )
    )
    return Comparison.all_of(
        Comparison.identity(
            values,
            exact.gauge,
            scale=size,
            terms=exact.terms_error,
            elbo=exact.gauge_error,
            rounding=rounding,
        ),
        Comparison.at_most(
            values,
            exact.evidence,
            scale=size,
            terms=exact.terms_error,
            evidence=exact.evidence_error,
            rounding=rounding,
        ),
        Comparison.at_most(0.0, order * np.diff(values), scale=size, rounding=rounding),
        findings=(f"every third digit, BILBO in nats per digit: {values_by_form}",),
    )


FORMS_ON_DIGITS = Proposition(
    label="6-digits",
    title="On 599 digits the forms of BILBO stand in order, below the exact evidence",
    statement=(
        r"\mathrm{BILBO}_{\mathrm{diagonal}} \le \mathrm{BILBO}_{\mathrm{centred}}"
        r" \le \mathrm{BILBO}_{\mathrm{full}},\quad "
        r"\mathrm{BILBO} \le \tfrac1N\sum_n\log p_v(x_n)"
    ),
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
        ("constant deviations", r"m(x_n) \text{ the modes},\ s^2 = \operatorname{diag}\bar A^{-1}"),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(1.0)),
    check=digit_forms,
    controls=wrong(
        digit_forms,
        {
            "half the information": {"share": 0.5},
            "variances for deviations": {"power": 2.0},
            "the forms in reverse": {"order": -1.0},
        },
    ),
    uses=("6b", "6c", "6d"),
    figure="digits",
    examples=1,
)
