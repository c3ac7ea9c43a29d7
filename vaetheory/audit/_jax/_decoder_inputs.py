"""Which results of a loss's steps are the latents that its decoder gets.

A result z of the loss is an input of the decoder if the steps of `decode(params, z)` give numbers
that the loss computes too. Numbers are compared however they are ordered.
In the same way the data are found that the encoder gets, where order counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._jax._interpreter import Site

#: Arrays agree if their power sums do, to this share.
_SAME = 1e-9
#: Samples of one example beyond which a result is not taken for latents.
_SAMPLES = 64
#: Candidates that are tried.
_MOST = 400

Results = Mapping[Site, Sequence[Any]]


def decoder_inputs(
    results: Results,
    size: int,
    decode: Callable[[Array], Results],
    rng: np.random.Generator,
    *,
    candidates: Results | None = None,
    ordered: bool = False,
) -> list[Site]:
    """The steps of a loss whose results are decoded, in the order in which they are.

    A step of the decoder's own is none: what another one of them gives on its way.

    Parameters
    ----------
    results : mapping
        Results of all steps of the loss, by their sites.
    size : int
        How many numbers the latents of the batch are.
    decode : callable
        The results of the steps of `decode` at latents, an array of a multiple of `size` numbers.
    rng : numpy.random.Generator
    candidates : mapping, optional
        Results that are tried, if not all.
    ordered : bool
        Whether numbers in another order are others.
    """

    def print_of(a: Array) -> Array:
        return _in_order(a) if ordered else _fingerprint(a)

    arrays = {site: _whole(each) for site, each in results.items()}
    prints = {site: print_of(a) for site, a in arrays.items() if _varied(a)}
    index: dict[int, list[tuple[int, Array]]] = {}
    for i, (site, one) in enumerate(prints.items()):
        index.setdefault(arrays[site].size, []).append((i, one))
    tried: list[_Tried] = []
    seen: dict[int, list[Array]] = {}
    own: dict[int, Results] = {}
    tries = arrays if candidates is None else {s: _whole(e) for s, e in candidates.items()}
    for site, a in tries.items():
        if not a.size or not np.isfinite(a).all():
            continue
        one = print_of(a)
        if a.size % size or a.size // size > _SAMPLES or _among(one, seen.get(a.size, ())):
            continue
        seen.setdefault(a.size, []).append(one)
        if len(tried) >= _MOST:
            break
        if a.size not in own:
            own[a.size] = decode(rng.normal(size=a.size))
        other = own[a.size]
        places: list[int] = []
        given: list[Array] = []
        for place, each in decode(a.ravel()).items():
            made = _whole(each)
            # What does not depend on the latents says nothing.
            same = place in other and np.array_equal(made, _whole(other[place]), equal_nan=True)
            if same or not _varied(made):
                continue
            found = print_of(made)
            if made.size == a.size and _alike(found, one):
                continue
            given.append(found)
            places += [i for i, b in index.get(made.size, ()) if _alike(found, b)][:1]
        tried.append(_Tried(site, one, places, given))
    most = max((len(t.places) for t in tried), default=0)
    good = [t for t in tried if t.places and 2 * len(t.places) >= most]
    ways = [t.print for t in good if any(_among(t.print, o.given) for o in good)]
    good = [t for t in good if not _among(t.print, ways)]
    return [t.site for t in sorted(good, key=lambda t: min(t.places))]


class _Tried(NamedTuple):
    """A candidate, what it gives when it is decoded, and where the loss computes the same."""

    site: Site
    print: Array
    places: list[int]
    given: list[Array]


def _whole(each: Sequence[Any]) -> Array:
    return np.concatenate([np.ravel(np.asarray(e, dtype=np.float64)) for e in each])


def _varied(a: Array) -> bool:
    return bool(a.size > 1 and np.isfinite(a).all() and np.ptp(a) > 0)


def _fingerprint(a: Array) -> Array:
    """Sums of powers and of moduli, which do not depend on the order."""
    return np.array([a.sum(), np.abs(a).sum(), (a**2).sum(), (a**3).sum()])


def _in_order(a: Array) -> Array:
    """The same, and a sum that depends on it."""
    return np.append(_fingerprint(a), (a * np.cos(np.arange(a.size))).sum())


def _alike(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max() <= _SAME * (np.abs(a).max() + np.abs(b).max()))


def _among(one: Array, others: Sequence[Array]) -> bool:
    return any(_alike(one, other) for other in others)
