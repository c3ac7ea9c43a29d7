"""Which latents the decoder got, and which of the draws made them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._draws import Draw

#: Which of several calls of the decoder count.
SELECTIONS = ("all", "first", "last")


def latents(
    calls: Sequence[Array], draws: Sequence[Draw], loc: Array, selection: str
) -> tuple[Array | None, Array | None, Draw | None]:
    """The latents (K, B, d) that the decoder got, their noise (K, B, d), and its draw.

    Where K samples come in one array its first two axes may have either order. In the right one
    (z - loc)/noise is the same for all samples, whatever the law.
    """
    size = loc.size
    usable = [c for c in calls if c.size and c.size % size == 0]
    if not usable and calls and sum(c.size for c in calls) % size == 0:
        # Parts of a batch, one after another.
        usable = [np.concatenate([c.ravel() for c in calls])]
    if not usable:
        return None, None, None
    if selection == "first":
        usable = usable[:1]
    elif selection == "last":
        usable = usable[-1:]
    best: tuple[float, Array, Array | None, Draw | None] | None = None
    for inner in (False, True):
        z = np.concatenate([_samples(values, loc, inner) for values in usable])
        eps, draw = noise(draws, z, loc)
        spread = _unsteady(z, eps, loc)
        # Of examples that are alike both orders are steady, to rounding.
        if best is None or spread < best[0] - 1e-12:
            best = (spread, z, eps, draw)
        if len(z) == 1 or len(loc) == 1:
            break
    assert best is not None
    return best[1:]


def _samples(values: Array, loc: Array, inner: bool) -> Array:
    """An array as (K, B, d), with its samples first or beside each other."""
    B, d = loc.shape
    k = values.size // loc.size
    return values.reshape(B, k, d).swapaxes(0, 1) if inner else values.reshape(k, B, d)


def _unsteady(z: Array, eps: Array | None, loc: Array) -> float:
    """How much (z - loc)/noise varies over the samples."""
    if eps is None or len(z) == 1:
        return 0.0
    with np.errstate(all="ignore"):
        s = np.where(np.abs(eps) > 1e-2, (z - loc) / eps, np.nan)
        # Against the first sample whose noise is not small.
        first = np.take_along_axis(s, np.abs(eps).argmax(axis=0)[None], axis=0)
        off = np.abs(s - first)
        return float(off[np.isfinite(off)].mean()) if np.isfinite(off).any() else np.inf


def noise(draws: Sequence[Draw], z: Array, loc: Array) -> tuple[Array | None, Draw | None]:
    """The noise (K, B, d) of latents: the draw that goes along with z - loc, with its law."""
    B, d = loc.shape
    found: list[tuple[float, float, Array, Draw]] = []
    k = len(z)
    ordinary = [w for w in draws if w.law != "bernoulli" and w.floating]
    off = (z - loc).ravel()
    for i, draw in enumerate(ordinary):
        value = draw.array
        made: list[Array] = []
        if k == 1 and value.shape == (d, B) and d != B:
            made += [value.T[None]]
        elif value.size == z.size:
            made += [value.reshape(k, B, d)]
            if k > 1:
                made += [value.reshape(B, k, d).swapaxes(0, 1)]
        if k % 2 == 0 and 2 * value.size == z.size:
            # Pairs of opposite signs.
            half = value.reshape(k // 2, B, d)
            made.append(np.concatenate([half, -half]))
        if k > 1 and value.size == B * d:
            group = ordinary[i : i + k]
            if len(group) == k and all(g.numbers == B * d for g in group):
                made.append(np.stack([g.array.reshape(B, d) for g in group]))
            made.append(np.broadcast_to(value.reshape(1, B, d), z.shape))
        if value.size == d and value.size != z.size:
            made.append(np.broadcast_to(value.reshape(d), z.shape))
        if value.size == B and value.size != z.size:
            made.append(np.broadcast_to(value.reshape(1, B, 1), z.shape))
        if value.size == 1 and z.size > 1:
            made.append(np.broadcast_to(value.reshape(1, 1, 1), z.shape))
        for one in made:
            flat = one.ravel()
            size = float(np.linalg.norm(off) * np.linalg.norm(flat))
            along = abs(float(off @ flat)) / size if size > 0 else 0.0
            found.append((_unsteady(z, one, loc) if k > 1 else 0.0, along, one, draw))
    if not found:
        return None, None
    # The steadiest, and of these the first that goes along best.
    least = min(f[0] for f in found)
    steady = [f for f in found if f[0] <= least + 1e-9]
    best = max(steady, key=lambda f: round(f[1], 6))
    return np.array(best[2]), best[3]


def assumed(
    draws: Sequence[Draw], loc: Array, log_variance: Array, factor: Array | None
) -> tuple[Array, Array | None, Draw | None]:
    """Latents (K, B, d) of the right law where the decoder's are not seen; noise and its draw."""
    eps, source = noise(draws, loc[None] + 1.0, loc)
    e = np.zeros((1, *loc.shape)) if eps is None else eps
    off = np.exp(log_variance / 2) * e
    if factor is not None:
        off = np.einsum("nij,knj->kni", factor, e)
    return loc + off, eps, source


def others_of(
    draws: Sequence[Draw], eps: Array | None, shape: tuple[int, ...]
) -> tuple[Array, ...]:
    """Normal draws of the size of the latents, besides the noise of those that are decoded."""
    found = [
        d.array.reshape(shape)
        for d in draws
        if d.law == "normal" and d.numbers == shape[0] * shape[1]
    ]
    known = () if eps is None else tuple(eps)
    return tuple(e for e in found if not any(np.array_equal(e, k) for k in known))
