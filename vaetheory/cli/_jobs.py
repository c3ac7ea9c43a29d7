"""Where the work runs: process pools for `--jobs`, a cluster for `--scheduler`."""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

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
#: How long to wait for a scheduler.
_SECONDS = 10


def _end_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait forever for a killed one."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say where the work runs."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="number of processes (1)")
    where.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="address of the scheduler of a running Dask cluster, such as tcp://HOST:8786",
    )  # fmt: skip


@contextmanager
def workers(options: argparse.Namespace) -> Iterator[Executor | None]:
    """The executor that the arguments of `declare` ask for; None for this process."""
    if options.scheduler is None:
        with processes(options.jobs) as pool:
            yield pool
        return
    with _client(options.scheduler) as client:
        # Tasks that write files are no pure functions.
        yield client.get_executor(pure=False)


def _client(address: str) -> Any:
    """A client of the Dask cluster whose scheduler has this address, or a ValueError."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError:
        raise ValueError(
            "--scheduler: expected Dask's distributed to be installed (pip install "
            f"'vaetheory[distributed]'), got no such module for {address}"
        ) from None
    try:
        return distributed.Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"--scheduler: expected the address of a running scheduler, got {address}: {error}"
        ) from None


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
