"""3a: log evidences, and their decomposition into ELBO and divergence."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._objective import (
    ClosedForm,
    gaussian_expectation,
    log_likelihood,
    majorant,
    offset,
)
from vaetheory.certify._workshop import Workshop, bits_of
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    describe_model,
    model_of,
    read_domain,
    write_domain,
)
from vaetheory.certify.propositions.scenes import PARABOLA, SQUARE, TANH, scene

#: Radii of log evidences, by latent dimension.
_RADII = {1: Fraction(1, 8 * 10**30), 2: Fraction(1, 8 * 10**12)}


def domain_for(inputs: Inputs) -> dict[str, Any]:
    """Find a domain of integration; only this function loads FLINT."""
    from vaetheory.certify._prover import domain_of

    model, x = model_of(inputs)
    bits = bits_of(_RADII[model.latent_dim])
    # The tail is far below the radius but still large enough to be visible in the certificate.
    return {"domain": write_domain(domain_of(model, x, bits + 10))}


def evidence(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    """The log evidence, and a bound of the scaled integral outside the domain."""
    model, x = model_of(inputs)
    if model.latent_dim not in _RADII:
        raise ValueError(f"model: expected 1 or 2 latent dimensions, got {model.latent_dim}")
    domain = read_domain(witness["domain"])
    value, tail = work.log_evidence(model, x, domain, _RADII[model.latent_dim])
    return {"log_evidence": value, "tail": tail}


_WAVES = {
    "kind": "sine",
    "amplitude": ["1", "0.5"],
    "frequency": [["3"], ["1"]],
    "phase": ["0", "0.25"],
}
_LINE = {"kind": "affine", "weight": [["1"], ["2"]], "bias": ["0", "0"]}
_SURFACE = {
    "kind": "polynomial",
    "powers": [[1, 0], [0, 1], [1, 1]],
    "coefficients": [["1", "0"], ["0", "1"], ["0", "0.25"]],
}

EVIDENCE = Certified(
    label="3a-evidence",
    title="The log evidence, tails included",
    statement=r"\log p(x) = \log \int_{\mathbb R^d} N(z; 0, I)\, p(x \mid f(z))\, dz",
    keys=("model", "x"),
    hints=("domain",),
    instances=(
        scene(SQUARE, ["1.5"], "0.0001"),
        scene({"kind": "catenary", "scale": "2"}, ["0.3", "2"], "0.1"),
        {"model": {"decoder": TANH, "likelihood": {"kind": "bernoulli"}}, "x": ["1", "0"]},
        {"model": {"decoder": TANH, "likelihood": {"kind": "poisson"}}, "x": ["3", "0"]},
        scene(_WAVES, ["0.5", "0.3"], ["0.3", "0.2"]),
        # A datum forty standard deviations of the prior away.
        scene(_LINE, ["40", "80.01"], "0.01"),
        scene(_SURFACE, ["0.5", "0.25"], "1"),
    ),
    prepare=domain_for,
    prove=evidence,
    sentence=lambda i, p: f"For {describe_model(i)}, the log evidence is {p['log_evidence']} nats.",
)


def _split(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    model, x = model_of(inputs)
    loc, var = _exact.number("loc", inputs["loc"]), _exact.positive("var", inputs["var"])
    if model.latent_dim != 1:
        raise ValueError(f"model: expected 1 latent dimension, got {model.latent_dim}")
    proved = evidence(work, inputs, witness)
    radius = _RADII[1]

    def closed(F: Arithmetic, bits: int) -> Number:
        target = ClosedForm(F, model, x)
        return target.value([F.exact(loc)], [F.exact(var)]) + offset(F, model, x)

    bounds = majorant(model, x)

    def divergence(F: Arithmetic, bits: int) -> Number:
        """The expectation under q of log q(z) - log p(z, x), by quadrature."""
        scale = F.sqrt(F.exact(var))
        constant = -F.log(F.exact(var)) / 2 - offset(F, model, x)

        def integrand(u: Number, z: Number) -> list[Number]:
            density = constant + (F.square(z) - F.square(u)) / 2
            return [density - log_likelihood(F, model, x, z)]

        size = Fraction(3 + abs(F.high(F.magnitude(constant))))
        # |u| >= 2: constants are at most u^2, and u^2 / 2 is.
        least = [size + 1, Fraction(0), Fraction(1)]
        longest = max(len(least), len(bounds))
        sizes = [
            (least[k] if k < 3 else Fraction(0)) + (bounds[k] if k < len(bounds) else 0)
            for k in range(longest)
        ]
        place = F.exact(loc)
        return gaussian_expectation(F, integrand, place, scale, [sizes], [2], bits=bits)[0]

    elbo = work.enclose(closed, radius)
    relative = work.enclose(divergence, radius)
    total = proved["log_evidence"]
    kl_low, kl_high = relative.lower + total.lower, relative.upper + total.upper  # type: ignore[union-attr]
    demand(kl_low > 0, "the divergence is positive")
    # The evidence cancels, so compare the ELBO with minus the integral.
    demand(elbo.lower <= -relative.lower and -relative.upper <= elbo.upper, "the parts add up")
    return proved | {
        "elbo": elbo,
        "divergence": Enclosure.between(kl_low, kl_high),
        "residual": Enclosure.between(elbo.lower + relative.lower, elbo.upper + relative.upper),
    }


SPLIT = Certified(
    label="3a",
    title="The log evidence is the ELBO plus a divergence",
    statement=r"\log p(x) = \mathrm{ELBO}(q) + \mathrm{KL}(q \,\|\, p(z \mid x))",
    keys=("model", "x", "loc", "var"),
    hints=("domain",),
    instances=(
        scene(PARABOLA, ["0.5", "0.125"], "0.3") | {"loc": "0.4", "var": "0.1"},
        scene({"kind": "circle", "radius": "1"}, ["0.6", "0.8"], "0.2")
        | {"loc": "0.9", "var": "0.04"},
    ),
    prepare=domain_for,
    prove=_split,
    sentence=lambda i, p: (
        f"For {describe_model(i)} and q = N({i['loc']}, {i['var']}): the log evidence is "
        f"{p['log_evidence']} (by quadrature), the ELBO {p['elbo']} (in closed form) and "
        f"KL(q || p(z|x)) {p['divergence']} (by quadrature); evidence less ELBO and divergence is "
        f"{p['residual']}."
    ),
)
