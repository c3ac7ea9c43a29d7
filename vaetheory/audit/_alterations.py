"""A loss that alters its data before it uses them: how it is read, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._findings import NOTE, WRONG, Findings

#: Readings of the data: as they were given; as the encoder gets them; the same for the posterior
#: alone, while the likelihood is that of the given ones; and as several batches that are encoded
#: one after another, as views of the same data, in both ways.
GIVEN, SEEN, CLEAN = "given", "seen", "clean"
VIEWS = "views", "views for the encoder"
#: The readings of data that are altered.
OF_ALTERED = (SEEN, CLEAN, *VIEWS)
#: Those of which the likelihood is that of the given data.
_OF_GIVEN = (CLEAN, VIEWS[1])

_SENTENCES = {
    "shuffled": "loss(x) shuffles its batch: what was found holds for the examples in their new "
    "order",
    "drawn": "loss(x) draws examples of its batch: what was found holds for those that are drawn",
    "changed": "loss(x) changes its data first, as by flips, noise or a scaling: what was found "
    "holds for the changed data, and the bound is one of their density",
    "encoder": "loss(x) changes the data that the encoder gets, and compares the decoder with "
    "those that were given: this is an ELBO whose posterior depends on changed data",
}


def compared(reading: str, x: Any, seen: Any) -> Any:
    """The data of the likelihood: those that are encoded, or those that were given.

    Parameters
    ----------
    reading : str
        One of the readings above.
    x, seen : array or tensor (B, ...) and (n, ...)
        The data that were given, and those that are encoded: the given ones come again for each
        view of them, and count for no part of a batch.
    """
    if reading not in _OF_GIVEN or len(seen) % len(x):
        return seen
    return x[np.arange(len(seen)) % len(x)]


def kind(reading: str, x: Array, seen: Array) -> str | None:
    """How data were altered.

    None, "shuffled", "drawn" from the same rows, "changed"; for the encoder alone "encoder", or
    "mismatched" if it gets other examples.
    """
    if seen.shape == x.shape and bool((seen == x).all()):
        return None
    same = (seen.reshape(len(seen), 1, -1) == x.reshape(1, len(x), -1)).all(-1)
    rows = bool(same.any(1).all())
    if reading in _OF_GIVEN:
        return "mismatched" if rows else "encoder"
    if not rows:
        return "changed"
    return "shuffled" if len(seen) == len(x) and bool(same.any(0).all()) else "drawn"


def say(kind: str | None, into: Findings) -> None:
    """Note how data were altered; `kind` is one of the keys above, or "mismatched"."""
    if kind == "mismatched":
        into.add(
            "recon.mismatched",
            WRONG,
            1.0,
            "1: the encoder gets other examples than loss(x)",
            "the decoder's output is compared with other examples than those that were encoded",
            "shuffle data and targets together",
        )
    elif kind is not None:
        into.add(
            f"data.{kind}-inside",
            NOTE,
            1.0,
            "1: the encoder gets other data than loss(x)",
            _SENTENCES[kind],
            "nothing, if this is meant",
        )
