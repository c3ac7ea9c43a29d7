"""Checks of 23a and 23b: where the ELBO is stationary, its likelihood is minus an entropy."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.entropy_sums.families import CONSTANT, VARYING
from vaetheory.claims.entropy_sums.scenes import (
    STEP,
    Trained,
    given,
    split,
    stationary,
    trained,
)
from vaetheory.rounding import gamma

FAMILY = (
    "exponential family",
    r"p(x|z) = h(x)\,e^{\varphi(z)^\top T(x) - A(z)}, \text{ any decoder}",
)
CODES = ("any encoder", r"q(z|x_n), \text{ optimal or not}")
OWN = (
    "own direction",
    r"\partial_t: \text{ at } t = 1 \text{ with } \varphi(z) \text{ replaced by } t\varphi(z); "
    r"\text{ zero where it is a direction of the parameters and the ELBO is stationary}",
)


def lost(size: float) -> float:
    """Rounding of sums of this size."""
    return gamma(2000) * size


def of_the_data(X: Array) -> float:
    """Entropy of the data, of which equal ones count as one."""
    _, counts = np.unique(X, axis=0, return_counts=True)
    shares = counts / len(X)
    return float(-(shares * np.log(shares)).sum())


@once
def at_the_means(scene: Trained) -> float:
    """The mean entropy of the likelihood at the means of the codes."""
    u = scene.codes.encoder.loc @ np.array(scene.direction)
    entropy, _ = scene.row.mean_logs(scene.params(u), 1.0)
    return float(entropy.mean())


def of_the_library(scene: Trained) -> list[Comparison]:
    """Compare the library's terms, and their sum with its ELBO, with sums and differences."""
    found, split_ = given(scene), split(scene)
    # The codes are the library's draws where they are drawn.
    own, other = (0.0, 0.0) if scene.many else (split_.error, split_.remainder_error)
    rounding = lost(found.size)
    total = split_.value + split_.remainder + float(split_.latent_remainders.sum())
    base = float(scene.row.base(scene.codes.data).sum(axis=-1).mean())
    return [
        Comparison.identity(
            split_.pseudo_entropy, found.entropy + found.model_base, scale=found.size,
            library=own, lattice=found.lattice, rounding=rounding,
        ),
        Comparison.identity(
            split_.remainder, found.slope, scale=found.size, library=other,
            difference=found.error,
            lattice=found.lattice, rounding=rounding / STEP,
        ),
        Comparison.identity(
            split_.elbo, total, scale=found.size + abs(split_.elbo), library=2 * own + other,
            rounding=rounding + lost(abs(split_.elbo)),
        ),
        Comparison.identity(split_.log_base, base, scale=found.size, rounding=rounding),
    ]  # fmt: skip


def entropies(
    scene: Trained, *, sign: float = 1.0, entropy: str = "of the law", rest: float = 1.0
) -> Comparison:
    """Compare the mean log likelihood with minus the mean entropy, and with the remainder."""
    found = given(scene)
    used = {
        "of the law": found.entropy,
        "at the means": at_the_means(scene),
        "of the data": of_the_data(scene.codes.data),
    }[entropy]
    rounding = lost(found.size)
    parts = [
        Comparison.identity(
            found.log_likelihood, rest * found.slope - sign * used, scale=found.size,
            difference=found.error,
            lattice=found.lattice, rounding=rounding / STEP,
        ),
        *of_the_library(scene),
    ]  # fmt: skip
    if not scene.many:
        best = stationary(scene)
        parts.append(
            Comparison.identity(
                best.log_likelihood, -sign * best.entropy, scale=best.size,
                slope=abs(best.t * best.slope), difference=abs(best.t) * best.error,
                lattice=best.lattice, rounding=lost(best.size) / STEP,
            )
        )  # fmt: skip
    return Comparison.all_of(*parts)


