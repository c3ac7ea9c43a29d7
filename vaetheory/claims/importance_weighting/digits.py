"""Check of 14-digits: exact bounds of up to a million samples for digits, and the encoder's shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.bounds.weight_moments import gaussian_weight_moment
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digit_models import digit_hessians, digit_model
from vaetheory.checking.digits import FittedDigits, load
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence

COUNTS = (1, 2, 3, 10, 100, 1000, 10**4, 10**5, 10**6)
#: The digits that are examined: every so many.
STRIDE = 225


@dataclass(frozen=True)
class Encoded:
    """Bounds of some digits under the full and the diagonal Gaussian at the modes.

    Attributes
    ----------
    full, diagonal : Integral
        L_K for every K of `COUNTS`, `(N, 9)`.
    elbos : tuple of Integral
        The ELBOs of both.
    evidence : Integral
    double : arrays (2, N)
        L_2 of both by a sum over pairs of nodes, and the difference of two such sums.
    correlation : array (N,)
        P_12 / sqrt(P_11 P_22) of the Hessians P.
    ratio : array (N,)
        Log of det diag P / det P.
    moment : array (N,)
        Log E_q wbar^2 of the diagonal q, if the posterior were Gaussian.
    """

    full: Integral
    diagonal: Integral
    elbos: tuple[Integral, Integral]
    evidence: Integral
    double: tuple[Array, Array]
    correlation: Array
    ratio: Array
    moment: Array

    def gaps(self, which: str) -> Array:
        """Log p(x) - L_K in nats, `(N, 9)`."""
        return np.asarray(self.evidence.value[:, None] - getattr(self, which).value)


def _pairs(model_log_joint: Array, own: Array, masses: Array) -> float:
    """E log of the mean of two weights, one at each of two lattices, from logs `(2, M)`."""
    logs = model_log_joint - own
    return float(masses[0] @ (np.logaddexp(logs[0][:, None], logs[1]) @ masses[1]) - np.log(2))


@lru_cache(maxsize=2)
def encoded_digits(noise: float) -> Encoded:
    """All of it, computed once a process."""
    model, X = digit_model(noise), load().images[::STRIDE]
    loc, hessians = (values[::STRIDE] for values in digit_hessians(noise))
    variances = 1 / np.diagonal(hessians, axis1=-2, axis2=-1)
    full = Posterior(loc, cov=np.linalg.inv(hessians))
    both = full, Posterior(loc, scale=np.sqrt(variances))
    bounds = [importance_weighted_bound(model, X, q, list(COUNTS), rtol=1e-7) for q in both]
    y = 0.45 * np.arange(-17, 18)
    double = np.empty((2, 2, len(X)))
    for which, q in enumerate(both):
        for n, (x, m, root) in enumerate(zip(X, loc, q.scale_tril, strict=True)):
            lattices = [
                np.stack(np.meshgrid(y + a, y + b, indexing="ij"), axis=-1).reshape(-1, 2)
                for a, b in ((0.0, 0.1), (0.225, 0.15), (0.12, 0.3))
            ]
            joint = np.array([model.log_joint(x, m + w @ root.T) for w in lattices])
            own = -0.5 * np.array([(w**2).sum(axis=-1) for w in lattices])
            masses = np.exp(own) / np.exp(own).sum(axis=-1, keepdims=True)
            own -= np.log(2 * np.pi) + np.linalg.slogdet(root)[1]
            pairs = [_pairs(joint[p], own[p], masses[p]) for p in ([0, 1], [1, 2])]
            double[which, :, n] = np.mean(pairs), abs(pairs[0] - pairs[1])
    return Encoded(
        bounds[0],
        bounds[1],
        (elbo(model, X, both[0]), elbo(model, X, both[1])),
        log_evidence(model, X, rtol=1e-9),
        (double[:, 0], double[:, 1]),
        hessians[:, 0, 1] * np.sqrt(variances.prod(axis=-1)),
        -np.log(np.linalg.det(hessians) * variances.prod(axis=-1)),
        gaussian_weight_moment(full, both[1], 2),
    )


def digits_weighted(
    instance: FittedDigits,
    *,
    summed: bool = False,
    free: bool = False,
    half: float = 0.5,
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
                value[:, 1], double, scale=size, library=bound.error[:, 1], lattices=spread
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
    # What the diagonal encoder costs, relative to the law of a Gaussian posterior (3d).
    lost = found.full.value[:, 0] - found.diagonal.value[:, 0]
    told = half * found.ratio
    full, diagonal = found.gaps("full"), found.gaps("diagonal")
    # The law is of first order in the gap of the full Gaussian, whose own gap it does not count.
    slack = found.full.error[:, 0] + found.diagonal.error[:, 0]
    cost = 0 * lost if free else lost
    parts += [
        Comparison.identity(cost, told, scale=1 + told, shape=3 * full[:, 0] + slack),
    ]
    infinite = int(np.isinf(found.moment).sum())
    ten = 10 ** np.arange(7)
    rows = [COUNTS.index(int(k)) for k in ten]
    lines = [
        f"K = {COUNTS[r]}: {full[:, r].mean():.3g} and {diagonal[:, r].mean():.3g}" for r in rows
    ]
    return Comparison.all_of(
        *parts,
        findings=(
            f"{len(full)} digits, mean log p(x) - L_K in nats of the full and the diagonal "
            f"encoder: {'; '.join(lines)}. In {infinite} the latents are correlated by at least a "
            f"half, so that the weights of a diagonal encoder would have no variance under a "
            f"Gaussian posterior; the greatest correlation is "
            f"{np.abs(found.correlation).max():.3f}",
        ),
    )


DIGITS = Proposition(
    label="14-digits",
    title="Exact bounds of up to a million samples for digits",
    statement=(
        r"L_1 = \mathrm{ELBO} \le L_2 \le \dots \le L_{10^6} \le \log p(x),\quad "
        r"L_1(\mathrm{full}) - L_1(\mathrm{diagonal}) \approx \tfrac12\log\frac{\prod_jP_{jj}}{\det P}"
    ),
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
        (
            "the encoders",
            r"\mathcal N(m_n, P_n^{-1}),\ \mathcal N(m_n, (\operatorname{diag}P_n)^{-1}) "
            r"\text{ at the modes}",
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
        },
    ),
    uses=("14a", "14d", "3d"),
    figure="importance-weighting",
    resolution=10.0,
    examples=1,
)
