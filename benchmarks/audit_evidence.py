"""Audit of `log_evidence`: random models and data against brute force.

    python benchmarks/audit_evidence.py --pairs 100000 --log audit.jsonl
    python benchmarks/audit_evidence.py --kinds kinked-line --pairs 20000

Every pair of a model and a datum is computed twice: by the engine, and by a trapezoid rule with
very many nodes. Decoders with kinks and jumps are integrated between these. On the plane brute
force is possible only for broad posteriors; the narrow ones are rotations of two problems on a
line, whose evidences multiply. A pair fails if the true error exceeds the stated one, or exceeds
the tolerance although the status is "reached". Pairs in the log are not computed again, so a
stopped audit can be resumed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import autograd.numpy as anp
import numpy as np
from kinked import Curve, Function, panel_evidence, random_kinked
from scipy.stats import ortho_group

from vaetheory import LatentModel, evidence, likelihoods, log_evidence

RTOL = 1e-10
PER_MODEL = 50
#: The most evaluations of a pair; some decoders have thousands of modes a datum.
MAX_NODES = 2_000_000
#: Relative error of a reference.
REFERENCE = 2e-12
#: Name, model, data, their evidences, and the errors of these.
Problem = tuple[str, LatentModel, np.ndarray, np.ndarray, np.ndarray | float]
Kind = Callable[[np.random.Generator], Problem]
Draw = Callable[[np.random.Generator], Curve]


def random_curve(rng: np.random.Generator) -> Curve:
    """Draw a decoder of one of six kinds."""
    kind = rng.choice(["affine", "tanh", "folded tanh", "sine", "polynomial", "circle"])
    size = int(rng.integers(1, 6))
    bias = rng.normal(size=size)
    if kind == "affine":
        slope = rng.normal(size=size) * 10 ** rng.uniform(-1, 1)
        return Curve(kind, lambda z: z * slope + bias, size)
    if kind in ("tanh", "folded tanh"):
        gain = 10 ** rng.uniform(-0.5, 0.8)
        w, b = gain * rng.normal(size=12), gain * rng.normal(size=12)
        v = rng.normal(size=(12, size)) / 2
        if kind == "tanh":
            return Curve(kind, lambda z: anp.tanh(z * w + b) @ v + bias, size)
        return Curve(kind, lambda z: anp.tanh(z * z * w + b) @ v + bias, size)
    if kind == "sine":
        frequency, phase = rng.uniform(0.3, 8.0, size), rng.uniform(0, 6.3, size)
        amplitude = rng.uniform(0.3, 3.0, size)
        return Curve(kind, lambda z: amplitude * anp.sin(frequency * z + phase), size)
    if kind == "polynomial":
        c = rng.normal(size=(4, size)) * np.array([1.0, 1.0, 0.5, 0.2])[:, None]
        return Curve(kind, lambda z: c[0] + c[1] * z + c[2] * z**2 + c[3] * z**3, size)
    radius = rng.uniform(0.3, 3.0)
    return Curve(
        "circle",
        lambda z: radius * anp.concatenate([anp.cos(z / radius), anp.sin(z / radius)], axis=-1),
        2,
    )


def draw_data(rng: np.random.Generator, function: Function, d: int, scale: float) -> np.ndarray:
    """Draw data from the model, one in five of them far from it."""
    params = function(rng.normal(size=(PER_MODEL, d)))
    data = params + scale * rng.normal(size=params.shape)
    far = rng.random(PER_MODEL) < 0.2
    data[far] += (
        scale
        * rng.uniform(3, 40, (int(far.sum()), 1))
        * rng.normal(size=(int(far.sum()), data.shape[1]))
    )
    return data


def line_evidence(function: Function, data: np.ndarray, scale: float) -> np.ndarray:
    """Log evidence on the line by brute force, with refinement of intervals that may hold mass."""
    size = data.shape[1]
    constant = -size * np.log(scale) - 0.5 * (size + 1) * np.log(2 * np.pi)
    nodes, spacing = np.linspace(-128.0, 128.0, 2**14 + 1), 2.0**-6
    # Powers of two, so that no node is rounded. The decoder is evaluated at the middle and both
    # ends of every interval.
    params = function((nodes[:, None] + spacing * np.array([0.0, -0.5, 0.5]))[..., None])
    value = np.empty(len(data))
    for i, x in enumerate(data):
        z, f, h = nodes, params, spacing
        while True:
            away = np.sqrt(((x - f) ** 2).sum(axis=-1)) / scale
            energy = 0.5 * (away**2 + (z[:, None] + h * np.array([0.0, -0.5, 0.5])) ** 2)
            middle = away[:, 0]
            # Four times the change within an interval and its curvature, judged from the samples.
            change = 4 * np.abs(f[:, 1:] - f[:, :1]).max(axis=1).sum(axis=-1) / scale
            bend = 4 * np.abs(f[:, 1] + f[:, 2] - 2 * f[:, 0]).sum(axis=-1) / scale
            rise = 4 * np.abs(energy[:, 1:] - energy[:, :1]).max(axis=-1)
            energy = energy[:, 0]
            far, out = np.maximum(middle - change, 0), np.maximum(np.abs(z) - h, 0)
            least = np.maximum(
                energy - rise - change**2 - middle * bend - h, 0.5 * (far**2 + out**2)
            )
            # Leave out only intervals that are certainly sixty nats below the maximum ...
            near = least < energy.min() + 60
            # Far from the datum the decoder's curvature alone can make a posterior narrow.
            if (change**2 + middle * bend)[near].max() < 0.16 and h < 0.05:
                break
            # ... and split the others in eight, which keeps the nodes equidistant.
            z, h = (z[near][:, None] + h * (np.arange(8) - 3.5) / 8).ravel(), h / 8
            f = function((z[:, None] + h * np.array([0.0, -0.5, 0.5]))[..., None])
        top = energy[near].min()
        value[i] = constant - top + np.log(h * np.exp(top - energy[near]).sum())
    return value


def line_evidence_of(model: LatentModel, data: np.ndarray) -> np.ndarray:
    """Log evidence on the line for broad posteriors, by one trapezoid rule."""
    z = np.linspace(-14.0, 14.0, 60_001)[:, None]
    joint = model.log_joint(data[:, None], z)
    top = joint.max(axis=-1)
    return top + np.log(np.exp(joint - top[:, None]).sum(axis=-1) * (z[1, 0] - z[0, 0]))


def plane_evidence(model: LatentModel, data: np.ndarray, scale: float) -> np.ndarray:
    """Log evidence on the plane for broad posteriors, by lattices refined until two agree."""
    constant = -model.data_dim * np.log(scale) - (0.5 * model.data_dim + 1) * np.log(2 * np.pi)
    centre = data.mean(axis=0)
    x = (data - centre) / scale

    def joint(z: np.ndarray) -> np.ndarray:
        f = (model.decode(z) - centre) / scale
        square = 0.5 * ((f**2).sum(axis=-1) + (z**2).sum(axis=-1))
        return x @ f.T - 0.5 * (x**2).sum(axis=-1)[:, None] - square

    def lattice(radius: float, step: float) -> np.ndarray:
        line = np.arange(-radius, radius, step) + 0.3 * step
        z = np.stack([g.ravel() for g in np.meshgrid(line, line)], axis=-1)
        return z[(z**2).sum(axis=-1) < radius**2]

    # A coarse lattice shows how far out the posteriors reach.
    z = lattice(40.0, 0.2)
    values = joint(z)
    seen = (values > values.max(axis=-1, keepdims=True) - 80).any(axis=0)
    radius, step, before = np.sqrt((z[seen] ** 2).sum(axis=-1).max()) + 1, 0.08, None
    while True:
        z = lattice(radius, step)
        total, top = np.zeros(len(data)), np.full(len(data), -np.inf)
        for part in np.array_split(z, max(1, len(z) // 20_000)):
            values = joint(part)
            new = np.maximum(top, values.max(axis=-1))
            total = total * np.exp(top - new)
            total += np.exp(np.maximum(values - new[:, None], -200.0)).sum(axis=-1)
            top = new
        value = constant + top + np.log(total * step**2)
        if before is not None:
            agreed = np.abs(value - before) < REFERENCE / 2 + 2e-15 * np.abs(value)
            if agreed.all():
                return value
        before, step = value, step / 1.3


def gaussian_evidence(
    curve: Curve, data: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray | float]:
    """Log evidence of a curve with Gaussian noise, and its error."""
    if curve.kinks is None:
        return line_evidence(curve.function, data, scale), REFERENCE
    model = LatentModel(curve.function, likelihoods.Gaussian(scale=scale), 1)
    return panel_evidence(lambda x, z: model.log_joint(x[None], z), data, curve.kinks)


def on_a_line(rng: np.random.Generator, draw: Draw = random_curve) -> Problem:
    """A model with d = 1, its data and their evidences."""
    curve, scale = draw(rng), 10 ** rng.uniform(-4, 0.3)
    data = draw_data(rng, curve.function, 1, scale)
    model = LatentModel(curve.function, likelihoods.Gaussian(scale=scale), 1)
    return f"{curve.name}, sigma {scale:.2g}", model, data, *gaussian_evidence(curve, data, scale)


def _other_family(
    rng: np.random.Generator, curve: Curve, family: likelihoods.Likelihood
) -> Problem:
    """A model with d = 1 whose decoder is a bounded curve."""

    def bounded(z: np.ndarray) -> np.ndarray:
        return 3 * anp.tanh(curve.function(z) / 3)

    model = LatentModel(bounded, family, 1)
    data = family.sample(model.decode(rng.normal(size=(PER_MODEL, 1))), rng)
    name = f"{family}, {curve.name}"
    if curve.kinks is None:
        return name, model, data, line_evidence_of(model, data), REFERENCE
    truth = panel_evidence(lambda x, z: model.log_joint(x[None], z), data, curve.kinks)
    return name, model, data, *truth


def counts(rng: np.random.Generator, draw: Draw = random_curve) -> Problem:
    """A model with d = 1 and another likelihood."""
    curve = draw(rng)
    family = [
        likelihoods.Bernoulli(), likelihoods.Poisson(),
        likelihoods.Gamma(shape=float(rng.uniform(0.5, 20))),
    ][rng.integers(3)]  # fmt: skip
    return _other_family(rng, curve, family)


def bent(rng: np.random.Generator, draw: Draw = random_curve) -> Problem:
    """A model with d = 1 and a likelihood that is not concave, or not natural."""
    curve = draw(rng)
    family = [
        lambda: likelihoods.StudentT(10 ** rng.uniform(0, 3), 10 ** rng.uniform(-1.5, 0.3)),
        lambda: likelihoods.VonMises(10 ** rng.uniform(-2, 3)),
        lambda: likelihoods.Beta(10 ** rng.uniform(-1, 3)),
        lambda: likelihoods.NegativeBinomial(10 ** rng.uniform(-2, 4)),
        lambda: likelihoods.LogNormal(10 ** rng.uniform(-1.5, 0.3)),
    ][rng.integers(5)]()
    return _other_family(rng, curve, family)


def rotated(rng: np.random.Generator, draw: Draw = random_curve) -> Problem:
    """A model with d = 2 that consists of two models with d = 1 in rotated coordinates."""
    first, second, scale = draw(rng), random_curve(rng), 10 ** rng.uniform(-4, 0.3)
    turn = ortho_group.rvs(2, random_state=rng)
    mix = ortho_group.rvs(first.size + second.size, random_state=rng)

    def function(z: np.ndarray) -> np.ndarray:
        u = z @ turn
        return (
            anp.concatenate([first.function(u[..., :1]), second.function(u[..., 1:])], axis=-1)
            @ mix.T
        )

    data = draw_data(rng, function, 2, scale)
    parts = data @ mix
    one, off_one = gaussian_evidence(first, parts[:, : first.size], scale)
    other, off_other = gaussian_evidence(second, parts[:, first.size :], scale)
    model = LatentModel(function, likelihoods.Gaussian(scale=scale), 2)
    name = f"{first.name} x {second.name}, sigma {scale:.2g}"
    return name, model, data, one + other, off_one + off_other


def along_an_axis(rng: np.random.Generator, draw: Draw = random_kinked) -> Problem:
    """A model with d = 2 whose kinks are parallel to the axes, or nearly."""
    first, second, scale = draw(rng), random_curve(rng), 10 ** rng.uniform(-2, 0.3)
    angle = rng.choice([0.0, 10 ** rng.uniform(-6, -2)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def function(z: np.ndarray) -> np.ndarray:
        u = z @ turn
        return anp.concatenate([first.function(u[..., :1]), second.function(u[..., 1:])], axis=-1)

    data = draw_data(rng, function, 2, scale)
    one, off_one = gaussian_evidence(first, data[:, : first.size], scale)
    other, off_other = gaussian_evidence(second, data[:, first.size :], scale)
    model = LatentModel(function, likelihoods.Gaussian(scale=scale), 2)
    name = f"{first.name} x {second.name} at {angle:.1g}, sigma {scale:.2g}"
    return name, model, data, one + other, off_one + off_other


def on_the_plane(rng: np.random.Generator) -> Problem:
    """A network with d = 2, folded or not, and a broad posterior."""
    size, scale = int(rng.integers(1, 9)), 10 ** rng.uniform(-1, 0.3)
    folded = rng.random() < 0.4
    w, b = rng.normal(size=(2, 16)), rng.normal(size=16)
    v, bias = rng.normal(size=(16, size)) / 4, rng.normal(size=size)

    def function(z: np.ndarray) -> np.ndarray:
        return anp.tanh((z * z if folded else z) @ w + b) @ v + bias

    data = draw_data(rng, function, 2, scale)
    model = LatentModel(function, likelihoods.Gaussian(scale=scale), 2)
    name = f"{'folded ' if folded else ''}network d = 2, D = {size}, sigma {scale:.2g}"
    return name, model, data, plane_evidence(model, data, scale), REFERENCE


def kinked(problem: Callable[[np.random.Generator, Draw], Problem]) -> Kind:
    """The same kind of problem for decoders with kinks or jumps."""
    return lambda rng: problem(rng, random_kinked)


#: Kinds of problems, each with its share of the models.
KINDS: dict[str, dict[Kind, float]] = {
    "smooth": {on_a_line: 0.35, counts: 0.05, bent: 0.05, rotated: 0.4, on_the_plane: 0.15},
    "kinked-line": {kinked(on_a_line): 0.7, kinked(counts): 0.15, kinked(bent): 0.15},
    "kinked-plane": {kinked(rotated): 0.6, along_an_axis: 0.4},
}


@dataclass(frozen=True)
class Audit:
    """The result for a number of pairs."""

    pairs: int = 0
    reached: int = 0
    nodes: int = 0
    worst: float = 0.0
    failures: tuple[str, ...] = ()

    def __add__(self, other: Audit) -> Audit:
        return Audit(
            self.pairs + other.pairs,
            self.reached + other.reached,
            self.nodes + other.nodes,
            max(self.worst, other.worst),
            self.failures + other.failures,
        )


def audit_model(
    seed: tuple[int, int], max_nodes: int = evidence.MAX_NODES, kinds: str = "smooth"
) -> Audit:
    """Audit one random model on `PER_MODEL` data."""
    rng, shares = np.random.default_rng(seed), list(KINDS[kinds].values())
    kind = list(KINDS[kinds])[rng.choice(len(shares), p=shares)]
    name, model, data, truth, reference = kind(rng)
    result = log_evidence(model, data, rtol=RTOL, max_nodes=max_nodes)
    off = np.abs(result.value - truth)
    # Brute force and the rotation of the data have rounding errors too: a few units in the last
    # digit of the data times the whitened residual.
    slack = reference + 4e-16 * np.abs(truth)
    if isinstance(model.likelihood, likelihoods.Gaussian):
        white = np.sqrt((data**2).sum(axis=-1)) / model.likelihood.scale
        peak = model.likelihood.log_peak(model.data_dim)
        slack += (
            1.2e-16 * (model.data_dim + 2) * white * (1 + np.sqrt(2 * np.maximum(peak - truth, 0)))
        )
    failures = []
    for i in np.flatnonzero((off > result.error + slack) | (result.reached & (off > RTOL + slack))):
        failures.append(
            f"seed {seed}, datum {i}: {name}: value {result.value[i]!r}, brute force "
            f"{truth[i]!r}, off by {off[i]:.2g}, stated {result.error[i]:.2g}, {result.status[i]}"
        )
    worst = float(np.max((off - slack) / result.error, initial=0.0))
    return Audit(len(data), int(result.reached.sum()), result.nodes, worst, tuple(failures))


class Log:
    """A file with the settings of the audit in the first line and one line for each model."""

    def __init__(self, path: Path, settings: dict[str, int | str]) -> None:
        self.path, self.known = path, dict[int, Audit]()
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        # An incomplete last line of a stopped audit is computed again.
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        if not whole:
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        elif whole[0] != settings:
            raise SystemExit(f"{path}: expected an audit with {settings}, got one with {whole[0]}")
        elif not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]), encoding="utf-8")
        for number, found in whole[1:]:
            self.known[number] = Audit(**{**found, "failures": tuple(found["failures"])})

    def add(self, number: int, found: Audit) -> None:
        """Append a model."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([number, asdict(found)]) + "\n")


