"""The supports of the families: sets in which data can lie, by name."""

from __future__ import annotations

from enum import Enum

import numpy as np

from vaetheory._validation import Array


class Support(Enum):
    """A set of data vectors; its value describes the entries in error messages."""

    REAL = "real numbers"
    POSITIVE = "positive numbers"
    UNIT_INTERVAL = "numbers inside (0, 1)"
    CLOSED_UNIT_INTERVAL = "numbers in [0, 1]"
    CIRCLE = "angles"
    COUNTS = "counts 0, 1, 2, ..."
    BINARY = "zeros and ones"
    ONE_HOT = "one-hot vectors"

    @property
    def counted(self) -> bool:
        """Whether a likelihood on it is a probability, which is at most 1."""
        return self in (Support.BINARY, Support.COUNTS, Support.ONE_HOT)

    def outside(self, x: Array) -> Array:
        """The entries of finite `x` outside the support; for one-hot vectors, whole vectors."""
        if self is Support.POSITIVE:
            return x[x <= 0]
        if self is Support.UNIT_INTERVAL:
            return x[(x <= 0) | (x >= 1)]
        if self is Support.CLOSED_UNIT_INTERVAL:
            return x[(x < 0) | (x > 1)]
        if self is Support.COUNTS:
            return x[(x < 0) | (x != np.round(x))]
        if self is Support.BINARY:
            return x[(x != 0) & (x != 1)]
        if self is Support.ONE_HOT:
            rows = np.reshape(x, (-1, x.shape[-1]))
            hot = ((rows == 0) | (rows == 1)).all(axis=-1) & (rows.sum(axis=-1) == 1)
            return rows[~hot]
        return x[:0]

    def check(self, x: Array, family: str) -> Array:
        """Return `x`, or raise a ValueError that shows an entry outside the support."""
        outside = self.outside(x)
        if len(outside):
            came = f"{outside[0]:g}" if outside.ndim == 1 else f"{outside[0].tolist()}"
            raise ValueError(f"x: expected {self.value} ({family}), got {came}")
        return x
