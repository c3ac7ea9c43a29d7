"""Runs of pytest in a process of its own."""

import subprocess
import sys
from importlib import metadata


def run_pytest(folder, *arguments):
    """The output of pytest in a process of its own, with the plugin."""
    entered = metadata.entry_points(group="pytest11", name="vaetheory")
    plugin = [] if entered else ["-p", "vaetheory._pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
