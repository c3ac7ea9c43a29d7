"""The experiments of docs/half-network.md, whose results its figure shows.

    .venv/bin/python benchmarks/half_network.py --out half-network --jobs 2

A stopped run is resumed by the same command. When all requested experiments are finished, the
results are written to `vaetheory/figures/half_network.json`, next to the figure's module.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vaetheory import figures
from vaetheory._environment import environment
from vaetheory._files import replacing
from vaetheory.cli._jobs import processes
from vaetheory.training import (
    IMAGE_OBJECTIVES,
    IMAGES,
    SOURCES,
    Experiment,
    Images,
    ImageSettings,
    Settings,
    estimate_tables,
    run_experiment,
    tables,
)

TARGET = Path(figures.__file__).parent / "half_network.json"


def experiments() -> dict[str, Experiment]:
    digits, patches, cells = (SOURCES[n]() for n in ("digits", "patches", "breast-cancer"))
    more = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
    return {
        "digits, d = 2": Experiment(digits, Settings(latent_dim=2)),
        "digits, d = 8": Experiment(digits, Settings(latent_dim=8)),
        "digits, d = 8, estimates": Experiment(
            digits, Settings(latent_dim=8), seeds=5, informations=(1.0, 1.5), estimates=4,
            held_out=4,
        ),
        "digits, d = 32": Experiment(
            digits, Settings(latent_dim=32), seeds=5, informations=(1.0, 1.5, 2.0), estimates=4,
            held_out=100,
        ),
        "digits, d = 2, scaled": Experiment(digits, Settings(latent_dim=2), scales=(1e-3, 1e3)),
        "digits, d = 2, plain ends": Experiment(
            digits, Settings(latent_dim=2, units="plain"), scales=(1e-3, 1e3),
            informations=(1.0,),
        ),
        "breast-cancer, d = 2": Experiment(
            cells, Settings(latent_dim=2, units="each", epochs=1500), informations=more
        ),
        "patches, d = 8": Experiment(patches, Settings(latent_dim=8), informations=more),
    }  # fmt: skip


#: Objectives whose likelihood is one of numbers in any unit.
FEW = ("ordinary", "bounded", "one-sigma", "optimal-sigma", "half", "half-varying")


def image_experiments() -> dict[str, Experiment]:
    """Networks of PyTorch, on images.

    Grey values of MNIST are reduced to eight before they are dequantised: with 256, hundreds of
    pixels that are almost always black have a deviation of 1 / 900, and decide everything.
    """
    mnist, digits, patches = (IMAGES[n]() for n in ("mnist", "digits", "patches"))
    mnist = mnist.with_levels(8)

    def of(images: Images, latents: int, **more: Any) -> ImageSettings:
        # 3,024 steps for 3,500 digits of MNIST.
        return ImageSettings(shape=images.shape, latent_dim=latents, **{"epochs": 112, **more})

    small: dict[str, Any] = {"hidden": (128,), "rate": 2e-3, "every": 100, "epochs": 600}
    few: dict[str, Any] = {
        "draws": 1000, "held_out": 300, "informations": (1.5, 3.0),
        "objectives": tuple(IMAGE_OBJECTIVES),
    }  # fmt: skip
    found = {
        "mnist, mlp, d = 8": Experiment(mnist, of(mnist, 8), seeds=3, **few),
        "patches, mlp, d = 8": Experiment(
            patches, of(patches, 8, **small), **{**few, "held_out": None}
        ),
        "digits, mlp, d = 8": Experiment(
            digits, of(digits, 8, **small), **{**few, "held_out": None}
        ),
        "mnist, mlp, d = 2": Experiment(mnist, of(mnist, 2), seeds=3, **{**few, "held_out": 100}),
    }
    found |= {
        f"mnist, mlp, d = 8, rate {rate:g}": Experiment(
            mnist, of(mnist, 8, epochs=56, rate=rate), seeds=1, scales=(1e-3, 1.0, 1e3),
            **{**few, "informations": (3.0,), "objectives": FEW},
        )
        for rate in (1e-4, 1e-3, 1e-2)
    }  # fmt: skip
    # Of decoders that are no plain networks an estimate takes minutes.
    found |= {
        f"mnist, mlp, d = {d}, estimates": Experiment(
            mnist, of(mnist, d), seeds=2,
            **{
                **few, "held_out": 4, "estimates": 4, "informations": (1.5,),
                "objectives": ("ordinary", "one-sigma", "optimal-sigma", "half"),
            },
        )
        for d in (8, 32)
    }  # fmt: skip
    return found | {
        "mnist, conv, d = 8": Experiment(
            mnist, of(mnist, 8, network="conv"), seeds=1,
            **{**few, "informations": (3.0,), "objectives": FEW},
        ),
        "mnist, mlp, d = 32": Experiment(mnist, of(mnist, 32), seeds=3, **few),
    }  # fmt: skip


def shortened(value: Any) -> Any:
    """Round numbers to six significant digits, which is finer than the intervals."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: shortened(v) for k, v in value.items()}
    return [shortened(v) for v in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("half-network"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--only", action="append", help="the name of an experiment; may be repeated"
    )
    options = parser.parse_args()
    known = experiments()
    if options.only is None or set(options.only) - set(known):
        known |= image_experiments()
    if unknown := set(options.only or ()) - set(known):
        parser.error(f"--only: expected some of {'; '.join(known)}, got {'; '.join(unknown)}")
    chosen = {k: v for k, v in known.items() if options.only is None or k in options.only}
    document: dict[str, Any] = {}
    if TARGET.exists():
        document = json.loads(TARGET.read_text(encoding="utf-8"))["experiments"]
    with processes(options.jobs) as executor:
        for name, experiment in chosen.items():
            folder = options.out / name.replace(", ", "-").replace(" = ", "").replace(" ", "-")
            results = list(run_experiment(experiment, folder=folder, executor=executor))
            document[name] = {"experiment": experiment.described(), "results": shortened(results)}
            print(f"{name}\n\n{tables.markdown(tables.table(results))}", flush=True)
            if experiment.estimates:
                rows = estimate_tables.estimate_table(results)
                print(estimate_tables.estimate_markdown(rows), flush=True)
    order = [*known, *(name for name in document if name not in known)]
    ordered = {name: document[name] for name in order if name in document}
    with replacing(TARGET) as draft:
        text = {
            name: [json.dumps(r, allow_nan=False) for r in found["results"]]
            for name, found in ordered.items()
        }
        parts = [
            f"{json.dumps(name)}: {{\n"
            f'"experiment": {json.dumps(ordered[name]["experiment"])},\n'
            f'"results": [\n{",".join(chr(10) + line for line in lines).strip()}\n]}}'
            for name, lines in text.items()
        ]
        draft.write_text(
            f'{{"environment": {json.dumps(environment())},\n"experiments": {{\n'
            f"{', '.join(parts)}\n}}}}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
