"""Where the library calls itself with arrays that it made or has checked: no checks there."""

from __future__ import annotations

import threading

import numpy as np


class _Trust(threading.local):
    """Whether this thread is in code of the library whose arguments need no check."""

    given = False


TRUST = _Trust()


class unchecked:
    """Within it, methods take their arguments as they are: float64 arrays that fit and are finite.

    It is for rules that call the methods of a model many times, with data that were checked once
    and with latents and params that they computed. Functions and methods of a user that are called
    within it are outside again (`vaetheory._arguments.protected`). What methods return is checked
    as everywhere. NumPy's floating-point warnings are suppressed, as by the methods themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import likelihoods
    >>> with unchecked():
    ...     float(likelihoods.Gaussian(scale=1.0).score(np.ones(1), np.zeros(1))[0])
    1.0
    """

    __slots__ = ("_before", "_errors")

    def __enter__(self) -> None:
        self._errors = np.errstate(all="ignore")
        self._errors.__enter__()
        self._before, TRUST.given = TRUST.given, True

    def __exit__(self, *error: object) -> None:
        TRUST.given = self._before
        self._errors.__exit__(None, None, None)