def audit(
    pairs: int,
    seed: int = 0,
    jobs: int = 1,
    max_nodes: int = MAX_NODES,
    log: Path | None = None,
    kinds: str = "smooth",
) -> Iterator[Audit]:
    """Yield the audit so far, after every model."""
    settings = {"seed": seed, "max_nodes": max_nodes, "kinds": kinds}
    record = None if log is None else Log(log, settings)
    known = {} if record is None else record.known
    numbers = range(-(-pairs // PER_MODEL))
    total = sum((known[i] for i in numbers if i in known), Audit())
    yield total
    todo = [i for i in numbers if i not in known]
    work = partial(audit_model, max_nodes=max_nodes, kinds=kinds)
    seeds = [(seed, i) for i in todo]
    with ProcessPoolExecutor(jobs) as pool:
        found = map(work, seeds) if jobs == 1 else pool.map(work, seeds, chunksize=4)
        for number, one in zip(todo, found, strict=True):
            if record is not None:
                record.add(number, one)
            total += one
            yield total


def main() -> int:
    """Run the audit from the command line; the exit status is 1 if a pair failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--max-nodes", type=int, default=MAX_NODES, help="most evaluations of a pair"
    )
    parser.add_argument("--kinds", choices=KINDS, default="smooth")
    parser.add_argument("--log", type=Path, help="log file, from which the audit is resumed")
    options = parser.parse_args()
    total, known = Audit(), 0
    steps = audit(
        options.pairs, options.seed, options.jobs, options.max_nodes, options.log, options.kinds
    )
    for total in steps:
        for line in total.failures[known:]:
            print(line, flush=True)
        known = len(total.failures)
        if total.pairs % (20 * PER_MODEL) == 0:
            print(f"{total.pairs} pairs, {known} failures", file=sys.stderr, flush=True)
    print(
        f"{total.pairs} pairs: {known} failures, {total.reached} reached {RTOL:g}, "
        f"{total.nodes / total.pairs:.0f} nodes a pair, "
        f"greatest true error {total.worst:.2g} of the stated one"
    )
    return int(known > 0)


if __name__ == "__main__":
    sys.exit(main())
