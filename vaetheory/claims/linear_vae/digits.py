"""Check of 12-digits: the best linear VAE of the digits, against probabilistic PCA."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.linear_autoencoder import LinearVAE, linear_vae, linear_vae_optimum
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digits import load
from vaetheory.claims.linear_vae.scenes import ENCODER, covariance_of, mean_log_density
from vaetheory.evidence import log_evidence
from vaetheory.flows.affine import rotation_matrix
from vaetheory.rounding import gamma

# Every so many digits are put through the engine.
_STRIDE = 3


@dataclass(frozen=True)
class DigitUnits:
    """The digits, and the number of latent units."""

    units: int


@dataclass(frozen=True)
class DigitMeasures:
    """Of the digits and the best linear VAE: the spectrum `(64,)`, and means in nats a digit."""

    best: LinearVAE
    spectrum: Array
    density: float
    score: float
    elbos: Array
    elbo_error: float
    evidences: Array
    evidence_error: float
    turned: LinearVAE
    cost: float


@lru_cache(maxsize=2)
def measured(units: int) -> DigitMeasures:
    """The maximum by the library, and the same numbers on other ways; computed once a process."""
    from sklearn.decomposition import PCA

    X = load().images
    best = linear_vae_optimum(X, units)
    some = X[::_STRIDE]
    model = best.model()
    bound = elbo(model, some, best.posterior(some), rtol=1e-10)
    exact = log_evidence(model, some, rtol=1e-10)
    turn = rotation_matrix(np.full(units - 1, np.pi / 6), units)
    M = turn.T @ (best.weight.T @ best.weight) @ turn + best.variance * np.eye(units)
    cost = 0.5 * float(np.log(np.diag(M)).sum() - np.linalg.slogdet(M)[1])
    return DigitMeasures(
        best,
        np.maximum(np.linalg.eigvalsh(covariance_of(X))[::-1], 0.0),
        float(mean_log_density(X, best.weight, best.variance)),
        float(PCA(units, svd_solver="full").fit(X).score(X)),
        bound.value,
        float(bound.error.max()),
        exact.value,
        float(exact.error.max()),
        linear_vae(X, best.weight @ turn, variance=best.variance),
        cost,
    )


def digits_are_ppca(
    instance: DigitUnits,
    *,
    over_all: bool = False,
    unbiased: bool = False,
    turn_costs: bool = True,
    means: bool = False,
) -> Comparison:
    """Compare the best linear VAE of the digits with pPCA: spectrum, density, engine, turns."""
    from scipy.stats import multivariate_normal

    X, d = load().images, instance.units
    found = measured(d)
    best, spectrum = found.best, found.spectrum
    dim = X.shape[1]
    scaled = spectrum * (len(X) / (len(X) - 1) if unbiased else 1.0)
    noise = float(scaled[d:].sum()) / (dim if over_all else dim - d)
    a = scaled[:d]
    log_det = np.log(a).sum() + (dim - d) * np.log(noise)
    value = -0.5 * float(dim * np.log(2 * np.pi) + log_det + dim)
    loc = (X - best.bias) @ best.encoder.T
    second = (loc**2).mean(axis=0) + (0.0 if means else best.posterior_variances)
    condition = float(spectrum[0] / best.variance)
    lost = gamma(10 * dim + len(X)) * condition * (dim + abs(value))
    total = best.weight @ best.weight.T + best.variance * np.eye(dim)
    densities = multivariate_normal.logpdf(X[::_STRIDE], best.bias, total)
    size = abs(value)
    return Comparison.all_of(
        Comparison.identity(
            best.variance, noise, scale=noise, rounding=gamma(10 * dim + len(X)) * spectrum[0] * dim
        ),
        Comparison.identity(
            best.value, value, scale=size, library=best.error, spectrum=lost
        ),
        Comparison.identity(
            best.value, found.density, scale=size, library=best.error, density=lost
        ),
        # The columns are orthogonal: no digit loses anything to the diagonal covariance.
        Comparison.identity(
            found.elbos, found.evidences, scale=size, elbo=found.elbo_error,
            evidence=found.evidence_error,
        ),
        Comparison.identity(
            found.elbos, densities, scale=size, elbo=found.elbo_error, density=lost
        ),
        # scikit-learn's maximum takes the eigenvalues of N - 1, and is a little lower.
        Comparison.at_most(found.score, best.value, scale=size, library=best.error, score=lost),
        Comparison.identity(
            best.value - found.turned.value, found.cost if turn_costs else 0.0, scale=size,
            library=best.error + found.turned.error, cost=lost,
        ),
        Comparison.identity(second, np.ones(d), scale=1.0, rounding=lost / dim),
        findings=(
            f"{d} unit{'s' if d > 1 else ''}: sigma^2 {best.variance:.4f}, ELBO {best.value:.4f} "
            f"nats a digit, {best.value - found.score:.2e} above scikit-learn's score of N - 1; a "
            f"turn by 30 degrees costs {found.cost:.4f}; KL of the units from "
            f"{best.divergences.max():.3f} to {best.divergences.min():.3f}",
        ),
    )  # fmt: skip


DIGITS = Proposition(
    label="12-digits",
    title="On the digits the best linear VAE is probabilistic PCA, turned to the principal axes",
    statement=(
        r"\max\mathrm{ELBO} = \max\tfrac1N\sum_n\log p(x_n) = "
        r"-\tfrac12\Big[D\log 2\pi e + \sum_{j\le d}\log\lambda_j + (D-d)\log\sigma^2\Big],\ "
        r"\mathrm{ELBO}(x_n) = \log p(x_n) \text{ for every digit},\quad "
        r"\mathbb E_n[m_j^2 + \delta_j] = 1"
    ),
    hypotheses=(
        ("the data", r"1797 \text{ digits of } 64 \text{ grey values},\ \sigma^2 \text{ learned}"),
        ENCODER,
    ),
    kind="identity",
    instances=st.sampled_from((DigitUnits(2), DigitUnits(1))),
    check=digits_are_ppca,
    controls=wrong(
        digits_are_ppca,
        {
            "the noise divided by D": {"over_all": True},
            "the eigenvalues of N - 1": {"unbiased": True},
            "a turn that costs nothing": {"turn_costs": False},
            "second moments of the means alone": {"means": True},
        },
    ),
    uses=("12b", "12d", "12f", "12g"),
    examples=2,
)