ENTROPIES = Proposition(
    label="23a",
    title="Where the ELBO is stationary along the natural parameters, the mean log likelihood is "
    "minus the mean entropy",
    statement=(
        r"\mathbb E_n\mathbb E_q[\log p(x_n|z)] = -\mathbb E_n\mathbb E_q H[p(\cdot|z)] + "
        r"\partial_t\,\mathbb E_n\mathbb E_q[\log p_t(x_n|z)], \quad "
        r"\partial_t = \mathbb E_n\mathbb E_q[\varphi(z)^\top(T(x_n) - \mathbb E_{p(x|z)}T)]"
    ),
    hypotheses=(
        FAMILY,
        ("constant base measure", r"h \text{ constant: Bernoulli, categorical, continuous "
         r"Bernoulli, exponential, Gaussian with learned means and scales}"),
        CODES,
        OWN,
    ),
    kind="identity",
    instances=trained(tuple(CONSTANT)),
    check=entropies,
    controls=wrong(
        entropies,
        {
            "plus the entropy": {"sign": -1.0},
            "the entropy at the means of the codes": {"entropy": "at the means"},
            "the entropy of the data": {"entropy": "of the data"},
            "no remainder away from a stationary point": {"rest": 0.0},
            "twice the remainder": {"rest": 2.0},
        },
    ),
    uses=("3a",),
    figure="entropy-sums",
    examples=16,
)  # fmt: skip


def pseudo_entropies(
    scene: Trained, *, true: bool = False, base: float = 1.0, rest: float = 1.0
) -> Comparison:
    """Compare the mean log likelihood with minus the pseudo-entropy plus log h of the data."""
    found = given(scene)
    of_data = base * float(scene.row.base(scene.codes.data).sum(axis=-1).mean())
    rounding = lost(found.size + abs(of_data))
    used = found.entropy if true else found.entropy + found.model_base - of_data
    parts = [
        Comparison.identity(
            found.log_likelihood, rest * found.slope - used, scale=found.size,
            difference=found.error,
            lattice=found.lattice, rounding=rounding / STEP,
        ),
        *of_the_library(scene),
    ]  # fmt: skip
    if not scene.many:
        best = stationary(scene)
        used = best.entropy if true else best.entropy + best.model_base - of_data
        parts.append(
            Comparison.identity(
                best.log_likelihood, -used, scale=best.size, slope=abs(best.t * best.slope),
                difference=abs(best.t) * best.error, lattice=best.lattice,
                rounding=rounding / STEP,
            )
        )  # fmt: skip
    return Comparison.all_of(*parts)


PSEUDO_ENTROPIES = Proposition(
    label="23b",
    title="If the base measure varies, the pseudo-entropy takes the entropy's place, and the "
    "data's mean of log h is added",
    statement=(
        r"\mathbb E_n\mathbb E_q[\log p(x_n|z)] = -\mathbb E_n\mathbb E_q\tilde H(z) + "
        r"\mathbb E_n\log h(x_n) + \partial_t\,\mathbb E_n\mathbb E_q[\log p_t(x_n|z)], \quad "
        r"\tilde H = A - \varphi^\top\mathbb E_{p(x|z)}T = H + \mathbb E_{p(x|z)}\log h"
    ),
    hypotheses=(
        FAMILY,
        ("any base measure", r"h: \text{ Poisson, Gamma, negative binomial, Gaussian of fixed "
         r"noise, log-normal}"),
        CODES,
        OWN,
    ),
    kind="identity",
    instances=trained(tuple(VARYING)),
    check=pseudo_entropies,
    controls=wrong(
        pseudo_entropies,
        {
            "the entropy itself": {"true": True},
            "log h of the data forgotten": {"base": 0.0},
            "log h of the data subtracted": {"base": -1.0},
            "no remainder away from a stationary point": {"rest": 0.0},
        },
    ),
    uses=("23a",),
    figure="entropy-sums",
    examples=14,
)  # fmt: skip
