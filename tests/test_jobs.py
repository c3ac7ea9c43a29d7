"""Work spread over processes: what is left of it when the first process is killed."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaetheory.cli._jobs import processes


def blas_threads():
    """How many threads OpenBLAS uses in this process, by its own account; None without OpenBLAS."""
    np.dot(np.ones((2, 2)), np.ones((2, 2)))
    try:
        loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    except OSError:
        return None
    for path in loaded:
        if "openblas" not in path:
            continue
        library = ctypes.CDLL(path)
        for name in ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads"):
            if hasattr(library, name):
                return int(getattr(library, name)())
    return None


@pytest.mark.parametrize("given", [None, "4"])
def test_each_job_uses_one_thread_for_linear_algebra(monkeypatch, given):
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    for name in names:
        if given is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, given)
    with processes(2) as pool:
        asked = [pool.submit(os.getenv, name).result() for name in names]
        threads = pool.submit(blas_threads).result()
    assert asked == ["1"] * 3, f"a job was told to use {asked} threads"
    assert threads in (1, None), f"a job uses {threads} threads"
    left = [os.environ.get(name) for name in names]
    assert left == [given] * 3, f"the environment of this process was changed to {left}"


def test_workers_end_with_a_parent_that_is_killed():
    script = (
        "import os, signal\n"
        "from vaetheory.cli._jobs import processes\n"
        "if __name__ == '__main__':\n"
        "    with processes(2) as pool:\n"
        "        print(pool.submit(os.getpid).result() != os.getpid(), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The pipe ends when the last process that could write to it has ended.
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == "True\n", f"{found.stdout}{found.stderr}"
    assert found.returncode == -9, f"the parent was not killed: {found.returncode}"
