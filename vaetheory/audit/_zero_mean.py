"""Terms whose mean over the noise is 0: a loss that has them has the mean it has without them.

Of several samples the weights need only add up to 1: R of one sample minus the mean over all has
the mean 0. So have the products of the noise e with functions of the data, as control variates are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit import _noise
from vaetheory.audit._shots import Shot

#: The name with which the terms begin.
PREFIX = "mean 0: "
#: Up to so many samples have weights of their own.
_MOST = 8


def columns(shots: Sequence[Shot]) -> dict[str, Array]:
    """The terms, summed over the batch; none where the noise is not that of the posterior."""
    if not all(s.gaussian and s.factor is None for s in shots) or not _noise.right(shots):
        return {}
    rows = []
    for shot in shots:
        assert shot.eps is not None
        e = shot.eps.mean(axis=0)
        row = {
            "e": e.sum(),
            "e m": (e * shot.loc).sum(),
            "e exp(v/2)": (e * np.exp(shot.log_variance / 2)).sum(),
        }
        nll = shot.decoded.nll
        if 1 < len(nll) <= _MOST:
            off = (nll - nll.mean(axis=0)).sum(axis=1)
            row |= {f"R of sample {k + 1}": off[k] for k in range(len(nll) - 1)}
        rows.append(row)
    if len({tuple(r) for r in rows}) > 1:
        return {}
    return {PREFIX + n: np.array([r[n] for r in rows]) for n in rows[0]}
