"""The registry of figures, and writing them with their numbers and the manifest."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from vaetheory import _plotting
from vaetheory._documents import hashed, read_json
from vaetheory._environment import environment
from vaetheory._files import json_text, replacing
from vaetheory._validation import known_label, option
from vaetheory.claims import CLAIMS
from vaetheory.figures import (
    baggins,
    bilbo,
    constant_variance,
    digits,
    flow_limit,
    half_network,
    hessian_estimator,
    instability,
    instrument,
    optimal_decoder,
    overview,
    riemannian_likelihood,
    smooth_decoder,
    stationary_evidence,
)
from vaetheory.figures._finish import finish
from vaetheory.figures._panels import Exponents
from vaetheory.figures._plotted import HEADER, panels, table

#: A function that draws on an empty figure and returns the fitted exponents of each panel.
Draw = Callable[[Figure], list[Exponents]]

FIGURES: Mapping[str, Draw] = {
    "overview": overview.draw,
    "optimal-decoder": optimal_decoder.draw,
    "smooth-decoder": smooth_decoder.draw,
    "stationary-evidence": stationary_evidence.draw,
    "hessian-estimator": hessian_estimator.draw,
    "constant-variance": constant_variance.draw,
    "bilbo": bilbo.draw,
    "riemannian-likelihood": riemannian_likelihood.draw,
    "flow-limit": flow_limit.draw,
    "instability": instability.draw,
    "baggins": baggins.draw,
    "half-network": half_network.draw,
    "instrument": instrument.draw,
    "digits": digits.draw,
}
MANIFEST = "manifest.json"


def select(labels: Sequence[str]) -> list[str]:
    """Names of the figures of claims, propositions or figures; of all for none, in order.

    Raises
    ------
    ValueError
        If a label is not known, or a proposition is shown by no figure.

    Examples
    --------
    >>> select(["3f"])
    ['stationary-evidence']
    """
    shown = {p.label: p.figure for c in CLAIMS for p in c.propositions}
    known = [*FIGURES, *shown]
    what = "a claim, a proposition or a figure"
    wanted = set()
    for label in labels:
        name = label if label in FIGURES else shown[known_label(label, known, what=what)]
        if name is None:
            raise ValueError(f"label: expected a proposition that a figure shows, got {label!r}")
        wanted.add(name)
    return [name for name in FIGURES if name in wanted or not labels]


def caption(name: str) -> str:
    """The caption of a figure: the first line of the docstring of its `draw`.

    Examples
    --------
    >>> caption("smooth-decoder")
    'The decoder, its steepest slope, and the reach of its Taylor series.'
    """
    text = inspect.getdoc(FIGURES[option("figure", name, FIGURES)]) or name
    sentence = text.splitlines()[0].removeprefix("Draw ")
    return sentence[:1].upper() + sentence[1:]


def regenerate(
    names: Sequence[str], folder: Path, *, formats: Sequence[str] = ("png",)
) -> Iterator[list[Path]]:
    """Draw figures and write pictures, plotted numbers and the manifest into `folder`.

    Parameters
    ----------
    names : sequence of str
        Keys of `FIGURES`.
    folder : Path
        Created if necessary; existing files are replaced, each atomically.
    formats : sequence of {"png", "svg", "pdf"}

    Yields
    ------
    list of Path
        The written files of each figure: the pictures, then the CSV.

    Raises
    ------
    ValueError
        At once, if a name or format is unknown, or an existing manifest cannot be read.
    OSError
        If the files cannot be written; the old files of that figure then remain.
    """
    for name in names:
        option("figure", name, FIGURES)
    for suffix in formats:
        option("format", suffix, _plotting.FORMATS)
    _entered(folder / MANIFEST)
    return (_regenerated(name, folder, formats) for name in names)


def _regenerated(name: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [*(folder / f"{name}.{suffix}" for suffix in formats), folder / f"{name}.csv"]
    # All files of a figure are complete before any is renamed; the manifest is renamed last.
    with _plotting.style(), ExitStack() as places:
        manifest = places.enter_context(replacing(folder / MANIFEST))
        drafts = [places.enter_context(replacing(path)) for path in paths]
        figure = Figure(figsize=_plotting.SIZE, layout="constrained")
        exponents = FIGURES[name](figure)
        finish(figure)
        frames = [axes.get_position(original=True) for axes in figure.axes]
        for draft in drafts[:-1]:
            # Saving moves the panels slightly. Restore their positions, so that a picture does
            # not depend on the formats saved before it.
            for axes, frame in zip(figure.axes, frames, strict=True):
                axes.set_position(frame)
                axes.set_in_layout(True)  # `set_position` turns this off
            _plotting.save(figure, draft)
        _plotting.save_csv(drafts[-1], HEADER, table(figure, exponents))
        hashes = {p.name: hashed(d.read_bytes()) for p, d in zip(paths, drafts, strict=True)}
        known = _entered(folder / MANIFEST) | {name: _entry(name, panels(figure), hashes)}
        document = {"figures": {n: known[n] for n in FIGURES if n in known}}
        manifest.write_text(json_text(document), encoding="utf-8")
    return paths


def _entered(manifest: Path) -> dict[str, Any]:
    """The entries of an existing manifest by figure, or none."""
    if not os.path.lexists(manifest):
        return {}
    try:
        known = read_json(manifest).get("figures")
        if not isinstance(known, dict):
            raise ValueError(f"{manifest}: expected the figures' manifest, got another document")
    except ValueError as error:
        raise ValueError(f"{error}; delete it to start again") from None
    return known


def _entry(
    name: str, axes: Sequence[Mapping[str, object]], hashes: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest's entry of one figure."""
    return {
        "propositions": [p.label for c in CLAIMS for p in c.propositions if p.figure == name],
        "seed": _plotting.SEED,
        "panels": axes,
        "sha256": hashes,
        "environment": environment() | {"matplotlib": metadata.version("matplotlib")},
    }
