"""The registry of figures, and writing them with their numbers and the manifest."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vaetheory import _plotting
from vaetheory._documents import hashed, read_json
from vaetheory._environment import environment
from vaetheory._files import json_text, replacing
from vaetheory._validation import known_label, option
from vaetheory.checking import _selection
from vaetheory.checking.claim import Claim
from vaetheory.claims import CLAIMS
from vaetheory.figures import (
    baggins,
    bilbo,
    bounded_likelihood,
    constant_variance,
    digits,
    entropy_sums,
    evidence_sandwich,
    flow_limit,
    gradient_estimators,
    half_network,
    hessian_estimator,
    high_dimensional_evidence,
    identifiability,
    implicit_regulariser,
    importance_weighting,
    instability,
    instrument,
    linear_vae,
    optimal_decoder,
    overview,
    posterior_collapse,
    rate_distortion,
    riemannian_likelihood,
    score_identities,
    smooth_decoder,
    stationary_evidence,
    structured_bounds,
)
from vaetheory.figures._finish import finish
from vaetheory.figures._panels import Exponents
from vaetheory.figures._plotted import HEADER, panels, table

#: A function that draws on an empty figure and returns the fitted exponents of each panel, if any.
Draw = Callable[[Figure], "list[Exponents] | None"]

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
    "linear-vae": linear_vae.draw,
    "posterior-collapse": posterior_collapse.draw,
    "importance-weighting": importance_weighting.draw,
    "evidence-sandwich": evidence_sandwich.draw,
    "rate-distortion": rate_distortion.draw,
    "implicit-regulariser": implicit_regulariser.draw,
    "bounded-likelihood": bounded_likelihood.draw,
    "score-identities": score_identities.draw,
    "gradient-estimators": gradient_estimators.draw,
    "identifiability": identifiability.draw,
    "structured-bounds": structured_bounds.draw,
    "entropy-sums": entropy_sums.draw,
    "high-dimensional-evidence": high_dimensional_evidence.draw,
    "instrument": instrument.draw,
    "digits": digits.draw,
}
MANIFEST = "manifest.json"


def select(
    labels: Sequence[str],
    figures: Mapping[str, Draw] = FIGURES,
    claims: Sequence[Claim] = CLAIMS,
) -> list[str]:
    """Names of the figures of claims, propositions or figures, as asked; of all for no label.

    Raises
    ------
    ValueError
        If a label is not known, or a proposition is shown by no figure.

    Examples
    --------
    >>> select(["3f"])
    ['stationary-evidence']
    """
    shown: dict[str, list[str | None]] = {name: [name] for name in figures}
    for claim in claims:
        for label in (claim.label, *(p.label for p in claim.propositions)):
            shown.setdefault(label, [p.figure for _, p in _selection.select(label, claims)])
    wanted: dict[str, None] = {}
    for label in _selection.canonical(labels, claims):
        what = "a claim, a proposition or a figure"
        names = [name for name in shown[known_label(label, shown, what=what)] if name in figures]
        if not names:
            raise ValueError(
                f"label: expected a claim or a proposition that a figure shows, got {label!r:.80}"
            )
        wanted.update(dict.fromkeys(name for name in names if name))
    return list(wanted if labels else figures)


def caption(name: str, figures: Mapping[str, Draw] = FIGURES) -> str:
    """The caption of a figure: the first line of the docstring of its `draw`.

    Examples
    --------
    >>> caption("smooth-decoder")
    'The decoder, its steepest slope, and the reach of its Taylor series.'
    """
    text = inspect.getdoc(figures[option("figure", name, figures)]) or name
    sentence = text.splitlines()[0].removeprefix("Draw ")
    return sentence[:1].upper() + sentence[1:]


def regenerate(
    names: Sequence[str],
    folder: Path,
    *,
    formats: Sequence[str] = ("png",),
    figures: Mapping[str, Draw] = FIGURES,
    claims: Sequence[Claim] = CLAIMS,
) -> Iterator[list[Path]]:
    """Draw figures and write pictures, plotted numbers and the manifest into `folder`.

    Parameters
    ----------
    names : sequence of str
        Keys of `figures`.
    folder : Path
        Created if necessary; existing files are replaced, each atomically.
    formats : sequence of {"png", "svg", "pdf"}
    figures : mapping of str to callable
        The functions that draw; those of the theorem book by default. Legends are then put below
        their panels and long texts are wrapped; the height is fitted unless a function sets a size.
    claims : sequence of Claim
        The claims whose propositions the figures show.

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
        option("figure", name, figures)
    for suffix in formats:
        option("format", suffix, _plotting.FORMATS)
    _entered(folder / MANIFEST)
    shown = {n: [p.label for c in claims for p in c.propositions if p.figure == n] for n in names}
    return (_regenerated(n, figures[n], shown[n], folder, formats) for n in names)


def _regenerated(
    name: str, draw: Draw, shown: list[str], folder: Path, formats: Sequence[str]
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [*(folder / f"{name}.{suffix}" for suffix in formats), folder / f"{name}.csv"]
    # All files of a figure are complete before any is renamed; the manifest is renamed last.
    with _plotting.style(), ExitStack() as places:
        manifest = places.enter_context(replacing(folder / MANIFEST))
        drafts = [places.enter_context(replacing(path)) for path in paths]
        figure = Figure(figsize=_plotting.SIZE, layout="constrained")
        FigureCanvasAgg(figure)
        exponents = draw(figure) or [{} for _ in figure.axes]
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
        known = _entered(folder / MANIFEST) | {name: _entry(shown, panels(figure), hashes)}
        order = [n for n in FIGURES if n in known] + [n for n in known if n not in FIGURES]
        manifest.write_text(json_text({"figures": {n: known[n] for n in order}}), encoding="utf-8")
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
    shown: Sequence[str], axes: Sequence[Mapping[str, object]], hashes: Mapping[str, str]
) -> dict[str, Any]:
    """The manifest's entry of one figure."""
    return {
        "propositions": list(shown),
        "seed": _plotting.SEED,
        "panels": axes,
        "sha256": hashes,
        "environment": environment() | {"matplotlib": metadata.version("matplotlib")},
    }
