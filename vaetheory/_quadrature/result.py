"""The result type of every numerical integral of the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory._value_equality import ByValue

REACHED = "reached"
NOT_REACHED = "not reached"
GAVE_UP = "gave up"


@dataclass(frozen=True, eq=False)
class Integral(ByValue):
    """Values of a batch of integrals, with their error figures and statuses.

    Attributes
    ----------
    value : array (...)
        The values (in nats for a log evidence).
    error : array (...)
        Absolute error figure of each value, in the same unit; the routine's docstring says
        whether it is an estimate or a bound.
    status : array of str (...)
        `"reached"` (the tolerance), `"not reached"`, or `"gave up"` (the budget was spent first).
    nodes : int
        Number of evaluations of the integrand, summed over all data.

    Examples
    --------
    >>> import numpy as np
    >>> bool(Integral(np.array(1.0), np.array(1e-12), np.array("reached"), 15).reached)
    True
    """

    value: Array
    error: Array
    status: NDArray[np.str_]
    nodes: int

    def reshape(self, shape: tuple[int, ...]) -> Integral:
        """The same integrals in arrays of another shape."""
        arrays = (self.value.reshape(shape), self.error.reshape(shape), self.status.reshape(shape))
        return Integral(*arrays, self.nodes)

    @property
    def reached(self) -> NDArray[np.bool_]:
        """True where the tolerance was reached."""
        return np.asarray(self.status == REACHED)
