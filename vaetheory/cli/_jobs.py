"""Process pools for `--jobs`."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

#: What the libraries behind NumPy and PyTorch read, when they are loaded, for their own threads.
_THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
#: The most processes; no tested machine has as many cores.
_MOST = 4096


def _end_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait forever for a killed one."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


@contextmanager
def processes(jobs: int) -> Iterator[Executor | None]:
    """A pool of processes that is shut down on an interruption; None for one job.

    Each process uses one thread for linear algebra, whatever this process and its environment use:
    the jobs are as many as the cores should serve.
    """
    if not 1 <= jobs <= _MOST:
        raise ValueError(f"--jobs: expected at least 1 and at most {_MOST}, got {jobs}")
    if jobs == 1:
        yield None
        return
    # New processes, not copies of this one: they load the libraries themselves and read these.
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
