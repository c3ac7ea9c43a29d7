"""Check of 14-digits: exact bounds of up to a million samples for digits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory._quadrature.result import Integral
from vaetheory._quadrature.shifted_lattices import SAFETY
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digit_models import digit_hessians, digit_model
from vaetheory.checking.digits import FittedDigits, load
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma

COUNTS = (1, 2, 3, 10, 100, 1000, 10**4, 10**5, 10**6)
_REACH = 8.2
#: The digits that are examined: every so many.
STRIDE = 400


@dataclass(frozen=True)
class Encoded:
    """Bounds of some digits under the full and the diagonal Gaussian of the greatest ELBO.

    Attributes
    ----------
    posteriors : tuple of Posterior
        The full and the diagonal Gaussian of each digit.
    full, diagonal : Integral
        L_K for every K of `COUNTS`, `(N, 9)`.
    elbos : tuple of Integral
        The ELBOs of both.
    evidence : Integral
    double : arrays (2, N)
        L_2 of both by sums over pairs of nodes, and a multiple of the spread of three of them.
    correlation : array (N,)
        P_12 / sqrt(P_11 P_22) of the precisions P of the full Gaussians.
    short : array (N,)
        How far both ELBOs may be from stationary ones, in nats.
    """

    posteriors: tuple[Posterior, Posterior]
    full: Integral
    diagonal: Integral
    elbos: tuple[Integral, Integral]
    evidence: Integral
    double: tuple[Array, Array]
    correlation: Array
    short: Array

    def gaps(self, which: str) -> Array:
        """Log p(x) - L_K in nats, `(N, 9)`."""
        return np.asarray(self.evidence.value[:, None] - getattr(self, which).value)


def _pairs(model_log_joint: Array, own: Array, masses: Array) -> float:
    """E log of the mean of two weights, one at each of two lattices, from logs `(2, M)`."""
    (a, b), (p, q) = model_log_joint - own, masses
    pairs = np.logaddexp(a[p > 0][:, None], b[q > 0])
    return float(p[p > 0] @ (pairs @ q[q > 0]) - np.log(2))


@lru_cache(maxsize=2)
def encoded_digits(noise: float) -> Encoded:
    """All of it, computed once a process."""
    model, X = digit_model(noise), load().images[::STRIDE]
    start, hessians = (values[::STRIDE] for values in digit_hessians(noise))
    first = Posterior(start, cov=np.linalg.inv(hessians))
    found = stationary_posterior(model, X, start=first, rtol=1e-6)
    other = stationary_posterior(model, X, structure="diagonal", start=found, rtol=1e-6)
    both = Posterior(found.loc, cov=found.cov), Posterior(other.loc, cov=other.cov)
    bounds = [importance_weighted_bound(model, X, q, list(COUNTS), rtol=1e-7) for q in both]
    y = 0.45 * np.arange(-19, 20)
    double = np.empty((2, 2, len(X)))
    for which, q in enumerate(both):
        for n, (x, m, root) in enumerate(zip(X, q.loc, q.scale_tril, strict=True)):
            lattices = [
                np.stack(np.meshgrid(y + a, y + b, indexing="ij"), axis=-1).reshape(-1, 2)
                for a, b in ((0.0, 0.1), (0.225, 0.15), (0.12, 0.3))
            ]
            joint = np.array([model.log_joint(x, m + w @ root.T) for w in lattices])
            own = -0.5 * np.array([(w**2).sum(axis=-1) for w in lattices])
            # Beyond 8.2 standard deviations is less than 1e-14 of the mass.
            masses = np.where(own > -0.5 * _REACH**2, np.exp(own), 0.0)
            masses /= masses.sum(axis=-1, keepdims=True)
            own -= np.log(2 * np.pi) + np.linalg.slogdet(root)[1]
            pairs = [_pairs(joint[p], own[p], masses[p]) for p in ([0, 1], [1, 2], [0, 2])]
            double[which, :, n] = np.mean(pairs), SAFETY[2] * np.ptp(pairs)
    P = np.linalg.inv(both[0].cov)
    return Encoded(
        both,
        bounds[0],
        bounds[1],
        (elbo(model, X, both[0]), elbo(model, X, both[1])),
        log_evidence(model, X, rtol=1e-9),
        (double[:, 0], double[:, 1]),
        P[:, 0, 1] / np.sqrt(P[:, 0, 0] * P[:, 1, 1]),
        found.error + other.error,
    )


def digits_weighted(
    instance: FittedDigits,
    *,
    summed: bool = False,
    free: bool = False,
    half: bool = True,
) -> Comparison:
    """Compare the bounds with the ELBO, pairs of nodes and the evidence, and both encoders."""
    found = encoded_digits(instance.noise)
    parts, size = [], np.abs(found.evidence.value)
    for which, (bound, one) in enumerate(
        zip((found.full, found.diagonal), found.elbos, strict=True)
    ):
        value = bound.value + (np.log(COUNTS) if summed else 0.0)
        double, spread = found.double[0][which], found.double[1][which]
        parts += [
            Comparison.identity(
                value[:, 0], one.value, scale=size, library=bound.error[:, 0], elbo=one.error
            ),
            Comparison.identity(
                value[:, 1], double, scale=size, library=bound.error[:, 1], lattices=spread,
                rounding=gamma(100) * size,
            ),
            Comparison.at_most(
                value[:, :-1], value[:, 1:], scale=1.0, library=bound.error[:, 1:],
                previous=bound.error[:, :-1],
            ),
            Comparison.at_most(
                value, found.evidence.value[:, None], scale=1.0, library=bound.error,
                evidence=found.evidence.error[:, None],
            ),
        ]  # fmt: skip
    # The family of full Gaussians is the larger one.
    lost = found.full.value[:, 0] - found.diagonal.value[:, 0]
    slack = found.full.error[:, 0] + found.diagonal.error[:, 0] + found.short
    full, diagonal = found.gaps("full"), found.gaps("diagonal")
    parts += [
        Comparison.at_most(0.0, lost, scale=1.0, library=slack),
        Comparison.at_most(lost if free else -lost, 0.0, scale=1.0, library=slack),
    ]
    # Of a decoder with bounded outputs, 14d-bounded: narrower than that there is no variance.
    widest = [np.linalg.eigvalsh(q.cov)[:, 0].max() for q in found.posteriors]
    parts += [Comparison.at_most(widest, 0.5 if half else 0.0, scale=1.0, exact=0.0)]
    correlated = int((np.abs(found.correlation) >= 0.5).sum())
    ten = 10 ** np.arange(7)
    rows = [COUNTS.index(int(k)) for k in ten]
    lines = [
        f"K = {COUNTS[r]}: {full[:, r].mean():.3g} and {diagonal[:, r].mean():.3g}" for r in rows
    ]
    return Comparison.all_of(
        *parts,
        findings=(
            f"{len(full)} digits, mean log p(x) - L_K in nats of the full and the diagonal "
            f"encoder: {'; '.join(lines)}. The greatest variance of a posterior in its narrowest "
            f"direction is {max(widest):.3g}, so that no weights have a variance (14d-bounded); in "
            f"{correlated} digits the latents are correlated by at least a half (14d)",
        ),
    )


DIGITS = Proposition(
    label="14-digits",
    title="Exact bounds of up to a million samples for digits",
    statement=(
        r"L_1 = \mathrm{ELBO} \le L_2 \le \dots \le L_{10^6} \le \log p(x),\quad "
        r"L_1(\mathrm{full}) \ge L_1(\mathrm{diagonal}),\quad \operatorname{Var}_q\bar w = \infty"
    ),
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
        (
            "the encoders",
            r"\text{the full and the diagonal Gaussian of the greatest ELBO, digit by digit}",
        ),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(1.0)),
    check=digits_weighted,
    controls=wrong(
        digits_weighted,
        {
            "the log of a sum": {"summed": True},
            "a diagonal encoder costs nothing": {"free": True},
            "posteriors have no width": {"half": False},
        },
    ),
    uses=("14a", "14d", "14d-bounded"),
    resolution=1e-4,
    figure="importance-weighting",
    examples=1,
)
