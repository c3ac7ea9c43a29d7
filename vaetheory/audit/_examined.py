"""What was found in one mode of a module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vaetheory.audit._identity import Identity
from vaetheory.audit._setting import Reading
from vaetheory.audit._shots import Shot


@dataclass
class Examined:
    """An equation, what it says, and the shots on which it rests.

    Attributes
    ----------
    identity : Identity
        The equation.
    reading : Reading
        The effective weights.
    shots : mapping
        The shots by the size of their batch.
    """

    identity: Identity
    reading: Reading
    shots: dict[int, list[Shot]] = field(default_factory=dict)

    @property
    def all(self) -> Sequence[Shot]:
        """The shots of all sizes."""
        return [s for of in self.shots.values() for s in of]
