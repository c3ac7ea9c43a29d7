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
    SOURCES,
    Experiment,
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
    parser.add_argument("--only", help="the name of one experiment")
    options = parser.parse_args()
    chosen = {k: v for k, v in experiments().items() if options.only in (None, k)}
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
    ordered = {name: document[name] for name in experiments() if name in document}
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
