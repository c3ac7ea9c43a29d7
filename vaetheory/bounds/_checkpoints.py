"""Results of parts of a long computation in a file, from which it can go on."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vaetheory._files import replacing
from vaetheory._validation import Array
from vaetheory.models import LatentModel

#: Latents at which the model is compared, and digits of what it says there.
_LATENTS, _DIGITS = 4, 8


def fingerprint(model: LatentModel, X: Array, options: Mapping[str, object]) -> str:
    """A text that differs for other data, other options, or a model with other values."""
    z = np.random.default_rng(0).normal(size=(_LATENTS, model.latent_dim))
    values = model.log_likelihood(X[:1], z) if len(X) else np.zeros(0)
    found = hashlib.sha256(np.ascontiguousarray(X).tobytes())
    text = [f"{v:.{_DIGITS}e}" for v in values.tolist()]
    found.update(repr((X.shape, text, sorted(options.items()))).encode())
    return found.hexdigest()


class Checkpoint:
    """A file with the arrays of the parts that are done.

    Parameters
    ----------
    path : Path
        Of the file; it need not exist. It is replaced as a whole after each part.
    key : str
        `fingerprint` of the computation.

    Raises
    ------
    ValueError
        If there is a file that is not such a checkpoint, or is that of another computation.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._parts: dict[str, dict[str, Array]] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            with np.load(self._path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            key = str(stored.pop("key"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"checkpoint: expected a file that this function wrote, got {self._path}: {error}"
            ) from None
        if key != self._key:
            raise ValueError(
                "checkpoint: expected results of the same model, data, seed and options, got those "
                f"of others in {self._path}: give another file, or remove it"
            )
        for name, array in stored.items():
            part, _, entry = name.partition("/")
            self._parts.setdefault(part, {})[entry] = array

    def get(self, part: str) -> dict[str, Array] | None:
        """The arrays of a part, or None if it is not done."""
        return self._parts.get(part)

    def put(self, part: str, arrays: Mapping[str, Array]) -> None:
        """Keep the arrays of a part, and write the file."""
        self._parts[part] = dict(arrays)
        flat = {f"{p}/{n}": a for p, entries in self._parts.items() for n, a in entries.items()}
        with replacing(self._path) as draft, draft.open("wb") as file:
            np.savez(file, key=np.array(self._key), **flat)  # type: ignore[arg-type]
