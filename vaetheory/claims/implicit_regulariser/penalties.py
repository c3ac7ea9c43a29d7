"""Checks of 17a, 17b and 17c: the posterior's variance, and what it costs the decoder."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.regulariser import implicit_regulariser
from vaetheory.bounds.stationary import StationaryPosterior
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.rates import extrapolate
from vaetheory.claims.implicit_regulariser.scenes import (
    BETA,
    GAUSSIAN,
    ColumnScene,
    CurveScene,
    best_beta_elbo,
    column_scenes,
    curve_scenes,
)
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_SIGMAS = 0.25 / 2.0 ** np.arange(5)


@once
def smoothed_hessian(scene: CurveScene) -> tuple[StationaryPosterior, float, float]:
    """The best posterior, and E_q[-Hess log p(x|z)] by a lattice, with its error."""
    q, _, _ = best_beta_elbo(scene.decoder, scene.x, scene.noise, scene.beta, 1)
    loc, scale = float(q.loc[0]), float(np.sqrt(q.cov[0, 0]))
    model = LatentModel(scene.decoder, likelihoods.Gaussian(scale=scene.noise), 1)

    def integrand(z: Array) -> Array:
        density = np.exp(-0.5 * ((z[:, 0] - loc) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))
        X = np.broadcast_to(scene.x, (len(z), 2))
        hessian = model.potential_derivatives(X, z)[1][:, 0, 0] - 1
        return np.stack([density * hessian, density * np.abs(hessian)], axis=-1)

    value, error = lattice_integral(
        integrand, np.array([loc - 10 * scale]), np.array([loc + 10 * scale]), step=scale / 8
    )
    return q, float(value[0]), float(error[0] + gamma(500) * value[1])


def stationary_variance(
    scene: CurveScene, *, beta_power: float = -1.0, slope_only: bool = False
) -> Comparison:
    """Check S (I + E_q[-Hess log p] / beta) = I at the best posterior."""
    q, hessian, error = smoothed_hessian(scene)
    variance = float(q.cov[0, 0])
    if slope_only:
        slope = scene.decoder.jacobian(q.loc)[:, 0]
        hessian, error = float(slope @ slope) / scene.noise**2, gamma(100) / scene.noise**2
    factor = scene.beta**beta_power
    shift = np.sqrt(2 * float(q.deficit))
    return Comparison.identity(
        variance * (1 + factor * hessian), 1.0, scale=1.0, lattice=variance * factor * error,
        posterior=4 * shift * (1 + abs(scene.bend) + abs(scene.cubic)) * (1 + variance),
        rounding=gamma(500),
    )  # fmt: skip


STATIONARY_VARIANCE = Proposition(
    label="17a",
    title="The best posterior variance is the inverse of the smoothed Hessian, with 1/beta",
    statement=(
        r"S = \Big(I + \tfrac1\beta\,\mathbb E_q[-\nabla_z^2\log p(x|z)]\Big)^{-1};\quad "
        r"S = \Big(I + \tfrac{1}{\beta\sigma^2}J^\top J\Big)^{-1} \text{ for linear } f"
    ),
    hypotheses=(GAUSSIAN, BETA, ("stationary", r"q = \mathcal N(m, S),\ S \text{ full}")),
    kind="identity",
    instances=curve_scenes(),
    check=stationary_variance,
    controls=wrong(
        stationary_variance,
        {
            "beta for 1 / beta": {"beta_power": 1.0},
            "no beta": {"beta_power": 0.0},
            "the form with J alone": {"slope_only": True},
        },
    ),
    uses=("3b", "4e"),
    figure="implicit-regulariser",
    resolution=1e-3,
    examples=12,
)


def _deterministic(
    scene: CurveScene, noise: float, m: float, *, frobenius: bool, half: float, undivided: bool
) -> float:
    """The right side of 17b at a mean."""
    at = np.array([m])
    J = scene.decoder.jacobian(at)
    away = scene.x - scene.decoder(at)
    penalty = float(
        implicit_regulariser(
            J, variance=noise**2 / (scene.beta if undivided else 1.0), beta=scene.beta
        )
    )
    if frobenius:
        # That of S = sigma^2 I (4c).
        penalty = 0.5 * float((J**2).sum())
    square = float(away @ away) / (2 * noise**2)
    return float(-square - np.log(2 * np.pi * noise**2) - scene.beta * m**2 / 2 - half * penalty)


@once
def best_elbos(scene: CurveScene) -> tuple[Array, Array]:
    """The best beta-ELBO at each sigma, and errors."""
    found = [best_beta_elbo(scene.decoder, scene.x, float(s), scene.beta, 1) for s in _SIGMAS]
    return np.array([f[1] for f in found]), np.array([f[2] for f in found])


def log_det_penalty(
    scene: CurveScene, *, frobenius: bool = False, half: float = 1.0, undivided: bool = False
) -> Comparison:
    """Check that the best beta-ELBO tends to that of an auto-encoder with a penalty."""
    values, errors = best_elbos(scene)
    predicted = []
    for noise in _SIGMAS:

        def loss(m: float, noise: float = float(noise)) -> float:
            return -_deterministic(
                scene, noise, m, frobenius=frobenius, half=half, undivided=undivided
            )

        ends = (scene.z0 - 2 * noise, scene.z0 + 2 * noise)
        best = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-9})
        predicted.append(-float(best.fun))
    difference = values - np.array(predicted)
    # The maximum is known to the square of the search's tolerance times its curvature.
    lost = errors + 1e-17 / _SIGMAS**2 + gamma(500) * (1 + np.abs(values))
    limit, left, noise_error = extrapolate(difference, lost)
    return Comparison.identity(
        limit, 0.0, scale=1 + float(np.abs(values).max()), expansion=left, numerics=noise_error
    )


LOG_DET_PENALTY = Proposition(
    label="17b",
    title="The noise penalises the log determinant of the metric, and not its trace",
    statement=(
        r"x = f(z_0):\quad \max_{m,S}\mathrm{ELBO}_\beta = \max_m\Big[-\tfrac{1}{2\sigma^2}"
        r"\|x - f(m)\|^2 - \tfrac D2\log 2\pi\sigma^2 - \tfrac\beta2\|m\|^2 - "
        r"\tfrac\beta2\log\det\big(I + \tfrac{1}{\beta\sigma^2}J^\top J\big)\Big] + O(\sigma^2)"
    ),
    hypotheses=(
        GAUSSIAN,
        BETA,
        ("immersion", r"f \text{ injective},\ J \text{ of full rank},\ S \text{ unrestricted}"),
    ),
    kind="identity",
    instances=curve_scenes(),
    check=log_det_penalty,
    controls=wrong(
        log_det_penalty,
        {
            "a Frobenius penalty, with a fixed S": {"frobenius": True},
            "without the factor 1/2": {"half": 2.0},
            "sigma^2 not multiplied by beta": {"undivided": True},
        },
    ),
    uses=("3f", "17a"),
    figure="implicit-regulariser",
    resolution=1e-2,
    examples=8,
)


@once
def linear_elbos(scene: ColumnScene) -> tuple[tuple[float, float], tuple[float, float]]:
    """The best beta-ELBO of a linear decoder with a full and a diagonal S, each with an error."""
    decoder = decoders.Affine(scene.W)
    full, diagonal = (
        best_beta_elbo(decoder, np.array(scene.x), scene.noise, scene.beta, 2, structure)
        for structure in ("full", "diagonal")
    )
    return (full[1], full[2]), (diagonal[1], diagonal[2])


def diagonal_penalty(
    scene: ColumnScene, *, unit_columns: bool = False, reverse: bool = False, full: bool = False
) -> Comparison:
    """Compare the best ELBOs of linear decoders with both penalties, and the penalties in order."""
    found = linear_elbos(scene)
    W, x, beta, noise = scene.W, np.array(scene.x), scene.beta, scene.noise
    m = np.linalg.solve(W.T @ W + beta * noise**2 * np.eye(2), W.T @ x)
    fit = float(((x - W @ m) ** 2).sum()) / (2 * noise**2) + beta * float(m @ m) / 2
    fit += 1.5 * float(np.log(2 * np.pi * noise**2))
    penalties = np.array(
        [float(implicit_regulariser(W, variance=noise**2, beta=beta, structure=s))
         for s in ("full", "diagonal")]
    )  # fmt: skip
    if full:
        penalties[1] = penalties[0]
    condition = 1 + float((W**2).sum()) / (beta * noise**2)
    lost = gamma(2000) * condition * (1 + abs(fit) + penalties)
    size = 1 + abs(fit) + penalties
    # The closed form of two columns: the determinant lacks the square of their product.
    squares = (W**2).sum(axis=0) / (beta * noise**2)
    off = float(W[:, 0] @ W[:, 1]) / (beta * noise**2)
    gap = -beta / 2 * float(np.log1p(-(off**2) / np.prod(1 + squares)))
    order = penalties if not reverse else penalties[::-1]
    values, errors = np.array(found).T
    return Comparison.all_of(
        Comparison.identity(
            values, -fit - penalties, scale=size, elbo=errors, closed_form=lost
        ),
        Comparison.identity(
            penalties[1] - penalties[0], 0.0 if unit_columns else gap, scale=size.max(),
            rounding=lost.max(),
        ),
        Comparison.at_most(order[0], order[1], scale=size.max(), rounding=lost.max()),
    )  # fmt: skip


DIAGONAL_PENALTY = Proposition(
    label="17c",
    title="With a diagonal covariance the penalty is larger, unless the columns are orthogonal",
    statement=(
        r"S \text{ diagonal}:\ \tfrac\beta2\sum_k\log\Big(1 + \frac{\|\partial_kf\|^2}"
        r"{\beta\sigma^2}\Big) \ge \tfrac\beta2\log\det\Big(I + \frac{J^\top J}{\beta\sigma^2}\Big)"
        r",\quad \text{equality iff the columns of } J \text{ are orthogonal}"
    ),
    hypotheses=(GAUSSIAN, BETA, ("linear decoder", r"f(z) = Wz,\ J = W")),
    kind="identity",
    instances=column_scenes(),
    check=diagonal_penalty,
    controls=wrong(
        diagonal_penalty,
        {
            "equality whatever the columns": {"unit_columns": True},
            "the other order": {"reverse": True},
            "the full penalty for a diagonal S": {"full": True},
        },
    ),
    uses=("3d", "17b"),
    examples=12,
)
