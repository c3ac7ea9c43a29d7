"""Work spread over processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

#: More processes than any machine that this was tried on has cores.
_MOST = 4096


def _end_with_parent() -> None:
    """Let this worker end with its parent: of a killed one it would hear nothing, and wait."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def processes(jobs: int) -> Iterator[Executor | None]:
    """Processes for more than one job, in a pool that an interruption ends; none for one."""
    if not 1 <= jobs <= _MOST:
        raise ValueError(f"--jobs: expected at least 1 and at most {_MOST}, got {jobs}")
    if jobs == 1:
        yield None
        return
    # Each process computes on one core; what is set here is read when they import NumPy.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
