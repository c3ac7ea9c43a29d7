"""Files that options name."""

from __future__ import annotations

from pathlib import Path


def writable(option: str, name: str | None) -> Path | None:
    """The file that an option names to write to, before anything is computed; none for none.

    Raises
    ------
    ValueError
        If its folder does not exist, or something else than a file has that name.
    """
    if not name:
        return None
    path = Path(name)
    if not path.resolve().parent.is_dir():
        raise ValueError(f"{option}: expected a folder that exists, got {path}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{option}: expected a file, got {path}, which is something else")
    return path
