"""What a loss is beyond the range in which its equation was found: clamped, or a mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit import _divergence, _floors, _reconstruction
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity, predicted
from vaetheory.audit._setting import power
from vaetheory.audit._shots import Shot

#: Numbers closer than this, relative to the size of the terms, are the same.
_SAME = 1e-7
#: By how much the parameters of the decoder are multiplied.
_GAINS = tuple(1.4**i for i in range(1, 13))


def mirrored(identity: Identity, shots: Sequence[Shot], into: Findings) -> bool:
    """Name a capacity |KL - C|: the divergence enters as C - KL below C and as KL - C above it.

    `shots` are those at which the equation does not hold; whether they are on the other side.
    """
    weight = _weight(identity, "KL")
    if weight is None or weight >= 0 or len(shots) < 2:
        return False
    level = []
    for shot in shots:
        value, size = predicted(identity, shot)
        divergence = identity.fits[shot.size]["KL"] * _divergence_of(identity, shot)
        # With p = a R + k KL + c below C, where c = -k C, the value above it is p - 2 (k KL + c).
        off = shot.values[identity.entry] - value
        level.append((-off / 2 - divergence, size))
    # The smallest terms tell it best.
    constant, _ = min(level, key=lambda pair: pair[1])
    if any(abs(c - constant) > _SAME * (1 + size) for c, size in level) or not constant > 0:
        return False
    size = shots[0].size
    capacity = constant / -identity.fits[size]["KL"] / size
    for code in ("outside.capacity", "kl.sign", "weight.kl", "constant"):
        into.drop(code)
    into.add(
        "outside.capacity",
        NOTE,
        capacity,
        "the divergence in nats at which the loss is smallest, held on both sides of it",
        f"the loss has {-weight:.6g} |KL - C| with the capacity C = {capacity:.6g} nats: this is "
        "not the ELBO of the declared model",
        "nothing, if a capacity is meant",
    )
    return True


def one_sided(identity: Identity, into: Findings) -> None:
    """A divergence that enters with the wrong sign also where it is large has no capacity."""
    weight = _weight(identity, "KL")
    if "outside.capacity" not in into or weight is None:
        return
    into.drop("outside.capacity")
    into.add(
        "kl.sign",
        WRONG,
        weight,
        "the coefficient of the divergence an example",
        f"the divergence enters with the wrong sign ({weight:.6g}), also where it is large: a "
        "larger one is a smaller loss",
        "add the divergence, (m^2 + exp(v) - v - 1)/2",
    )


def clamped_divergence(identity: Identity, shots: Sequence[Shot], into: Findings) -> bool:
    """Name a divergence that is a constant where it is large."""
    return _clamped(identity, "KL", shots, into)


def steep(bench: Any, size: int, identity: Identity, into: Findings, facts: dict[str, Any]) -> None:
    """Compare the loss with its equation where the reconstruction term is large."""
    if identity.form != "declared":
        return
    shots: list[Shot] = []
    gain = 1.0
    for gain in _GAINS:
        shot = bench.steep(size, gain)
        if shot is None:
            break
        shots.append(shot)
    if len(_beyond(identity, shots)) == 1:
        # One shot tells a clamp, and another one must confirm it.
        again = (bench.steep(size, gain / 1.2) for _ in range(6))
        shots += [s for s in again if s is not None]
    bench.moves.home()
    bernoulli = bool(shots) and "logits" in shots[0].decoded.parts
    wrong = _beyond(identity, shots)
    if wrong:
        # A floor of each output first: where all outputs are below it, an example has one too.
        if bernoulli and _floors.floor(identity, shots, into, facts):
            return
        if _clamped(identity, _reconstruction.DECLARED, wrong, into):
            return
        off = [abs(s.values[identity.entry] - predicted(identity, s)[0]) for s in wrong]
        into.add(
            "identity.steep",
            NOTE,
            max(off),
            "the largest distance from the equation in nats",
            "the equation was found for moderate outputs, and does not hold where the "
            f"reconstruction term is large ({max(float(s.decoded.nll.max()) for s in wrong):.4g} "
            "nats an example): a clamp, a guard, or the end of floating point",
            "nothing, if a clamp is meant",
        )
        return
    # What is not explained there may be the end of floating point, and nothing is said.
    for those in _floors.far(bench, size, gain) if bernoulli else ():
        if _floors.floor(identity, those, into, facts):
            return
        if _clamped(identity, _reconstruction.DECLARED, _beyond(identity, those), into):
            return


def _beyond(identity: Identity, shots: Sequence[Shot]) -> list[Shot]:
    """The shots at which the loss is not what its equation says."""
    wrong = []
    for shot in shots:
        value, terms = predicted(identity, shot)
        off = abs(shot.values[identity.entry] - value)
        if np.isfinite(off) and off > _SAME * (1 + terms):
            wrong.append(shot)
    return wrong


def _clamped(identity: Identity, name: str, shots: Sequence[Shot], into: Findings) -> bool:
    """Whether one level explains the shots, at which the term of each example is clamped."""
    weight = _weight(identity, name)
    if not weight or identity.form != "declared" or len(shots) < 2:
        return False
    found = []
    for shot in shots:
        own = _of_examples(name, shot)
        value, size = predicted(identity, shot)
        each = identity.fits[shot.size][name]
        # What the examples have in the loss, in place of their sum.
        rest = (shot.values[identity.entry] - value) / each + own.sum()
        found.append((own, rest, size / abs(each)))
    levels = [_level(own, rest) for own, rest, _ in found]
    best = min((c for c in levels if c is not None), default=None)
    if best is None:
        return False
    off = [
        abs(np.minimum(own, best).sum() - rest) > _SAME * (1 + size) for own, rest, size in found
    ]
    if any(off):
        return False
    part = "divergence" if name == "KL" else "reconstruction term"
    into.add(
        "kl.clamped" if name == "KL" else "recon.clamped",
        WRONG,
        best,
        f"the {part} of an example, in nats, from which on it is the same",
        f"the {part} of an example is clamped above at {best:.6g} nats: beyond that the loss does "
        "not follow it, and is not the ELBO of the declared model",
        "leave the term as it is, or clip the gradient",
    )
    return True


def _level(own: Array, rest: float) -> float | None:
    """The clamp c for which the sum of min(own, c) is `rest`, if it is below the largest."""
    order = np.sort(own)
    for i in range(len(order)):
        c = (rest - order[:i].sum()) / (len(order) - i)
        if c <= order[i] and (i == 0 or c >= order[i - 1]):
            return float(c)
    return None


def _of_examples(name: str, shot: Shot) -> Array:
    """The term of each example in nats."""
    if name == _reconstruction.DECLARED:
        return np.asarray(shot.decoded.nll.mean(axis=0))
    at = _divergence.in_units(shot)
    return np.asarray((at.m**2 + np.exp(at.v) - at.v - 1).sum(-1) / 2)


def _divergence_of(identity: Identity, shot: Shot) -> float:
    columns = _divergence.declared_columns([shot], standard=identity.standard)
    return float(columns["KL"][0])


def _weight(identity: Identity, name: str) -> float | None:
    """The coefficient of a term of an example."""
    if identity.form != "declared":
        return None
    size = max(identity.fits)
    return identity.fits[size][name] * float(size ** (power(identity.fits, name) or 0.0))
