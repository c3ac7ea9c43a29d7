"""The check of 3b: the gradients of the ELBO are expectations of the potential's derivatives."""

from __future__ import annotations

import numpy as np

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.rounding import gamma


def _library_gradients(
    scene: ModelScene, *, residual: bool, smoothed: bool
) -> tuple[Array, Array, Array]:
    """E_q of grad U and of the lower triangle of A with the errors, or their wrong versions."""
    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]

    def entries(z: Array) -> Array:
        gradient, hessian, gauss_newton = model.potential_derivatives(x, z)
        chosen = hessian if residual else gauss_newton
        return np.stack(
            [gradient[..., i] for i in range(dim)] + [chosen[..., i, j] for i, j in pairs]
        )

    count = dim + len(pairs)
    # One row for each entry, all with the same Gaussian.
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
    """Compare Bonnet's and Price's forms with the derivative of the density under the integral."""
    model, q, x = scene.model, scene.posterior, np.array(scene.x)
    dim = model.latent_dim
    gradient, hessian, errors = _library_gradients(scene, residual=residual, smoothed=smoothed)
    inverse = np.linalg.inv(q.cov)
    centre = float(model.log_joint(x, q.loc))
    pairs = [(i, j) for i in range(dim) for j in range(i + 1)]

    def columns(z: Array) -> Array:
        """(-U - log q) times the derivatives of log q in m and S; a constant has no effect."""
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
    # The log joint has the rounding of its own size, not of its difference from the centre.
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


GRADIENTS_ARE_EXPECTATIONS = Proposition(
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
    controls=wrong(
        stationarity,
        {
            "Gauss-Newton part for A": {"residual": False},
            "A at the mean": {"smoothed": False},
            "no factor 1/2": {"factor": 1.0},
            "+E[grad U]": {"sign": 1.0},
        },
    ),
)
