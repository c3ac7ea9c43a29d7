"""Check of 23-elbo: the whole ELBO is three entropies and two remainders."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.entropy_sums.families import FAMILIES
from vaetheory.claims.entropy_sums.scenes import (
    STEP,
    Trained,
    difference,
    given,
    split,
    trained,
)
from vaetheory.claims.entropy_sums.stationary_sums import FAMILY, lost


def divergences(loc: Array, cov: Array) -> Array:
    """KL(N(loc, cov) || N(0, I)) by eigenvalues, `(N,)`."""
    lam = np.linalg.eigvalsh(cov)
    return 0.5 * ((loc**2).sum(axis=-1) + (lam - 1 - np.log(lam)).sum(axis=-1))


@once
def of_scales(scene: Trained) -> tuple[Array, Array]:
    """Half the derivative of minus the mean divergence in each latent's scale, and its error."""
    loc, cov = scene.codes.encoder.loc, scene.codes.encoder.cov
    found = []
    for unit in np.eye(loc.shape[1]):

        def at(t: float, unit: Array = unit) -> Array:
            scale = 1 + t * unit
            # In closed form: there is no coarser number.
            return np.full(2, -divergences(loc * scale, cov * np.outer(scale, scale)).mean())

        slope, _, error = difference(at, 0.0, STEP)
        found.append((slope / 2, error / 2))
    return np.array(found)[:, 0], np.array(found)[:, 1]


def whole(
    scene: Trained,
    *,
    prior: float = 1.0,
    latents: float = 1.0,
    spread: float = 1.0,
    posterior: float = 1.0,
) -> Comparison:
    """Compare the ELBO with entropies and remainders, each from another rule."""
    found, split_ = given(scene), split(scene)
    loc, cov = scene.codes.encoder.loc, scene.codes.encoder.cov
    dim = loc.shape[1]
    divergence = divergences(loc, cov)
    entropy = 0.5 * (dim * (1 + np.log(2 * np.pi)) + np.log(np.linalg.eigvalsh(cov)).sum(-1))
    moments = (loc**2 + spread * np.diagonal(cov, axis1=-2, axis2=-1)).mean(axis=0)
    of_latents = (1 - moments) / 2
    base = float(scene.row.base(scene.codes.data).sum(axis=-1).mean())
    pseudo = found.entropy + found.model_base
    total = (
        posterior * float(entropy.mean())
        - prior * 0.5 * dim * (1 + np.log(2 * np.pi))
        - pseudo + base + found.slope + latents * float(of_latents.sum())
    )  # fmt: skip
    slopes, errors = of_scales(scene)
    size = found.size + 2 * dim + float(divergence.mean()) + float(np.abs(entropy).max())
    own = 0.0 if scene.many else split_.error
    rounding = lost(size)
    return Comparison.all_of(
        Comparison.identity(
            split_.elbo, total, scale=size, library=own, difference=found.error,
            lattice=found.lattice, rounding=rounding / STEP,
        ),
        Comparison.identity(
            split_.elbo, found.log_likelihood - float(divergence.mean()), scale=size,
            library=own, lattice=found.lattice, rounding=rounding,
        ),
        Comparison.identity(
            of_latents, slopes, scale=size, difference=errors, rounding=rounding / STEP
        ),
        Comparison.identity(
            split_.latent_remainders, slopes, scale=size, difference=errors,
            rounding=rounding / STEP,
        ),
    )  # fmt: skip


WHOLE = Proposition(
    label="23-elbo",
    title="The ELBO is three entropies and two remainders, for any decoder and any codes",
    statement=(
        r"\mathrm{ELBO} = \mathbb E_nH[q(z|x_n)] - H[\mathcal N(0, I)] - "
        r"\mathbb E_n\mathbb E_q\tilde H + \mathbb E_n\log h(x_n) + \partial_t + "
        r"\sum_j\tfrac12\big(1 - \mathbb E_n\mathbb E_qz_j^2\big), \quad "
        r"1 - \mathbb E_n\mathbb E_qz_j^2 = \partial_{\log c_j}: "
        r"z_j \mapsto c_jz_j,\ f(z) \mapsto f(z/c)"
    ),
    hypotheses=(FAMILY, ("Gaussian codes", r"q(z|x_n) = \mathcal N(m_n, S_n)")),
    kind="identity",
    instances=trained(tuple(FAMILIES), (1, 2, 8, 32)),
    check=whole,
    controls=wrong(
        whole,
        {
            "no entropy of the prior": {"prior": 0.0},
            "no remainder of the latents' scale": {"latents": 0.0},
            "the moment of the means alone": {"spread": 0.0},
            "half the codes' entropy": {"posterior": 0.5},
        },
    ),
    uses=("23a", "23b", "3h", "12f"),
    figure="entropy-sums",
    examples=14,
)
