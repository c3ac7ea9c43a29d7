"""Work spread over processes: what is left of it when the first process is killed."""

import subprocess
import sys


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
