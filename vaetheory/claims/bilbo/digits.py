"""Claim 6 on real data: the forms of BILBO on digits, beside their exact log evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from hypothesis import strategies as st

from vaetheory import decoders
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds import FORMS, bilbo
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking.claim import Control, Proposition
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.digits import FittedDigits, load
from vaetheory.claims.constant_variance.digits import digit_hessians, digit_model
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

# A batch of every third digit: 599 of them, with the exact evidence of each under three priors.
_STRIDE = 3


@dataclass(frozen=True)
class DigitBounds:
    """What 6-digits compares: a row a form of BILBO, in the order of `FORMS`; nats a digit.

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
    """Means at the modes, the best constant deviations; computed once a process."""
    model, X = digit_model(noise), load().images[::_STRIDE]
    loc, hessians = (values[::_STRIDE] for values in digit_hessians(noise))
    scale = np.sqrt(np.diag(constant_variance_penalty(hessians).cov))
    cov = np.broadcast_to(np.diag(scale**2), (len(X), 2, 2))
    terms = gaussian_expectation(
        lambda z, rows: model.log_likelihood(X[rows, None], z), loc, cov, rtol=1e-7
    )
    rows = []
    for form in FORMS:
        prior = bilbo(terms.value, loc, scale, form)
        root = np.linalg.cholesky(prior.prior_cov)
        inner = decoders.Reparametrised(model.decoder, root, prior.prior_loc)
        rescaled = LatentModel(inner, model.likelihood, 2)
        inverse = np.linalg.inv(root)
        turned = inverse @ cov[0] @ inverse.T
        q = Posterior((loc - prior.prior_loc) @ inverse.T, cov=(turned + turned.T) / 2)
        bound, evidence = elbo(rescaled, X, q, rtol=1e-9), log_evidence(rescaled, X, rtol=1e-8)
        found = (bound.value, bound.error, evidence.value, evidence.error)
        rows.append([float(v.mean()) for v in found])
    gauge, gauge_error, exact, exact_error = np.array(rows).T
    return DigitBounds(
        terms.value, float(terms.error.mean()), loc, scale, gauge, gauge_error, exact, exact_error
    )


def digit_forms(
    instance: FittedDigits, *, share: float = 1.0, power: float = 1.0, order: float = 1.0
) -> Comparison:
    """Each form is the rescaled model's ELBO, below its evidence; the forms stand in order."""
    found = digit_bounds(instance.noise)
    bounds = [bilbo(found.terms, found.loc, found.scale**power, form) for form in FORMS]
    information = np.array([share * float(b.information) for b in bounds])
    values = found.terms.mean() - information
    size = float(np.abs(found.terms).mean())
    rounding = gamma(100) * size
    told = "; ".join(
        f"{form} {value:.4f} (information {bits:.4f}, evidence {exact:.4f})"
        for form, value, bits, exact in zip(FORMS, values, information, found.evidence, strict=True)
    )
    return Comparison.all_of(
        Comparison.identity(
            values,
            found.gauge,
            scale=size,
            terms=found.terms_error,
            elbo=found.gauge_error,
            rounding=rounding,
        ),
        Comparison.at_most(
            values,
            found.evidence,
            scale=size,
            terms=found.terms_error,
            evidence=found.evidence_error,
            rounding=rounding,
        ),
        Comparison.at_most(0.0, order * np.diff(values), scale=size, rounding=rounding),
        findings=(f"every third digit, BILBO in nats a digit: {told}",),
    )


BILBO = Proposition(
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
    controls=(
        Control("half the information", partial(digit_forms, share=0.5)),
        Control("variances for deviations", partial(digit_forms, power=2.0)),
        Control("the forms in reverse", partial(digit_forms, order=-1.0)),
    ),
    uses=("6b", "6c", "6d"),
    figure="digits",
    examples=1,
)
