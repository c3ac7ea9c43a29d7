"""Check of 16-digits: a VAE of the digits in the plane of rate and distortion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory._validation import Array
from vaetheory.bounds.information_terms import (
    LinearBetaVAE,
    RateDistortion,
    linear_beta_vae,
    rate_distortion,
    reverse_water_filling,
)
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.digit_models import digit_hessians, digit_model
from vaetheory.checking.digits import FittedDigits, fitted_decoder, load
from vaetheory.checking.lattice import aggregate_expectation
from vaetheory.encoders import AggregatePosterior
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma

# Every so many digits have codes: all pairs of them are compared.
_STRIDE = 72


@dataclass(frozen=True)
class PlaneOfDigits:
    """The VAE's terms, those of the best linear VAE with the same noise, and two other routes."""

    found: RateDistortion
    linear: LinearBetaVAE
    spectrum: Array
    divergence: tuple[float, float, float]
    evidence: float
    evidence_error: float
    count: int


@lru_cache(maxsize=2)
def digits_in_the_plane(noise: float) -> PlaneOfDigits:
    """Codes at the modes with the inverse Hessians; computed once a process."""
    model, X = digit_model(noise), load().images[::_STRIDE]
    loc, hessians = (values[::_STRIDE] for values in digit_hessians(noise))
    encoder = AggregatePosterior(loc, cov=np.linalg.inv(hessians))
    scale = noise * fitted_decoder()[1]
    exact = log_evidence(model, X, rtol=1e-8)

    def apart(z: Array) -> Array:
        return encoder.aggregate_log_prob(z) + 0.5 * (z**2).sum(axis=-1) + np.log(2 * np.pi)

    centred = X - X.mean(axis=0)
    return PlaneOfDigits(
        rate_distortion(model, X, encoder, rtol=1e-7),
        linear_beta_vae(X, 2, variance=scale**2),
        np.maximum(np.linalg.eigvalsh(centred.T @ centred / len(X)), 0.0),
        aggregate_expectation(apart, encoder),
        float(exact.value.mean()),
        float(exact.error.mean()),
        len(X),
    )


def digits_on_the_curve(
    instance: FittedDigits,
    *,
    all_of_it: bool = False,
    unfilled: bool = False,
    tight: bool = False,
) -> Comparison:
    """Compare the parts of the rate, the evidence, and the linear VAE of the same noise."""
    plane = digits_in_the_plane(instance.noise)
    found, linear = plane.found, plane.linear
    size = found.rate + abs(found.distortion)
    information = found.rate if all_of_it else found.information
    level = linear.variance * (2.0 if unfilled else 1.0)
    rate, square = reverse_water_filling(plane.spectrum, level, latent_dim=2)
    dim = len(plane.spectrum)
    told = 0.5 * dim * np.log(2 * np.pi * linear.variance) + float(square) / (2 * linear.variance)
    lost = gamma(10_000) * (1 + plane.spectrum[-1] / linear.variance) * size
    value = -found.rate - found.distortion
    least = plane.evidence if tight else value
    return Comparison.all_of(
        Comparison.identity(
            found.rate - information, plane.divergence[0], scale=found.rate, library=found.error,
            lattice=plane.divergence[1], rounding=gamma(2000) * (1 + plane.divergence[2]),
        ),
        Comparison.at_most(
            found.information, np.log(plane.count), scale=1.0, library=found.error
        ),
        Comparison.at_most(
            value, plane.evidence, scale=size, library=found.error, evidence=plane.evidence_error
        ),
        Comparison.at_most(
            least, value, scale=size, library=found.error, evidence=plane.evidence_error
        ),
        Comparison.identity(
            [linear.rate, linear.distortion], [float(rate), told], scale=size, rounding=lost
        ),
        # The bent decoder, with the same noise and two latents, is better than any linear one.
        Comparison.at_most(linear.value, value, scale=size, library=found.error, linear=lost),
        findings=(
            f"{plane.count} digits, in nats a digit: rate {found.rate:.3f} = information "
            f"{found.information:.3f} (log N = {np.log(plane.count):.3f}) + "
            f"{found.divergence:.3f}; distortion {found.distortion:.3f}; the best linear VAE of "
            f"the same noise has rate {linear.rate:.3f}, distortion {linear.distortion:.3f} and "
            f"loses {value - linear.value:.3f}",
        ),
    )  # fmt: skip


DIGITS = Proposition(
    label="16-digits",
    title="The digits' VAE in the plane of rate and distortion",
    statement=(
        r"R = I_q + \mathrm{KL}(q(z)\,\|\,p),\quad I_q \le \log N,\quad "
        r"-\mathrm{Dist} - R \le \tfrac1N\sum_n\log p(x_n),\quad "
        r"-\mathrm{Dist} - R \ge \max_{\mathrm{linear}}\mathrm{ELBO}"
    ),
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
        ("the codes", r"\mathcal N(m_n, A_n^{-1}) \text{ at the modes of 25 digits}"),
    ),
    kind="inequality",
    instances=st.just(FittedDigits(1.0)),
    check=digits_on_the_curve,
    controls=wrong(
        digits_on_the_curve,
        {
            "the information is the rate": {"all_of_it": True},
            "twice the water level": {"unfilled": True},
            "the ELBO is the evidence": {"tight": True},
        },
    ),
    uses=("16a", "16d"),
    figure="rate-distortion",
    examples=1,
)
