"""Least squares with a residual that decides, and coefficients that are known or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaetheory._validation import Array

#: Below this share of the loss's spread a residual is rounding, where all is in float64. Right and
#: wrong forms are far from it on either side: rounding leaves 1e-12, another form 1e-4 and more.
EXACT = 1e-9
#: Below this share a form is right but for a guard such as log(p + 1e-8).
GUARDED = 1e-5


@dataclass(frozen=True)
class Fit:
    """A loss as a combination of named terms.

    Attributes
    ----------
    coefficients : mapping
        Of each term, in nats per unit of the term.
    errors : mapping
        What rounding and the residual leave open of each coefficient: an estimate.
    residual : float
        The norm of what is not explained, as a share of the spread of the loss.
    constant : tuple of str
        The terms that did not vary, so that their coefficients are part of the constant.
    """

    coefficients: Mapping[str, float]
    errors: Mapping[str, float]
    residual: float
    constant: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        return self.coefficients.get(name, 0.0)

    def known(self, name: str) -> bool:
        """Whether a coefficient is known to six digits of its size, or of 1."""
        return self.errors.get(name, 0.0) < 1e-6 * max(1.0, abs(self[name]))


def fit(columns: Mapping[str, Array], y: Array) -> Fit:
    """Fit `y` (n,) by columns (n,), the last of which should be a column of ones.

    Terms that do not vary are left out, since the constant holds them.
    """
    y = np.asarray(y, dtype=np.float64)
    usable = {n: c for n, c in columns.items() if squarable(c)}
    still = tuple(n for n, c in usable.items() if n != "1" and _still(c))
    names = [n for n in usable if n not in still]
    if not squarable(y) or len(names) >= len(y):
        return Fit({}, {}, np.inf, still)
    design = np.stack([usable[n] for n in names], axis=1)
    size = np.linalg.norm(design, axis=0)
    size[size == 0] = 1.0
    left, values, right = np.linalg.svd(design / size, full_matrices=False)
    kept = values > 1e-13 * values[0]
    solved = right.T[:, kept] @ ((left.T @ y)[kept] / values[kept])
    off = y - design @ (solved / size)
    # One step of refinement.
    more = right.T[:, kept] @ ((left.T @ off)[kept] / values[kept])
    solved = solved + more
    off = y - design @ (solved / size)
    spread = np.linalg.norm(y - y.mean()) + 1e-300
    # Of each coefficient: what an error of the size of the residual, or of rounding, may change.
    noise = max(float(np.linalg.norm(off)), 1e-15 * float(np.linalg.norm(y)))
    open_ = noise * np.sqrt(((right.T[:, kept] / values[kept]) ** 2).sum(axis=1))
    # A direction that was left out may have any coefficient.
    lost = (right.T[:, ~kept] ** 2).sum(axis=1) > 1e-12
    open_[lost] = np.inf
    return Fit(
        dict(zip(names, (solved / size).tolist(), strict=True)),
        dict(zip(names, (open_ / size).tolist(), strict=True)),
        float(np.linalg.norm(off) / spread),
        still,
    )


def simplest(
    columns: Mapping[str, Array], y: Array, last: Sequence[str], exact: float = EXACT
) -> Fit:
    """The fit with the fewest terms that is exact; the terms are tried in the order of `columns`.

    Where several combinations are exact, because a term is a combination of others here, that
    without the rarer terms is given: `last` are those that are never left out.
    """
    best = fit(columns, y)
    if not best.residual <= exact:
        return best
    kept = dict(columns)
    for name in columns:
        if name in last or name in best.constant:
            continue
        fewer = {n: c for n, c in kept.items() if n != name}
        tried = fit(fewer, y)
        if tried.residual <= exact:
            kept, best = fewer, tried
    return best


def squarable(values: Array) -> bool:
    """Whether values are finite, and their squares too."""
    return bool((np.abs(values) < 1e150).all())


def _still(column: Array) -> bool:
    """Whether a column is a constant, to rounding."""
    return bool(np.ptp(column) <= 1e-12 * np.abs(column).max())
