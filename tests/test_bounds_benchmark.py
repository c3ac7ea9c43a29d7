"""The benchmark of evidences in many dimensions: its chains are unbiased, its files agree."""

import checkout
import numpy as np

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory._sampling import annealing
from vaetheory._sampling.target import Target
from vaetheory.bounds import simulate
from vaetheory.evidence import linear_log_evidence

checkout.part("vaetheory")
bounds = checkout.module("benchmarks", "bounds")


def test_chains_in_both_directions_are_unbiased():
    """Closed forms know the evidence; weights are w = Z on average, reversed ones 1 / Z."""
    rng = np.random.default_rng(0)
    decoder = decoders.Affine(rng.normal(size=(7, 5)))
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.7))
    X, z = simulate(model, 100, seed=1)
    truth = linear_log_evidence(model, X).value
    target = Target.of(model, X, seed=2)
    schedule, _, _ = annealing.pilot(target, 64)
    for forward, start in (
        (True, target.streams.normals("start", 2, 5)),
        (False, np.repeat(z[:, None], 2, axis=1)),
    ):
        logs = bounds.chain(target, schedule, 6, start, forward=forward)
        sign = 1.0 if forward else -1.0
        # The chains of a datum that start from one sample are dependent: the mean of both counts.
        ratio = np.exp(logs - sign * truth[:, None]).mean(axis=1)
        off = (ratio.mean() - 1) / (ratio.std(ddof=1) / np.sqrt(len(ratio)))
        assert abs(off) < 5, f"forward {forward}: {off:.1f} standard errors from unbiased"
        assert ratio.std() < 1.5, f"forward {forward}: the weights vary too much to show it"


def test_the_table_is_made_from_the_lines(tmp_path, monkeypatch):
    docs = checkout.part("docs")
    for name in ("bounds.csv", "bounds-table.md"):
        (tmp_path / name).write_text((docs / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(bounds, "DOCS", tmp_path)
    monkeypatch.setattr(bounds, "draw", lambda rows, path: None)
    bounds.write(bounds.read())
    for name in ("bounds.csv", "bounds-table.md"):
        made = (tmp_path / name).read_text(encoding="utf-8")
        assert made == (docs / name).read_text(encoding="utf-8"), f"{name} is out of date"
