"""The experiment that the options of `vaetheory experiment` ask for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vaetheory.training import (
    IMAGE_OBJECTIVES,
    IMAGES,
    OBJECTIVES,
    SOURCES,
    Experiment,
    Images,
    ImageSettings,
    Settings,
    Source,
    read_data,
    read_images,
)
from vaetheory.training.objectives import OF_LOGITS


def asked(options: argparse.Namespace) -> Experiment:
    """The experiment; a ValueError if options do not fit each other or the data."""
    scales = _numbers("--scales", options.scales)
    changed = _changed(options)
    source, settings = _images(options, changed) if _on_images(options) else _rows(options, changed)
    objectives = tuple(OBJECTIVES)
    if isinstance(source, Images):
        fits = source.within_one and scales == (1.0,)
        objectives = tuple(
            name for name, o in IMAGE_OBJECTIVES.items() if fits or o.likelihood not in OF_LOGITS
        )
    if options.objectives is not None:
        objectives = tuple(name.strip() for name in options.objectives.split(","))
    more: dict[str, Any] = {}
    if options.informations is not None:
        more["informations"] = _numbers("--informations", options.informations)
    draws = options.draws
    if draws is None:
        draws = 1000 if isinstance(source, Images) else 5000
    return Experiment(
        source,
        settings,
        seeds=options.seeds,
        objectives=objectives,
        first_seed=options.first_seed,
        scales=scales,
        draws=draws,
        estimates=options.estimates,
        held_out=options.held_out,
        exact=not options.no_exact,
        **more,
    )


def _changed(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the options name."""
    changed: dict[str, Any] = {"latent_dim": options.latent_dim, "pooled": options.pooled}
    for name in ("epochs", "rate"):
        if getattr(options, name) is not None:
            changed[name] = getattr(options, name)
    if options.hidden is not None:
        changed["hidden"] = _widths(options.hidden)
    return changed


def _on_images(options: argparse.Namespace) -> bool:
    """Whether the networks of PyTorch are asked for, or the data are images anyway."""
    only = options.data in IMAGES and options.data not in SOURCES
    return only or options.network is not None or _is_folder(options.data)


def _is_folder(data: str) -> bool:
    return data not in IMAGES and data not in SOURCES and Path(data).is_dir()


def _rows(options: argparse.Namespace, changed: dict[str, Any]) -> tuple[Source, Settings]:
    """Data and settings for the networks of NumPy."""
    for name in ("device", "rows", "levels"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"--{name}: expected with images, for which --network says mlp or conv, got "
                f"{getattr(options, name)} without it"
            )
    known = options.data in SOURCES
    if not known:
        _require_file(options.data)
    source = SOURCES[options.data]() if known else read_data(options.data)
    return source, Settings(units=options.ends or source.units, **changed)


def _images(options: argparse.Namespace, changed: dict[str, Any]) -> tuple[Images, ImageSettings]:
    """Images and settings for the networks of PyTorch."""
    if options.data in SOURCES and options.data not in IMAGES:
        raise ValueError(
            f"--network: expected images such as {', '.join(IMAGES)}, a file or a folder, got "
            f"{options.data}, which is a table"
        )
    if options.data in IMAGES:
        images = IMAGES[options.data]()
    else:
        if not _is_folder(options.data):
            _require_file(options.data)
        images = read_images(options.data)
    if options.rows is not None:
        images = images.first(options.rows)
    if options.levels is not None:
        images = images.with_levels(options.levels)
    return images, ImageSettings(
        shape=images.shape,
        network=options.network or "mlp",
        device=options.device or "cpu",
        units=options.ends or images.units,
        **changed,
    )


def _require_file(data: str) -> None:
    if not Path(data).is_file():
        raise ValueError(
            f"--data: expected one of {', '.join(SOURCES)}, mnist, or a file or folder that "
            f"exists, got {data}"
        )


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{name}: expected numbers separated by commas, got {text}") from None


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--hidden: expected whole numbers separated by commas, got {text}"
        ) from None
