"""The converse of 3c, and 3g: the gap of the best of all Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from vaetheory.certify import _exact
from vaetheory.certify._evidence import Domain
from vaetheory.certify._exact import Vector
from vaetheory.certify._global_maximum import prove_maximum
from vaetheory.certify._objective import ClosedForm, offset
from vaetheory.certify._stationary import Candidate, krawczyk, value_at
from vaetheory.certify._workshop import Workshop, bits_of
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.decoders import Polynomial
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.models import Model
from vaetheory.certify.propositions.base import (
    Certified,
    Inputs,
    Proved,
    demand,
    describe_model,
    model_of,
    read_candidate,
    read_domain,
    write_candidate,
    write_domain,
)
from vaetheory.certify.propositions.scenes import PARABOLA, SQUARE, scene

_RADIUS = Fraction(1, 10**31)


def _prepare(inputs: Inputs) -> dict[str, Any]:
    from vaetheory.certify._prover import domain_of
    from vaetheory.certify._search import maximisers, tight_candidate, wide_candidate

    model, x = model_of(inputs)
    points = []
    for centre in maximisers(model, x):
        tight = tight_candidate(model, x, centre)
        wide = wide_candidate(model, x, tight.centre)
        points.append({"tight": write_candidate(tight), "wide": write_candidate(wide)})
    return {"domain": write_domain(domain_of(model, x, bits_of(_RADIUS) + 10)), "points": points}


def _prepare_mirrored(inputs: Inputs) -> dict[str, Any]:
    """As `_prepare`, with the mirror image of the maximiser on the right as the other one."""
    witness = _prepare(inputs)
    right = witness["points"][-1]
    left = {
        kind: {
            "centre": [_exact.text(-_exact.number("m", box["centre"][0])), *box["centre"][1:]],
            "radius": box["radius"],
        }
        for kind, box in right.items()
    }
    return witness | {"points": [left, right]}


def _prove(
    work: Workshop,
    model: Model,
    x: Vector,
    domain: Domain,
    tight: list[Candidate],
    wide: list[Candidate],
) -> dict[str, Proved]:
    """Prove the evidence, each maximiser with its ELBO, and that there are no other maximisers."""
    if model.latent_dim != 1:
        raise ValueError(f"model: expected 1 latent dimension, got {model.latent_dim}")
    centres = [c.centre[0] for c in tight]
    demand(centres == sorted(set(centres)), "the maximisers are in order")
    log_evidence, tail = work.log_evidence(model, x, domain, _RADIUS)
    proved: dict[str, Proved] = {"log_evidence": log_evidence, "tail": tail}
    values = []
    for i, candidate in enumerate(tight):

        def at(
            pick: Callable[[Arithmetic, ClosedForm, list[Number]], Number],
            candidate: Candidate = candidate,
        ) -> Enclosure:
            def attempt(F: Arithmetic, bits: int) -> Number:
                target = ClosedForm(F, model, x)
                return pick(F, target, krawczyk(F, target, candidate))

            return work.enclose(attempt, _RADIUS, size=float(2**60))

        loc, var = at(lambda F, t, box: box[0]), at(lambda F, t, box: box[1])
        value = at(lambda F, t, box: value_at(F, t, box) + offset(F, model, x))
        proved |= {f"loc_{i}": loc, f"var_{i}": var, f"elbo_{i}": value}
        values.append(value)
    known = min(v.lower for v in values)
    with work.arithmetic(80) as F:
        target = ClosedForm(F, model, x)
        for narrow, candidate in zip(tight, wide, strict=True):
            box = krawczyk(F, target, candidate)
            demand(len(box) == 2, "a mean and a variance")
            inside = all(
                a < c - r and c + r < b
                for (a, b), c, r in zip(candidate.box, narrow.centre, narrow.radius, strict=True)
            )
            demand(inside, "the wide box holds the narrow one")
        floor = F.exact(F.low(F.exact(known) - offset(F, model, x)))
        prove_maximum(F, model, x, target, wide, floor)
    best = Enclosure.between(max(v.lower for v in values), max(v.upper for v in values))
    low, high = log_evidence.lower - best.upper, log_evidence.upper - best.lower
    return proved | {"gap": Enclosure.between(low, high), "maximisers": len(tight)}


def _candidates(witness: Inputs) -> tuple[list[Candidate], list[Candidate]]:
    points = witness["points"]
    if not isinstance(points, list) or not points:
        raise ValueError(f"points: expected at least one, got {points!r:.80}")
    candidates: tuple[list[Candidate], list[Candidate]] = ([], [])
    for point in points:
        if not isinstance(point, dict) or set(point) != {"tight", "wide"}:
            raise ValueError(f"points: expected tight and wide, got {point!r:.80}")
        for kind, kept in zip(("tight", "wide"), candidates, strict=True):
            kept.append(read_candidate(kind, point[kind], 2))
    return candidates


def _positive(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    model, x = model_of(inputs)
    tight, wide = _candidates(witness)
    demand(len(tight) == 1, "there is one maximiser")
    proved = _prove(work, model, x, read_domain(witness["domain"]), tight, wide)
    demand(proved["gap"].lower > 0, "the gap is positive")  # type: ignore[union-attr]
    return proved


POSITIVE_GAP = Certified(
    label="3c-converse",
    title="A model that is not linear and Gaussian has a gap, whatever the Gaussian",
    statement=r"\log p(x) - \max_{m, v} \mathrm{ELBO}(x; m, v) > 0",
    keys=("model", "x"),
    hints=("domain", "points"),
    instances=(
        scene({"kind": "circle", "radius": "1"}, ["0.6", "0.8"], "0.01"),
        scene(PARABOLA, ["0.5", "0.125"], "0.1"),
        scene({"kind": "helix", "radius": "1", "pitch": "1"}, ["0.5", "0.5", "0.5"], "0.1"),
        scene({"kind": "sinh", "scale": "0.5", "size": 1}, ["0.5"], "0.2"),
        {
            "model": {
                "decoder": {"kind": "affine", "weight": [["0.5"], ["1"]], "bias": ["1", "0"]},
                "likelihood": {"kind": "poisson"},
            },
            "x": ["3", "1"],
        },
    ),
    prepare=_prepare,
    prove=_positive,
    sentence=lambda i, p: (
        f"For {describe_model(i)}, the ELBO over all Gaussians is greatest at exactly one, of mean "
        f"{p['loc_0']} and variance {p['var_0']}, where it is {p['elbo_0']}; the log evidence is "
        f"{p['log_evidence']}, so every Gaussian loses at least {p['gap']} nats, which is positive."
    ),
)


def _folded(work: Workshop, inputs: Inputs, witness: Inputs) -> dict[str, Proved]:
    model, x = model_of(inputs)
    # The decoder is even, so the ELBO is the same at m and -m.
    demand(model.decoder == Polynomial([[2]], [["1"]]), "the decoder is z^2")
    tight, wide = _candidates(witness)
    demand(len(tight) == 2, "there are two maximisers")
    for pair in (tight, wide):
        mirrored = (-pair[0].centre[0], *pair[0].centre[1:])
        demand(mirrored == pair[1].centre, "the two boxes are mirror images")
        demand(pair[0].radius == pair[1].radius, "the two boxes are mirror images")
    demand(tight[0].box[0][1] < 0 < tight[1].box[0][0], "the two boxes lie on either side of 0")
    proved = _prove(work, model, x, read_domain(witness["domain"]), tight, wide)
    demand(proved["gap"].lower > Fraction(1, 2), "the gap is above a half")  # type: ignore[union-attr]
    return proved


FOLD = Certified(
    label="3g",
    title="A fold keeps its gap: two maximisers, and neither covers both modes",
    statement=r"f(z) = z^2: \quad \operatorname*{arg\,max}_{m, v} \mathrm{ELBO} = \{(-m^*, v^*),"
    r" (m^*, v^*)\}, \quad \log p(x) - \max \mathrm{ELBO} > \tfrac12",
    keys=("model", "x"),
    hints=("domain", "points"),
    instances=tuple(scene(SQUARE, ["1"], scale) for scale in ("0.3", "0.05")),
    prepare=_prepare_mirrored,
    prove=_folded,
    sentence=lambda i, p: (
        f"For {describe_model(i)}, the ELBO over all Gaussians is greatest at exactly two, mirror "
        f"images of each other, of mean {p['loc_0']} and {p['loc_1']} and variance {p['var_0']}; "
        f"the gap there is {p['gap']} nats, above a half (log 2 is its limit as sigma -> 0)."
    ),
)
