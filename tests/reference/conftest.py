"""Keeps the scripts of this folder, which need mpmath, out of the suite's collection."""

collect_ignore_glob = ["*.py"]
