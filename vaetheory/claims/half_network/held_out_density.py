"""Check of 11e: the density of held-out data depends on the training data only."""

from __future__ import annotations

import numpy as np

from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.half_network.scenes import HALF, TINY, TinyRun, pattern, tiny_runs
from vaetheory.rounding import gamma
from vaetheory.training import density_of
from vaetheory.training.runs import validation_elbo


def held_out_density(
    scene: TinyRun, *, fixed_by: str = "train", moments: str = "train"
) -> Comparison:
    """Compare the validation ELBO with one from moments of the training data, written out."""
    vae, data = scene.vae(), scene.data()
    params = vae.initial(scene.seed) + pattern(vae.count, 0.25)
    value = validation_elbo(vae, params, data, seed=scene.seed)
    density = density_of(vae, params, data.train, seed=scene.seed)
    X, source = data.validation, getattr(data, fixed_by)
    noise = np.random.default_rng([scene.seed, 200, 1])
    draws = noise.standard_normal((8, len(X), vae.latent_dim))
    loc = vae.encode(params, X)[0]
    prior = 1 + (vae.encode(params, getattr(data, moments))[0] ** 2).mean(axis=0)
    fit = np.random.default_rng([scene.seed, 200, 0])
    z = vae.encode(params, source)[0]
    z = z + fit.standard_normal((1, len(data.train), vae.latent_dim))[0, : len(z)]
    residual = ((source - vae.decode(params, z)[0]) ** 2).mean(axis=0)
    variance = residual + np.exp(-2 * vae.information) * source.var(axis=0)
    terms = []
    for e in draws:
        square = (X - vae.decode(params, loc + e)[0]) ** 2 / variance
        terms.append(-0.5 * (np.log(2 * np.pi * variance) + square).sum(axis=1))
    rate = 0.5 * (np.log(prior) + (1 + loc**2) / prior - 1).sum(axis=1)
    expected = float((np.mean(terms, axis=0) - rate).mean())
    assert density.log_sigma is not None
    size = 1 + abs(value) + float(np.abs(terms).max())
    largest = float(((np.abs(data.train).max(axis=0) * 4) ** 2 / variance).max())
    amount = gamma(2000) * (size + largest)
    return Comparison.all_of(
        Comparison.identity(value, expected, scale=size, rounding=amount),
        Comparison.identity(density.log_sigma, 0.5 * np.log(variance), scale=size, rounding=amount),
        Comparison.identity(density.prior_scale**2, prior, scale=size, rounding=amount),
    )


HELD_OUT_DENSITY = Proposition(
    label="11e",
    title="The density that is measured is fixed by the training data",
    statement=(
        r"p(x) = \mathbb E_{\mathcal N(0, \mathrm{diag}\,v)}\mathcal N(x; f(z), "
        r"\mathrm{diag}\,\sigma^2),\quad v_j = 1 + \mathbb E_{\mathrm{train}}[m_j^2],\quad"
        r"\sigma_i^2 = r_i + e^{-2h}\mathrm{Var}_{\mathrm{train}}[x_i]"
    ),
    hypotheses=(HALF, TINY),
    kind="identity",
    instances=tiny_runs(("half",)),
    check=held_out_density,
    controls=wrong(
        held_out_density,
        {
            "sigma from the held-out data": {"fixed_by": "validation"},
            "the prior from the held-out data": {"moments": "validation"},
        },
    ),
    uses=("6a", "10a"),
)
