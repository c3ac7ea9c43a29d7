"""Data that a loss alters before they are encoded: which of its steps makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._jax._decoder_inputs import Results, decoder_inputs
from vaetheory.audit._jax._interpreter import Site

#: The place of the data that were given: they are made by no step.
HERE: Site = ()


def entrance(
    shown: Iterable[Results],
    x: Array,
    encode: Callable[[Array], Results],
    rng: np.random.Generator,
) -> list[Site]:
    """The steps of a loss whose results are encoded, `HERE` for `x`; none if `x` alone is.

    Parameters
    ----------
    shown : iterable of mappings
        Results of all steps of the loss, by their sites: of one key after another, since with one
        key a permutation may leave all examples where they are, and a mask may keep everything.
    x : array (B, ...)
        The data that the loss was given.
    encode : callable
        The results of the steps of `encode` at data (n, ...), of any n.
    rng : numpy.random.Generator
    """
    row = x.shape[1:]

    def rows(flat: Array) -> Results:
        return encode(flat.reshape(-1, *row))

    before: list[Site] = []
    for results in shown:
        some = {site: each for site, each in results.items() if _of_rows(each, row)}
        found = decoder_inputs(
            results,
            int(np.prod(row)),
            rows,
            rng,
            candidates={HERE: [x], **some},
            ordered=True,
        )
        made = {site for site in found if site != HERE}
        if made & set(before):
            return before
        if made:
            before = found
        elif not before and not any(
            np.array_equal(np.ravel(each), np.ravel(x)) for each in some.values()
        ):
            return []
    return before


def _of_rows(each: Sequence[Any], row: tuple[int, ...]) -> bool:
    """Whether results are examples: a batch of them, several, or one in each turn of a loop."""
    shape = np.shape(each[0])
    return (len(each) > 1 or len(shape) > len(row)) and shape[len(shape) - len(row) :] == row


def encoded_data(x: Array, found: Array) -> Array:
    """What the encoder got, as data like `x`; numbers that stayed whole have its type."""
    rows = found.reshape(-1, *x.shape[1:])
    same = rows.astype(x.dtype)
    return same if np.array_equal(same, rows) else rows
