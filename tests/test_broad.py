"""Broad posteriors on shared lattices, against dense trapezoids that share nothing with them."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import LatentModel, likelihoods, log_evidence, posterior_expectation
from vaetheory._quadrature import broad_posteriors, engine, shifted_lattices

#: A smooth curve with a feature of some size on it: what a lattice may not see.
FEATURES = {
    "a step": lambda z, width: anp.tanh((z - 0.3) / width),
    "a pole": lambda z, width: 1 / (1 + ((z - 0.3) / width) ** 2),
    "waves": lambda z, width: anp.sin((z - 0.3) / width),
}


def _model(feature, size, width, scale):
    def decoder(z):
        return anp.concatenate([anp.tanh(z), z / 2], axis=-1) + size * FEATURES[feature](z, width)

    return LatentModel(decoder, likelihoods.Gaussian(scale=scale), 1)


def _dense(model, X, step=4e-4, shift=0.3):
    """Log evidence for d = 1, and the doubt that a second lattice leaves."""
    found = []
    for h, offset in ((step, shift), (0.8 * step, 0.77)):
        z = (np.arange(int(26 / h)) + offset)[:, None] * h - 13
        joint = model.log_joint(X[:, None], z)
        top = joint.max(axis=-1)
        found.append(top + np.log(h * np.exp(joint - top[:, None]).sum(axis=-1)))
    return found[1], np.abs(found[0] - found[1]) + 2e-13


def _answered(model, X, **options):
    """The result, and which data the lattices have answered."""
    done = []

    def spy(*args, **options):
        found = broad_posteriors.integrate_broad(*args, **options)
        done.append(np.zeros(len(X), dtype=bool) if found is None else found.done)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "integrate_broad", spy)
        return log_evidence(model, X, **options), np.concatenate(done)


@settings(max_examples=25, deadline=None)
@given(
    feature=st.sampled_from(sorted(FEATURES)),
    digits=st.integers(0, 11),
    inverse_width=st.sampled_from([3.0, 10.0, 40.0, 100.0, 2 * np.pi * 6, 2 * np.pi * 11.625]),
    scale=st.sampled_from([0.2, 0.5, 1.0, 2.0]),
    place=st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=4),
)
def test_small_and_sharp_features_are_covered_by_the_stated_error(
    feature, digits, inverse_width, scale, place
):
    model = _model(feature, 10.0**-digits, 1 / inverse_width, scale)
    X = np.array([[p, 0.6 - p / 3] for p in place])
    result, done = _answered(model, X, max_nodes=300_000)
    truth, doubt = _dense(model, X)
    off = np.abs(result.value - truth)
    covered = (off <= result.error + doubt) | ~done
    assert covered.all(), f"off by {off}, stated {result.error}, by lattices {done}"


def test_broad_data_are_answered_by_the_lattices_and_narrow_ones_are_not():
    z = np.array([[0.3], [-0.5], [1.2]])
    for scale, expected in ((1.0, True), (1e-3, False)):
        model = _model("a step", 0.0, 1.0, scale)
        X = model.decode(z) + scale * np.array([[0.5, -0.3]])
        result, done = _answered(model, X)
        assert (done == expected).all(), f"scale {scale}: lattices answered {done}"
        assert result.reached.all(), f"scale {scale}: {result.status}"


def test_expectations_agree_with_a_dense_lattice():
    X = np.array([[0.3, 0.1], [1.5, -0.8], [0.0, 0.4]])
    model = _model("a step", 0.0, 1.0, 0.7)
    mean = posterior_expectation(model, X, lambda z: z[..., 0])
    z = np.linspace(-10, 10, 4001)[:, None]
    weight = np.exp(model.log_joint(X[:, None], z))
    off = np.abs(mean.value - weight @ z[:, 0] / weight.sum(axis=-1))
    assert (off <= mean.error + 1e-14).all(), f"off by {off}, stated {mean.error}"


def test_a_feature_narrower_than_the_cells_is_not_taken_for_smooth():
    # In the tail, so that the lattices could miss it and agree.
    a, b, c, p, width = -6.37521070, 1.40974069, 0.15814783, 0.924873284477273, 0.008402638609212738
    model = LatentModel(
        lambda z: a * anp.tanh(b * z + c) + 2.787798 / (1 + ((z - p) / width) ** 2),
        likelihoods.Gaussian(scale=1.2564001700995768),
        1,
    )
    X = np.array([[6.43133245], [5.14166762], [4.98819029]])
    truth, doubt = _dense(model, X)
    result, done = _answered(model, X)
    off = np.abs(result.value - truth)
    covered = (off <= result.error + doubt) | ~done
    assert covered.all(), f"off by {off}, stated {result.error}, by lattices {done}"


#: What is between the nodes of the lattices, and what is beyond the grid, explains the data far
#: better than all that they see.
BROKEN = {
    "lattices on one another": (lambda z: anp.tanh(2 * z), 0.3, 0.5),
    "nothing is hidden": (lambda z: 8 * anp.exp(-(((z - 0.09375) / 0.004) ** 2)), 1.0, 8.0),
    "nothing is outside": (lambda z: 5 + 5 * anp.tanh(20 * (z - 9)), 1.0, 10.0),
}


@pytest.mark.parametrize("bug", BROKEN)
def test_a_broken_engine_is_noticed(monkeypatch, bug):
    curve, scale, x = BROKEN[bug]
    model = LatentModel(
        lambda z: anp.concatenate([z / 2, curve(z)], axis=-1), likelihoods.Gaussian(scale=scale), 1
    )
    X = np.array([[0.1, x], [0.1, 0.0], [-0.3, 0.0]])
    truth, doubt = _dense(model, X, step=5e-5)
    intact = log_evidence(model, X)
    off = np.abs(intact.value - truth)
    assert (off <= intact.error + doubt).all(), f"off by {off}, stated {intact.error}"
    if bug == "lattices on one another":
        monkeypatch.setitem(shifted_lattices.SHIFTS, 1, np.zeros((4, 1)))
    else:
        name = "_hidden" if bug == "nothing is hidden" else "mass_outside"
        monkeypatch.setattr(broad_posteriors, name, lambda *args: (0.0, 0))
    result, done = _answered(model, X)
    off = np.abs(result.value - truth)
    wrong = done & (off > result.error + doubt)
    assert wrong.any(), f"unnoticed: off by {off}, stated {result.error}, by lattices {done}"
