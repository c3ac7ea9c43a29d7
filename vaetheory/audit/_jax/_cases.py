"""One evaluation of a function of JAX: what it is given, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaetheory._validation import Array
from vaetheory.audit._jax._draws import Draw


@dataclass
class Case:
    """Data and noise of one evaluation."""

    x: Array
    draws: list[Draw]
    seed: int


@dataclass
class Ran:
    """What a function has returned, with its draws and the inputs of the decoder."""

    result: Any
    draws: list[Draw]
    calls: list[Array]


@dataclass(frozen=True)
class Encoded:
    """A posterior: means and variances (B, ...), and whether it is Gaussian."""

    loc: Array
    log_variance: Array
    factor: Array | None
    other: bool
