"""`vaetheory experiment`."""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

from vaetheory._documents import sealed
from vaetheory._environment import environment
from vaetheory._files import write_json
from vaetheory._progress import listening
from vaetheory.cli import _jobs, _progress
from vaetheory.cli._paths import folder, write


def add(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "experiment", help="train half-networks beside ordinary VAEs and measure both"
    )
    parser.add_argument("name", choices=["half-network"], help="the experiment to run")
    parser.add_argument(
        "--data", default="digits", metavar="DATA",
        help="digits, patches, breast-cancer, mnist (extra images), a file: .npy, .npz, .csv, IDX; "
        "or a folder of PNG and JPEG images (digits)",
    )  # fmt: skip
    parser.add_argument("--rows", type=int, metavar="N", help="use the first N images only (all)")
    parser.add_argument(
        "--levels", type=int, metavar="N",
        help="reduce images to N grey values before they are dequantised (all that they have)",
    )  # fmt: skip
    parser.add_argument(
        "--network", choices=["mlp", "conv"],
        help="networks of PyTorch (extra torch) for images: fully connected or convolutional, with "
        "three more objectives (mlp for mnist and folders, else the networks of NumPy)",
    )  # fmt: skip
    parser.add_argument(
        "--device", metavar="NAME", help="where PyTorch trains, such as cpu or cuda (cpu)"
    )
    parser.add_argument(
        "--objectives", metavar="NAMES",
        help="objectives to train, separated by commas (all that suit the data)",
    )  # fmt: skip
    parser.add_argument(
        "--hidden", metavar="NUMBERS",
        help="widths of the fully connected layers, separated by commas (128; 256 with --network)",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=float, metavar="NUMBER",
        help="Adam's learning rate (0.002; 0.001 with --network)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=int, default=10, metavar="N", help="number of seeds (10)"
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=int, metavar="N",
        help="most passes through the training data (600; 300 with --network)",
    )  # fmt: skip
    parser.add_argument(
        "--latent-dim", type=int, default=2, metavar="N", help="dimensions of the latent (2)"
    )
    parser.add_argument(
        "--scales", default="1", metavar="NUMBERS",
        help="factors by which the data are multiplied, separated by commas (1)",
    )  # fmt: skip
    parser.add_argument(
        "--informations", metavar="NUMBERS",
        help="values of BAGGINS' h, separated by commas; the validation data select one "
        "(0.5,1,1.5,2,3,6)",
    )  # fmt: skip
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="first seed (0)")
    parser.add_argument(
        "--draws", type=int, metavar="K",
        help="draws of the importance-weighted bound (5000; 1000 with --network)",
    )  # fmt: skip
    parser.add_argument(
        "--held-out", type=int, metavar="N",
        help="measure the first N held-out data of each task only (all)",
    )  # fmt: skip
    parser.add_argument(
        "--no-exact", action="store_true",
        help="no exact evidence, which two latents have otherwise",
    )  # fmt: skip
    parser.add_argument(
        "--estimates", type=int, default=0, metavar="N",
        help="held-out data of each task whose evidence is estimated, for latents of any dimension "
        "(0)",
    )  # fmt: skip
    parser.add_argument(
        "--ends", choices=["pooled", "each", "plain"],
        help="standardisation between data and networks: one standard deviation, one for each "
        "dimension, or none (the one that suits the data)",
    )  # fmt: skip
    parser.add_argument(
        "--pooled", action="store_true",
        help="one variance for all dimensions if it is computed from the batch, as sparse data "
        "need",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", action="store_true",
        help="write a picture of each objective's reconstructions, samples and latent plane, for "
        "the first seed at scale 1; of images only",
    )  # fmt: skip
    _jobs.declare(parser)
    parser.add_argument(
        "--out", default="half-network", metavar="DIR",
        help="folder for results and checkpoints; an interrupted run resumes from it "
        "(half-network)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the experiment, print one line for each result, and then the table."""
    from vaetheory.cli._asked_experiment import asked
    from vaetheory.training import estimate_tables, run_experiment, tables

    experiment = asked(options)
    if options.pictures:
        experiment.require_pictures()
    place = folder("--out", options.out)
    tasks, results = experiment.tasks(), []
    with _jobs.workers(options) as executor:
        running = run_experiment(
            experiment, folder=place, executor=executor, pictures=options.pictures
        )
        clock = _Clock(len(tasks))
        for number, task in enumerate(tasks):
            clock.done(number)
            label = f"{number}/{len(tasks)}: {task.name}"
            clock.show(label, 0.0)
            with listening(partial(clock.show, label)):
                result = next(running)
            _progress.show("")
            results.append(result)
            print(_line(result), flush=True)
    rows = tables.table(results)
    text = tables.markdown(rows)
    if experiment.estimates:
        text += "\n" + estimate_tables.estimate_markdown(estimate_tables.estimate_table(results))
    write_json(
        place / "results.json",
        sealed(
            {
                "environment": environment(),
                "experiment": experiment.described(),
                "results": results,
                "table": tables.plain(rows),
            }
        ),
    )
    write(place / "table.md", text)
    print(text, end="")
    return 0


class _Clock:
    """Shows the running task and an estimate of the remaining time."""

    def __init__(self, count: int) -> None:
        self.count, self.number, self.started = count, 0, time.monotonic()
        self.known = 0

    def done(self, number: int) -> None:
        self.number = number
        # Results of an earlier run arrive at once; they must not enter the estimate.
        if time.monotonic() - self.started < 0.5:
            self.known, self.started = number, time.monotonic()

    def show(self, label: str, share: float) -> None:
        finished = self.number - self.known + share
        spent = time.monotonic() - self.started
        left = ""
        if finished > 0 and spent > 1:
            seconds = spent / finished * (self.count - self.number - share)
            left = f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
        _progress.show(f"{label}: {share:.0%}{left}")


def _line(result: dict[str, Any]) -> str:
    measures = result["measures"]
    names = [m for m in ("elbo", "importance", "evidence") if m in measures]
    shown = [f"{m} {measures[m]['mean']:.2f}" for m in names]
    if "bits_per_dim" in measures:
        shown.append(f"at most {measures['bits_per_dim']['mean']:.3f} bits a dimension")
    if measures.get("unresolved"):
        shown.append(f"evidence not resolved for {measures['unresolved']} data")
    if "estimates" in measures:
        status = measures["estimates"]["status"]
        shown.append(f"{len(status) - status.count('unresolved')} of {len(status)} estimated")
    h = "" if result["information"] is None else f"  h {result['information']:g}"
    return (
        f"{result['objective']:<14} seed {result['seed']:<3} scale {result['scale']:<6g} "
        f"{'  '.join(shown)}{h}  {result['epochs']} epochs, {result['ended']}"
    )
