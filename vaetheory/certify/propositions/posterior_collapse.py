"""13d: two points whose VAE is better than collapse, where collapse is stable."""

from __future__ import annotations

from fractions import Fraction

from vaetheory.certify import _exact
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    nothing_to_find,
    text_of,
)

_RADIUS = Fraction(1, 10**40)


def _divergence(F: Arithmetic, law: Fraction, p: Fraction) -> Number:
    """KL of (1 - law, law) from (1 - p, p)."""
    return F.exact(law) * F.log(F.exact(law / p)) + F.exact(1 - law) * F.log(
        F.exact((1 - law) / (1 - p))
    )


def _thresholds(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    p, gap, noise, eps, above = (
        _exact.positive(name, inputs[name]) for name in ("p", "gap", "variance", "eps", "above")
    )
    demand(p < Fraction(1, 2), "p is below 1/2")
    local = p * (1 - p) * gap**2
    demand(noise > local, "sigma^2 is above the largest eigenvalue: collapse is stable")
    # The tilted law has the weights exchanged; the other letter has the law that is left.
    tilted = 1 - p
    demand(eps * tilted <= p and eps * p <= 1 - p, "the code has densities")
    rest = (p - eps * tilted) / (1 - eps)
    demand(eps * tilted + (1 - eps) * rest == p, "the letters have the data's law")
    square = ((tilted - p) * gap) ** 2
    explained = eps * square + (1 - eps) * ((rest - p) * gap) ** 2

    def proxy(F: Arithmetic, bits: int) -> Number:
        odds = F.log(F.exact((1 - p) / p))
        return F.exact((1 - 2 * p) * gap**2) / (2 * odds)

    def equality(F: Arithmetic, bits: int) -> Number:
        return F.exact(square) / (2 * _divergence(F, tilted, p)) - proxy(F, bits)

    def gain(F: Arithmetic, bits: int) -> Number:
        information = F.exact(eps) * _divergence(F, tilted, p)
        left = _divergence(F, rest, p) if rest else -F.log(F.exact(1 - p))
        return F.exact(explained / (2 * noise)) - information - F.exact(1 - eps) * left

    tau2 = work.enclose(proxy, _RADIUS)
    demand(noise < tau2.lower, "sigma^2 is below the variance proxy")
    demand(above > tau2.upper, "the other variance is above the proxy")
    gained = work.enclose(gain, _RADIUS)
    demand(gained.lower > 0, "the code gains")
    return {
        "lambda_1": local,
        "tau_squared": tau2,
        "gain": gained,
        "tilted_less_proxy": work.enclose(equality, _RADIUS),
        "share_above": above / local,
    }


THRESHOLDS = Certified(
    label="13d",
    title="Collapse is stable above the largest eigenvalue, and not yet the best",
    statement=r"\lambda_1 = p(1-p)\ell^2 < \sigma^2 < \tau^2 ="
    r" \frac{(1-2p)\ell^2}{2\log((1-p)/p)}: \quad \text{a code of two letters has}\ "
    r"\mathrm{ELBO} > \mathrm{ELBO}_0; \quad \|\mathbb E_Q x - \bar x\|^2 = 2\tau^2\,"
    r"\mathrm{KL}(Q\,\|\,p) \text{ for } Q = (p, 1 - p)",
    keys=("p", "gap", "variance", "eps", "above"),
    hints=(),
    instances=(
        {"p": "0.05", "gap": "1", "variance": "0.1", "eps": "0.02", "above": "0.153"},
        {"p": "0.001", "gap": "3", "variance": "0.5", "eps": "0.0005", "above": "0.66"},
    ),
    prepare=nothing_to_find,
    prove=_thresholds,
    sentence=lambda i, p: (
        f"Of two points at distance {i['gap']} the rare one has weight {i['p']}: collapse is "
        f"stable above sigma^2 = {text_of(p, 'lambda_1')}, the variance proxy is "
        f"{p['tau_squared']}, and at sigma^2 = {i['variance']} the code of which one letter has "
        f"probability {i['eps']} gains {p['gain']} nats; at {i['above']}, which is "
        f"{text_of(p, 'share_above')} times the largest eigenvalue, nothing gains."
    ),
)
