"""Whether the loss of an example depends on the others in its batch."""

from __future__ import annotations

from typing import Any

import numpy as np

_GAINS = (0.05, 0.3, 1.0, 1.8)


def coupled(bench: Any) -> float | None:
    """The largest |l(a, b) - (l(a, a) + l(b, b))/2|, relative to the loss.

    None where it is not finite, or where examples cannot be told apart in the draws.
    """
    worst = 0.0
    for gain in _GAINS:
        case = bench.case(2)
        bench.moved(case.x, 0.5, gain)
        both = bench.values(case)[0]
        try:
            alone = [bench.values(bench.paired(case, i))[0] for i in (0, 1)]
        except (RuntimeError, ValueError, IndexError):
            # The draws of one example cannot be told from those of the other.
            bench.moves.home()
            return None
        off = abs(both - sum(alone) / 2)
        size = 1e-9 + abs(both) + abs(alone[0] - alone[1])
        worst = max(worst, off / size)
    bench.moves.home()
    return float(worst) if np.isfinite(worst) else None
