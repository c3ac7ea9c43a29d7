"""The check of 7d-decoder: claim 1 under every exponential family."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.riemannian_likelihood.encoded_families import (
    EncodedFamily,
    Weights,
    encoded_families,
    equal_weights,
    responsibilities,
)
from vaetheory.claims.riemannian_likelihood.families import FULL_FAMILY, FamilyScene
from vaetheory.optimal_decoder import optimal_parameters
from vaetheory.rounding import gamma


def matched_means(
    scene: EncodedFamily, *, weights: Weights = responsibilities, reverse: bool = False
) -> Comparison:
    """Compare means of T, and what other parameters lose, with sums over the support."""
    likelihood, X = scene.likelihood, scene.data.data
    z = np.array(scene.z)
    best = optimal_parameters(X, scene.data.encoder, likelihood, z)
    # A direction that changes the distribution in every family.
    other = best + 0.5 * (1 + np.arange(len(best)))
    statistics, w = likelihood.statistics(X), weights(scene)
    first, second = (other, best) if reverse else (best, other)

    def columns(x: Array) -> Array:
        ratio = likelihood.log_prob(x, first) - likelihood.log_prob(x, second)
        return np.concatenate([likelihood.statistics(x), ratio[:, None]], axis=-1)

    at = FamilyScene(scene.family, scene.constants, tuple(first.tolist()))
    value, error, size = at.expectation(columns)
    count = len(best)
    table = likelihood.log_prob(X[:, None], np.stack([best, other]))
    deficit = float(w @ (table[:, 0] - table[:, 1]))
    spread = float(w @ np.abs(table).sum(axis=-1))
    mean = value[:count] if not reverse else w @ statistics
    return Comparison.all_of(
        Comparison.identity(
            mean,
            w @ statistics,
            scale=size[:count] + w @ np.abs(statistics),
            support=error[:count],
            rounding=gamma(200)
            * (1 + np.abs(best).sum())
            * (w @ np.abs(statistics) + size[:count]),
        ),
        Comparison.identity(
            deficit,
            value[count],
            scale=spread + size[count],
            support=error[count],
            rounding=gamma(200) * (1 + np.abs(best).sum()) * (spread + size[count]),
        ),
    )


MATCHED_MEANS = Proposition(
    label="7d-decoder",
    title="The optimal decoder matches mean parameters, and what others lose is a KL",
    statement=(
        r"\mathbb E_{p(x|\theta^*)}[T] = \mathbb E_{q(x|z)}[T],\quad "
        r"\mathbb E_{q(x|z)}[\log p(x|\theta^*) - \log p(x|\theta)]"
        r" = \mathrm{KL}(p_{\theta^*}\,\|\,p_\theta)"
    ),
    hypotheses=(FULL_FAMILY, ("interior", r"\theta^*\text{ finite}")),
    kind="identity",
    instances=encoded_families(),
    check=matched_means,
    controls=wrong(
        matched_means,
        {"the unweighted mean": {"weights": equal_weights}, "the reversed KL": {"reverse": True}},
    ),
    uses=("1c",),
    examples=40,
)
