"""A weight that is no number: it is trained with the loss, or drawn anew in each call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import WRONG, Findings
from vaetheory.audit._identity import explain
from vaetheory.audit._reading import read
from vaetheory.audit._setting import Reading
from vaetheory.audit._shots import Shot

#: Shots at each value of what is held, and how many single parameters are tried.
_HELD, _MOST = 24, 4
#: Outcomes that are given to draws, by their law, and seeds of what is not tapped.
_OUTCOMES = ({"normal": -0.6, "uniform": 0.25}, {"normal": 0.9, "uniform": 0.75})
_SEEDS = (3, 4, 5, 6)
#: Weights are the same up to this share.
_SAME = 1e-6


@dataclass(frozen=True)
class Held:
    """What the loss is made of while something is held.

    Attributes
    ----------
    reading : Reading
        Its weights.
    shots : dict
        Its shots.
    own : Findings
        What else is to be said of it.
    """

    reading: Reading
    shots: dict[int, list[Shot]]
    own: Findings

    @property
    def weights(self) -> tuple[float, float]:
        """The weights of the reconstruction and of the divergence."""
        return self.reading.weight_r or 0.0, self.reading.weight_kl or 0.0


def varying(conduct: Any, found: Examined) -> bool:
    """Name a weight that changes with parameters of one number each, or with what is drawn."""
    return _learned(conduct, found) or _random(conduct, found)


def _learned(conduct: Any, found: Examined) -> bool:
    moves = conduct.bench.moves
    home = dict(list(moves.numbers().items())[:_MOST])
    if not home:
        return False
    with moves.held(home):
        first = _held(conduct)
    if first is None:
        return False
    seen = []
    for name, value in home.items():
        with moves.held({**home, name: value + 0.5 * (1 + abs(value))}):
            other = _held(conduct)
        if other is not None and (part := _part(first, other)):
            seen.append((name, part, other))
    if not seen:
        return False
    names = ", ".join(f"`{n}`" for n, _, _ in seen)
    part = "kl" if len({p for _, p, _ in seen}) > 1 else seen[0][1]
    other = seen[0][2]
    _say(
        conduct,
        f"{_CODES[part]}-learned",
        first,
        "at the given parameters",
        f"{_PARTS[part]} is trained with the loss: it depends on {names}. {_two(first, other)} "
        f"where `{seen[0][0]}` is moved. Training changes the objective, and a weight alone is "
        "driven to where it makes the loss small",
        "fix the weight, or declare what the parameter stands for, as the scale of a likelihood "
        "that is learned",
    )
    return True


def _random(conduct: Any, found: Examined) -> bool:
    first = _held(conduct, 0)
    if first is None:
        return False
    for i in range(1, len(_SEEDS)):
        other = _held(conduct, i)
        if other is None or not (part := _part(first, other)):
            continue
        _say(
            conduct,
            f"{_CODES[part]}-random",
            first,
            "with one outcome of what is drawn besides the noise of the latents",
            f"{_PARTS[part]} is drawn anew in each call of the loss. {_two(first, other)} with "
            "another outcome",
            "use the declared weight",
        )
        return True
    return False


_CODES = {"kl": "weight.kl", "recon": "weight.recon", "all": "loss.scale"}
_PARTS = {
    "kl": "the weight of the divergence",
    "recon": "the weight of the reconstruction term",
    "all": "a factor of the whole loss",
}


def _part(a: Held, b: Held) -> str:
    """Which weight differs: that of the divergence, of the reconstruction, or one of both."""
    (r, kl), (s, other) = a.weights, b.weights

    def differ(one: float, two: float) -> bool:
        return abs(one - two) > _SAME * (abs(one) + abs(two))

    if not differ(kl, other):
        return "recon" if differ(r, s) else ""
    return "all" if not differ(kl * s, other * r) and differ(r, s) else "kl"


def _two(a: Held, b: Held) -> str:
    (r, kl), (s, other) = a.weights, b.weights
    return (
        f"The reconstruction has the weight {r:.6g} and the divergence {kl:.6g}, and "
        f"{s:.6g} and {other:.6g}"
    )


def _say(conduct: Any, code: str, first: Held, where: str, sentence: str, change: str) -> None:
    r, kl = first.weights
    scale = code.startswith("loss.scale")
    number = r if scale or not r else kl / r
    meaning = f"{'the factor' if scale else 'the effective beta'} {where}"
    conduct.findings.add(code, WRONG, number, meaning, sentence, change)
    for finding in first.own.sorted():
        if not finding.code.startswith(("weight.", "loss.scale", "constant", "kl.missing")):
            conduct.findings.include(finding)


def _held(conduct: Any, outcome: int | None = None) -> Held | None:
    """What the loss is, with the noise that is not that of latents held at one of its outcomes."""
    held = contextlib.nullcontext() if outcome is None else _drawing(conduct.bench, outcome)
    with held:
        shots = conduct.observed(_HELD)
    identity = explain(shots, conduct.exact)
    if identity.form not in ("declared", "terms") or identity.remark == "guarded":
        return None
    own = Findings()
    return Held(read(identity, conduct.setting(shots), own), shots, own)


@contextlib.contextmanager
def _drawing(bench: Any, outcome: int) -> Iterator[None]:
    """Single numbers, and one number for each example, are not drawn but given."""
    original = bench.case

    def case(size: int, x: Any = None) -> Any:
        made = original(size, x)
        noise = None if bench.source is None else bench.source.key
        draws = [
            d if d.key == noise or d.numbers not in (1, size) else _given(d, outcome)
            for d in made.draws
        ]
        return replace(made, draws=draws, seed=_SEEDS[outcome])

    bench.case = case
    try:
        yield
    finally:
        del bench.case


def _given(draw: Any, outcome: int) -> Any:
    value = _OUTCOMES[outcome % len(_OUTCOMES)].get(draw.law)
    if value is None:
        if draw.floating and draw.law != "bernoulli":
            return draw
        value = outcome % 2
    return draw.given(np.full(draw.array.shape, value))
