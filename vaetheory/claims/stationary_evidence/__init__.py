"""Claim 3: the ELBO at its stationary points and the exact log evidence."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.stats import multivariate_normal

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import gaussian_expectation, hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import digits
from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.claims.stationary_evidence import decomposition, entropies, gap_law, linear_gaussian
from vaetheory.encoders import Posterior
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma

# 3b ---------------------------------------------------------------------------------------------


def _library_gradients(
    scene: ModelScene, *, residual: bool, smoothed: bool
) -> tuple[Array, Array, Array]:
    """E_q of grad U and of the lower triangle of A, with error figures; or what controls take."""
    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]

    def entries(z: Array) -> Array:
        gradient, hessian, gauss_newton = model.potential_derivatives(
            np.broadcast_to(x, (*z.shape[:-1], len(x))), z
        )
        chosen = hessian if residual else gauss_newton
        return np.stack(
            [gradient[..., i] for i in range(dim)] + [chosen[..., i, j] for i, j in pairs]
        )

    count = dim + len(pairs)
    # One row an entry, all with the same Gaussian.
    means = gaussian_expectation(
        lambda z, rows: entries(z[:1])[rows, 0],
        np.broadcast_to(q.loc, (count, dim)),
        np.broadcast_to(q.cov, (count, dim, dim)),
        rtol=1e-11,
    )
    second = means.value[dim:] if smoothed else entries(q.loc[None])[dim:, 0]
    return means.value[:dim], second, means.error


def stationarity(
    scene: ModelScene,
    *,
    residual: bool = True,
    smoothed: bool = True,
    factor: float = 0.5,
    sign: float = -1.0,
) -> Comparison:
    """Bonnet's and Price's forms against the derivative of the density under the integral."""
    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    gradient, hessian, errors = _library_gradients(scene, residual=residual, smoothed=smoothed)
    inverse = np.linalg.inv(q.cov)
    centre = float(model.log_joint(x, q.loc))
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]

    def columns(z: Array) -> Array:
        """(-U - log q) times the derivatives of log q in m and S; a constant drops out."""
        score = (z - q.loc) @ inverse
        second = 0.5 * (score[:, :, None] * score[:, None, :] - inverse)
        log_q = q.log_prob(z)
        weighted = (model.log_joint(x, z) - centre - log_q) * np.exp(log_q)
        stack = [score[:, i] for i in range(dim)] + [second[:, i, j] for i, j in pairs]
        return weighted[:, None] * np.stack([*stack, np.ones(len(z))], axis=-1)

    widths = np.sqrt(np.diag(q.cov))
    narrow = float(np.sqrt(np.linalg.eigvalsh(q.cov)[0]))
    value, error = lattice_integral(
        columns, q.loc - 10 * widths, q.loc + 10 * widths, step=narrow / (8 if dim == 2 else 16)
    )
    elbo_s = np.array([value[dim + k] for k in range(len(pairs))])
    library_s = -factor * hessian
    entropy_s = np.array([factor * inverse[i, j] for i, j in pairs])
    # The log joint carries the rounding of its own size, not of its difference from the centre.
    size = 1 + abs(centre) + abs(float(value[-1]))
    swing = float(np.linalg.norm(inverse, 2)) * size
    return Comparison.all_of(
        Comparison.identity(
            value[:dim],
            sign * gradient,
            scale=np.abs(gradient).max() + swing,
            lattice=error[:dim],
            quadrature=errors[:dim],
            rounding=gamma(200) * swing,
        ),
        Comparison.identity(
            elbo_s,
            library_s + entropy_s,
            scale=np.abs(hessian).max() + swing,
            lattice=error[dim:-1],
            quadrature=errors[dim:],
            rounding=gamma(200) * swing * (1 + float(np.linalg.cond(q.cov))),
        ),
    )


# 3e ---------------------------------------------------------------------------------------------


def has_laplace_evidence(scene: ModelScene) -> bool:
    """Whether A is positive definite at the mode, as the theorem asks."""
    model, x = scene.model, np.array(scene.x)
    hessian = model.potential_derivatives(x, posterior_mode(model, x[None])[0])[1]
    return bool(np.linalg.eigvalsh(hessian)[0] > 1e-3)


def laplace_is_second_order(
    scene: ModelScene, *, log_det: float = -0.5, constant: bool = True, divergence: float = 1.0
) -> Comparison:
    """With U's Taylor polynomial at the mode, ELBO = Laplace - KL(q || N(mode, A^-1))."""
    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    mode = posterior_mode(model, x[None])[0]
    gradient, hessian, _ = model.potential_derivatives(x, mode)
    height = float(model.log_joint(x, mode))
    cov = np.linalg.inv(hessian)
    laplace = height + log_det * float(np.linalg.slogdet(hessian)[1])
    laplace += 0.5 * dim * _gaussians.LOG_2PI if constant else 0.0
    by_density = height - float(multivariate_normal.logpdf(mode, mode, cov))
    condition = float(np.linalg.cond(hessian))
    size = abs(height) + abs(laplace) + dim

    # Any q, by the polynomial's values at the nodes of a rule that is exact for it.
    nodes, weights = hermite_rule(3, dim)
    away = q.loc - mode + nodes @ np.linalg.cholesky(q.cov).T
    terms = away @ gradient + 0.5 * np.einsum("mi,ij,mj->m", away, hessian, away)
    surrogate = height - float(weights @ terms) + float(q.entropy())
    kl = float(_gaussians.kl_divergence(q.loc, q.cov, mode, cov))
    at_mode = float(second_order_elbo(model, x, Posterior(mode, cov=cov)))
    rounding = gamma(100) * condition * (size + kl)
    # The climb leaves a gradient of rounding size, which tilts the polynomial.
    tilt = float(np.abs(away @ gradient).max()) + float(gradient @ cov @ gradient)
    return Comparison.all_of(
        Comparison.identity(at_mode, by_density, scale=size, rounding=rounding),
        Comparison.identity(by_density, laplace, scale=size, rounding=rounding),
        Comparison.identity(
            surrogate, laplace - divergence * kl, scale=size + kl, rounding=rounding, gradient=tilt
        ),
    )


