"""The audit of the evidence against brute force, on a few hundred pairs."""

from dataclasses import replace

import autograd.numpy as anp
import checkout
import numpy as np
import pytest

from vaetheory import LatentModel, likelihoods, log_evidence

audit_evidence = checkout.module("benchmarks", "audit_evidence")

#: Found wrong once, and mended: (seed, model) of the audit, with what was wrong.
FOUND = {
    (0, 0): "a decoder too wavy for the first grid",
    (0, 39): "a lattice's error seen only in the bulk of its spectrum",
    (0, 64): "mass outside a lattice's core taken at its word",
    (1, 114): "a ridge between the samples of a cell, bounded by a tangent",
    (
        3,
        228,
    ): "a ridge between samples that were taken for smooth",
    (3, 421): "a lattice across a curved ridge that it did not see",
    (11, 806): "a spectrum that goes on flat beyond the last frequency of a lattice",
}


SMOOTH = list(audit_evidence.KINDS["smooth"])


@pytest.mark.parametrize("kind", SMOOTH, ids=lambda kind: kind.__name__)
def test_no_true_error_above_the_stated_one(kind, monkeypatch):
    monkeypatch.setitem(audit_evidence.KINDS, "smooth", {kind: 1.0})
    # The wildest data would take minutes; stopped early, what is stated must still cover the truth.
    for seed in range(2):
        seed_of = (2026, 10 * SMOOTH.index(kind) + seed)
        result = audit_evidence.audit_model(seed_of, max_nodes=audit_evidence.MAX_NODES)
        assert not result.failures, "\n".join(result.failures)


@pytest.mark.parametrize("seed", FOUND, ids=FOUND.values())
def test_what_the_audit_once_found(seed):
    result = audit_evidence.audit_model(seed)
    assert not result.failures, "\n".join(result.failures)


#: Folded networks with one-hot data, their log evidence from lattices of step 0.06 and 0.045.
FOLDED = [
    (111, 0.4, 1, -0.31343093723821),
    (20020, 0.8, 2, -0.2702496520523179),
    (20093, 0.8, 1, -0.326532230811422),
    (20094, 0.8, 2, -0.7882041253358563),
]


@pytest.mark.parametrize("case", FOLDED, ids=lambda case: str(case[0]))
def test_poles_near_a_cell_are_not_taken_for_its_bulk(case):
    seed, share, label, true = case
    rng = np.random.default_rng(seed)
    size, folded = int(rng.integers(2, 7)), rng.random() < share
    rng.uniform(0.5, 30)
    w, b = rng.normal(size=(2, 12)), rng.normal(size=12)
    v = rng.normal(size=(12, size)) * rng.uniform(0.2, 0.9)
    c = rng.normal(size=size) + (rng.uniform(0, 3) if seed % 3 == 1 else 0)
    tilt = 10 ** rng.uniform(-3, -0.5)

    def decoder(z):
        u = z * z + tilt * z if folded else z
        return 4 * anp.tanh((anp.tanh(u @ w + b) @ v) / 4) + c

    result = log_evidence(LatentModel(decoder, likelihoods.Categorical(), 2), np.eye(size)[label])
    off = abs(result.value - true)
    assert off <= result.error, f"off by {off:.2g}, stated {result.error:.2g}"
    assert off <= 5e-12, f"off by {off:.2g}: most of the stated error is caution"


def test_the_audit_notices_a_wrong_engine(monkeypatch):
    right = audit_evidence.log_evidence

    def wrong(model, X, **options):
        result = right(model, X, **options)
        return replace(result, value=result.value + 5e-10)

    monkeypatch.setattr(audit_evidence, "log_evidence", wrong)
    result = audit_evidence.audit_model((2026, 0))
    assert len(result.failures) > 20, f"only {len(result.failures)} of 50 values were noticed"


def test_an_audit_that_was_stopped_goes_on(tmp_path, monkeypatch):
    asked = []

    def stub(seed, max_nodes, kinds):
        asked.append(seed)
        return audit_evidence.Audit(pairs=50, reached=49, worst=0.1 * seed[1])

    monkeypatch.setattr(audit_evidence, "audit_model", stub)
    log = tmp_path / "audit.jsonl"
    *_, first = audit_evidence.audit(100, seed=3, log=log)
    with log.open("a") as file:
        file.write('[2, {"pairs": 5')
    *_, whole = audit_evidence.audit(200, seed=3, log=log)
    assert asked == [(3, i) for i in range(4)], "models are audited once, but for the torn line's"
    assert (first.pairs, whole.pairs, whole.reached) == (100, 200, 196), "the parts add up"
    *_, again = audit_evidence.audit(200, seed=3, log=log)
    assert again == whole, "a finished audit is read from its log"
    with pytest.raises(SystemExit, match="expected an audit with"):
        next(audit_evidence.audit(100, seed=4, log=log))


def test_brute_force_resolves_a_posterior_far_from_its_datum():
    # Narrow by the decoder's curvature alone: a hundred standard deviations out.
    scale, datum = 1.8, 250.0
    data = np.array([[datum]])
    value = audit_evidence.line_evidence(lambda z: 3 * anp.sin(7 * z), data, scale)[0]
    z = np.linspace(-14.0, 14.0, 1_000_001)
    joint = -0.5 * (((datum - 3 * np.sin(7 * z)) / scale) ** 2 + z**2)
    dense = joint.max() + np.log(np.exp(joint - joint.max()).sum() * (z[1] - z[0]))
    off = abs(value - (dense - np.log(2 * np.pi * scale)))
    assert off < 1e-14 * abs(dense), f"off by {off:.2g}"
