"""3b: stationary points of the ELBO, each a strict maximum and the only one in its box."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from vaetheory.certify._objective import objective, offset
from vaetheory.certify._stationary import krawczyk, value_at
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    describe_model,
    model_of,
    read_candidate,
    write_candidate,
)
from vaetheory.certify.propositions.scenes import TANH, scene

_RADIUS = Fraction(1, 8 * 10**26)
# Bits of the quadrature if there is no closed form.
_BITS = 110


def _prepare(inputs: Inputs) -> dict[str, Any]:
    from vaetheory.certify._search import default_start, tight_candidate

    model, x = model_of(inputs)
    return {"point": write_candidate(tight_candidate(model, x, default_start(model, x)))}


def _stationary(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    model, x = model_of(inputs)
    d = model.latent_dim
    if d not in (1, 2):
        raise ValueError(f"model: expected 1 or 2 latent dimensions, got {d}")
    candidate = read_candidate("point", witness["point"], 2 * d)
    point: list[Number] = []

    def attempt(F: Arithmetic, bits: int) -> Number:
        target = objective(F, model, x, _BITS)
        point[:] = krawczyk(F, target, candidate)
        return value_at(F, target, point) + offset(F, model, x)

    elbo = work.enclose(attempt, _RADIUS, size=float(2**100))
    proved: dict[str, Proved] = {"elbo": elbo}
    with work.arithmetic(260) as F:
        names = [f"{kind}_{j}" for kind in ("loc", "var") for j in range(d)]
        for name, value in zip(names, point, strict=True):
            proved[name] = work.settle(F, value, _RADIUS)
    return proved


_SURFACE = {
    "kind": "polynomial",
    "powers": [[1, 0], [0, 1], [2, 0], [1, 1]],
    "coefficients": [["1", "0", "0"], ["0", "1", "0"], ["0", "0", "0.5"], ["0", "0", "0.25"]],
}

STATIONARY = Certified(
    label="3b",
    title="A stationary point of the ELBO, the only one in its box",
    statement=r"\nabla_{m, v} \mathrm{ELBO} = 0, \quad \nabla^2_{m, v} \mathrm{ELBO} \prec 0,"
    r"\quad q = N(m, \operatorname{diag}(v))",
    keys=("model", "x"),
    hints=("point",),
    instances=(
        scene(_SURFACE, ["0.5", "0.25", "0.1"], "0.1"),
        scene(TANH, ["0.5", "0.2"], "0.3"),
        {"model": {"decoder": TANH, "likelihood": {"kind": "bernoulli"}}, "x": ["1", "0"]},
    ),
    prepare=_prepare,
    prove=_stationary,
    sentence=lambda i, p: _words(i, p),
)


def _words(i: Inputs, p: Any) -> str:
    names = sorted(k for k in p if k != "elbo")
    where = ", ".join(f"{name.replace('_', ' ')} = {p[name]}" for name in names)
    return (
        f"For {describe_model(i)}, the box of the witness holds exactly one stationary point of "
        f"the ELBO over Gaussians of diagonal covariance, at {where}; the Hessian is negative "
        f"definite on the box, so it is a strict maximum, and the ELBO there is {p['elbo']}."
    )