def moving_expansion_point(scene: ModelScene) -> Comparison:
    """The reading in which the point of expansion moves with m: then the mode is not stationary."""
    model, x = scene.model, np.array(scene.x)
    mode = posterior_mode(model, x[None])[0]
    cov = np.linalg.inv(model.potential_derivatives(x, mode)[1])

    def slope(step: float) -> float:
        shifted = [Posterior(mode + s * step * np.eye(len(mode))[0], cov=cov) for s in (1, -1)]
        up, down = (float(second_order_elbo(model, x, q)) for q in shifted)
        return (up - down) / (2 * step)

    coarse, fine = slope(2e-3), slope(1e-3)
    return Comparison.identity(
        fine,
        0.0,
        scale=1.0,
        difference=abs(coarse - fine),
        rounding=gamma(100) * (1 + abs(float(model.log_joint(x, mode)))) / 1e-3,
    )


_GAUSSIAN = ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \Lambda)")

CLAIM = Claim(
    number=3,
    label="stationary-evidence",
    title="The ELBO at its stationary points and the exact log evidence",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="3a",
            title="log p(x) = ELBO + KL(q || p(z|x)), the three computed independently",
            statement=r"\log p(x) = \mathrm{ELBO}(x; q) + \mathrm{KL}(q \,\|\, p(z|x))",
            hypotheses=(("any model", r"p(x, z) = \mathcal N(z; 0, I)\, p(x|f(z))"),),
            kind="identity",
            instances=model_scenes(),
            check=decomposition.evidence_decomposition,
            controls=(
                Control(
                    "the reversed KL",
                    partial(decomposition.evidence_decomposition, divergence=lambda d: d.reverse),
                ),
                Control(
                    "the KL subtracted",
                    partial(decomposition.evidence_decomposition, divergence=lambda d: -d.forward),
                ),
                Control(
                    "standard deviations for variances",
                    partial(
                        decomposition.evidence_decomposition,
                        posterior=decomposition.deviations_for_variances,
                    ),
                ),
                Control("no log det S", partial(decomposition.evidence_decomposition, entropy=0.0)),
            ),
            figure="stationary-evidence",
        ),
        Proposition(
            label="3b",
            title="The gradients of the ELBO are expectations of the potential's derivatives",
            statement=(
                r"\nabla_m \mathrm{ELBO} = -\mathbb E_q[\nabla U],\quad "
                r"\nabla_S \mathrm{ELBO} = \tfrac12(S^{-1} - \mathbb E_q[A])"
            ),
            hypotheses=(("smooth", r"U \in C^2,\ \text{of moderate growth}"),),
            kind="identity",
            instances=model_scenes(),
            check=stationarity,
            controls=(
                Control("Gauss-Newton part for A", partial(stationarity, residual=False)),
                Control("A at the mean", partial(stationarity, smoothed=False)),
                Control("no factor 1/2", partial(stationarity, factor=1.0)),
                Control("+E[grad U]", partial(stationarity, sign=1.0)),
            ),
        ),
        Proposition(
            label="3c",
            title="A linear decoder has one stationary point, and there the ELBO is the evidence",
            statement=(
                r"S = (I + W^\top\Lambda^{-1}W)^{-1},\ m = S W^\top\Lambda^{-1}(x-b),\quad "
                r"\mathrm{ELBO} = \log\mathcal N(x; b, WW^\top + \Lambda)"
            ),
            hypotheses=(_GAUSSIAN, ("linear decoder", r"f(z) = Wz + b")),
            kind="identity",
            instances=linear_gaussian.linear_scenes(),
            check=linear_gaussian.stationary_is_exact,
            controls=(
                Control(
                    "no prior precision",
                    partial(
                        linear_gaussian.stationary_is_exact, closed=linear_gaussian.without_prior
                    ),
                ),
                Control(
                    "Lambda for its inverse",
                    partial(
                        linear_gaussian.stationary_is_exact,
                        closed=linear_gaussian.noise_for_its_inverse,
                    ),
                ),
                Control(
                    "no log determinant",
                    partial(
                        linear_gaussian.stationary_is_exact, closed=linear_gaussian.without_log_det
                    ),
                ),
                Control(
                    "standard deviations for variances",
                    partial(
                        linear_gaussian.stationary_is_exact,
                        closed=linear_gaussian.deviations_for_variances,
                    ),
                ),
            ),
            uses=("3a", "3b"),
        ),
        Proposition(
            label="3d",
            title="A diagonal posterior of a linear decoder loses Hadamard's inequality",
            statement=(
                r"\log p(x) - \mathrm{ELBO} = \tfrac12\Big(\sum_j\log A_{jj} - \log\det A\Big),"
                r"\quad A = I + W^\top\Lambda^{-1}W;\quad 0 \text{ iff } A \text{ is diagonal}"
            ),
            hypotheses=(
                _GAUSSIAN,
                ("linear decoder", r"f(z) = Wz + b"),
                ("mean field", r"S \text{ diagonal}"),
            ),
            kind="identity",
            instances=linear_gaussian.linear_scenes(),
            check=linear_gaussian.diagonal_gap,
            controls=(
                Control(
                    "exact marginal variances",
                    partial(linear_gaussian.diagonal_gap, gap=linear_gaussian.marginal_variances),
                ),
                Control(
                    "no factor 1/2",
                    partial(linear_gaussian.diagonal_gap, gap=linear_gaussian.twice_the_gap),
                ),
                Control(
                    "no gap at all",
                    partial(linear_gaussian.diagonal_gap, gap=linear_gaussian.no_gap),
                ),
            ),
            uses=("3b", "3c"),
        ),
        Proposition(
            label="3e",
            title="To second order the stationary points are the modes and the value is Laplace's",
            statement=(
                r"\mathrm{ELBO}_2(q) = -U(\hat z) + \tfrac d2\log 2\pi - \tfrac12\log\det A"
                r" - \mathrm{KL}(q\,\|\,\mathcal N(\hat z, A^{-1}))"
            ),
            hypotheses=(
                ("a mode", r"\nabla U(\hat z) = 0,\ A(\hat z)\succ 0"),
                ("fixed expansion", r"U \text{ replaced by its Taylor polynomial at } \hat z"),
            ),
            kind="identity",
            instances=model_scenes().filter(has_laplace_evidence),
            check=laplace_is_second_order,
            controls=(
                Control("+1/2 log det A", partial(laplace_is_second_order, log_det=0.5)),
                Control("no d/2 log 2 pi", partial(laplace_is_second_order, constant=False)),
                Control("half the KL", partial(laplace_is_second_order, divergence=0.5)),
                Control("the expansion point moves with m", moving_expansion_point),
            ),
            uses=("3b",),
        ),
        Proposition(
            label="3f",
            title="The gap law: sigma^2 / 12 times the squared slope of the decoder's metric",
            statement=(
                r"\log p(x) - \mathrm{ELBO} = \frac{\sigma^2}{12}\|T\|_g^2 + O(\sigma^4),\quad "
                r"T_{ijk} = \tfrac12(\partial_i g_{jk} + \partial_j g_{ik} + \partial_k g_{ij}),"
                r"\ g = J^\top J"
            ),
            hypotheses=(
                ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)"),
                (
                    "an embedding at x",
                    r"g \succ 0,\ x = f(z_0),\ \inf_{|z - z_0| > r}\|f(z) - x\| > 0"
                    r"\text{ for all } r > 0",
                ),
            ),
            kind="rate",
            instances=gap_law.graphs(),
            check=gap_law.gap_law,
            controls=(
                Control(
                    "a factor 1/24", partial(gap_law.gap_law, coefficient=gap_law.half_coefficient)
                ),
                Control(
                    "T not raised with the inverse metric",
                    partial(gap_law.gap_law, coefficient=gap_law.lowered_norm),
                ),
                Control(
                    "normal curvature for the metric's slope",
                    partial(gap_law.gap_law, coefficient=gap_law.normal_part),
                ),
                Control("order sigma", partial(gap_law.gap_law, exponent=1.0)),
            ),
            uses=("3a", "3e"),
            figure="stationary-evidence",
            resolution=5e-2,
            examples=6,
        ),
        Proposition(
            label="3f-isometric",
            title="At constant metric the gap is of order sigma^4: k^4 / 48 on a unit-speed curve",
            statement=r"\log p(x) - \mathrm{ELBO} = \frac{\sigma^4\kappa^4}{48} + O(\sigma^6)",
            hypotheses=(
                ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)"),
                ("unit speed", r"d = 1,\ \|f'\| = 1"),
                (
                    "an embedding at x",
                    r"\inf_{|z - z_0| > r}\|f(z) - x\| > 0 \text{ for all } r > 0",
                ),
            ),
            kind="rate",
            instances=gap_law.unit_speed_curves(),
            check=gap_law.isometric_gap,
            controls=(
                Control("order sigma^2", partial(gap_law.isometric_gap, exponent=2.0)),
                Control("a factor 1/24", partial(gap_law.isometric_gap, factor=1 / 24)),
                Control("k^2 for k^4", partial(gap_law.isometric_gap, power=2)),
            ),
            uses=("3f",),
            figure="stationary-evidence",
            resolution=5e-2,
            examples=4,
        ),
        Proposition(
            label="3g",
            title="Read literally the claim is false: f = z^2 keeps a gap of log 2",
            statement=(
                r"f(z) = z^2,\ x = z_0^2 \ne 0:\quad "
                r"\log p(x) - \max_q \mathrm{ELBO} \to \log 2 \text{ as } \sigma \to 0"
            ),
            hypotheses=(("not injective", r"f(z_0) = f(-z_0)"),),
            kind="counterexample",
            instances=gap_law.folds(),
            check=gap_law.fold_gap,
            controls=(
                Control("the gap vanishes", partial(gap_law.fold_gap, limit=0.0)),
                Control("a gap of log 3", partial(gap_law.fold_gap, limit=float(np.log(3)))),
            ),
            uses=("3f",),
            figure="stationary-evidence",
            resolution=1e-2,
            examples=4,
        ),
        Proposition(
            label="3h",
            title="Where sigma and the latent scale are stationary the ELBO is a sum of entropies",
            statement=(
                r"\mathrm{ELBO} = \tfrac1N\sum_n H[q(z|x_n)] - H[\mathcal N(0, I_d)]"
                r" - H[\mathcal N(0, \sigma^2 I_D)]"
            ),
            hypotheses=(
                ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)"),
                ("stationary sigma", r"\sigma^2 = \tfrac1{ND}\sum_n\mathbb E_q\|x_n - f(z)\|^2"),
                ("stationary latent scale", r"\tfrac1N\sum_n\mathbb E_q\|z\|^2 = d"),
            ),
            kind="identity",
            instances=entropies.trained_scenes(),
            check=entropies.sum_of_entropies,
            controls=(
                Control("sigma off by half", partial(entropies.sum_of_entropies, widen=1.5)),
                Control("latents off by half", partial(entropies.sum_of_entropies, stretch=1.5)),
                Control("no prior entropy", partial(entropies.sum_of_entropies, prior=0.0)),
                Control("noise entropy added", partial(entropies.sum_of_entropies, noise=-1.0)),
            ),
            uses=("3b",),
            resolution=1e-2,
        ),
        digits.STATIONARY_EVIDENCE,
    ),
)
