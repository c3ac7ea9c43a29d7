"""The cyclic garbage collector, paused while Hypothesis draws instances."""

from __future__ import annotations

import gc
from threading import Lock


class _PausedCollector:
    """Within it, Python does not look for cycles of objects that nothing refers to any more.

    Hypothesis makes many small objects for each instance and keeps most of them until the last is
    drawn: the collector would walk through them again and again, for a quarter of the time of
    drawing, and find little. Several threads may be inside; the last to leave restores what the
    first one found.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._enabled = Lock(), 0, False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._enabled = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._enabled:
                gc.enable()


paused_collector = _PausedCollector()
