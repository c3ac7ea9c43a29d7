"""Files that lie are refused in a sentence, within a second and the memory that is stated."""

import json
import subprocess
import sys

import pytest
from hostile_files import CONTENTS, PLACES, make

NAMES = [*CONTENTS, *PLACES]
# What the documentation of `read` states.
MOST_MEMORY = 768 * 2**20

CHILD = """
import json, resource, sys, time
from pathlib import Path
from vaetheory.training import read_data
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + {most},) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (300, 300))
for name, path in json.load(sys.stdin).items():
    started = time.process_time()
    try:
        kind, told = "read", str(read_data(path))
    except Exception as error:
        kind, told = type(error).__name__, str(error)
    print(json.dumps([name, kind, told, time.process_time() - started]), flush=True)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a process of that much memory answers to each file."""
    paths = make(tmp_path_factory.mktemp("hostile"))
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(most=MOST_MEMORY)],
        input=json.dumps({name: str(path) for name, path in paths.items()}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(paths), f"it ended after {found[-1:]}: {done.stderr[-2000:]}"
    return {name: (str(paths[name]), *rest) for name, *rest in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_is_refused_in_a_sentence(name, answers):
    path, kind, told, seconds = answers[name]
    assert kind == "ValueError", f"{kind}: {told:.300}"
    assert told.startswith(f"{path}: expected "), f"not the house's form: {told:.300}"
    assert "got" in told, f"it does not say what came: {told:.300}"
    assert told.isprintable(), f"not one plain line: {told!r:.300}"
    assert len(told) < 500, f"no sentence of {len(told)} characters"
    assert seconds < 1, f"{seconds:.2f} CPU seconds for: {told:.200}"
