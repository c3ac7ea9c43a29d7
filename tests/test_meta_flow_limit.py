"""False claims fail: bugs put into flows one at a time, which claim 8 must notice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import strategies as st
from noticing import assert_noticed, scale_result

from vaetheory import decoders, flows
from vaetheory.checking import varying_metric
from vaetheory.claims.flow_limit import divergence, posteriors, rough_densities
from vaetheory.claims.flow_limit.closed_curves import Turn
from vaetheory.claims.flow_limit.couplings import Couplings
from vaetheory.claims.flow_limit.diagonal_posteriors import ColumnScene
from vaetheory.claims.flow_limit.rough_densities import Interval, Kinked
from vaetheory.claims.flow_limit.scenes import Bend, CouplingLayer, EmbeddedScene, FlowScene, Linear
from vaetheory.flows import _local, base, density, smoothing

LINE = FlowScene((Linear((1.0,), (0.5,)), Bend("cubic", 1), Linear((1.5,), (0.0,))), (0.5,))
SINH = FlowScene((Linear((1.0,), (0.5,)), Bend("sinh", 1)), (0.5,))
LAYERS = (CouplingLayer(True, 1.0, 0.5, 0.5, 1.0), CouplingLayer(False, -1.0, 0.0, 0.5, -0.5))
PLANE = FlowScene(LAYERS, (0.5, -0.5))
BENT = decoders.Polynomial([[1], [2], [3]], [[1.0, 0.0], [0.0, 0.5], [0.0, 0.125]])
CURVE = EmbeddedScene((Linear((1.5,), (0.5,)),), BENT, (0.5,))
SCENES = {
    "8a": LINE,
    "8a-jump": Kinked(1.0, 2.0, 0.0),
    "8b": SINH,
    "8c": CURVE,
    "8c-closed": Turn(2.5),
    "8d": LINE,
    "8e": SINH,
    "8e-best": SINH,
    "8e-rough": Kinked(1.0, 1.0, 1.0),
    "8e-onto": Interval(1.0),
    "8f": PLANE,
    "8f-orthogonal": ColumnScene(("cubic",), (1.0, 2.0), (30,), 0.5, (0.5, 0.5)),
    "8g": Couplings(LAYERS, (0.5, -0.5)),
}


def noticed(label, bug, scene=None):
    """Demand that `label` is refuted, on the one scene: nothing is left to shrink."""
    assert_noticed(label, bug=bug, instances=st.just(scene or SCENES[label]), examples=1)


@pytest.mark.parametrize("label", ["8a", "8b", "8d"])
def test_a_log_det_of_the_wrong_sign(monkeypatch, label):
    for family in (flows.Cubic, flows.Sinh):
        scale_result(monkeypatch, family, "log_slope", -1.0)
    noticed(label, "log slope of the wrong sign")


@pytest.mark.parametrize("label", ["8b", "8c", "8d"])
def test_a_volume_without_its_square_root(monkeypatch, label):
    scale_result(monkeypatch, base.Embedding, "log_volume", 2.0)
    noticed(label, "log det g for its half", CURVE)


def test_coupling_layers_with_a_log_det_off_by_a_millionth(monkeypatch):
    scale_result(monkeypatch, flows.Coupling, "log_det", 1 + 1e-6)
    noticed("8g", "log det off by 1e-6")


def test_layers_that_are_all_taken_at_the_latent(monkeypatch):
    monkeypatch.setattr(
        flows.Composition, "log_det", lambda self, z: sum(f.log_det(z) for f in self.flows)
    )
    noticed("8g", "every log det at the latent")
    noticed("8a", "every log det at the latent")


def test_layers_inverted_in_the_wrong_order(monkeypatch):
    def inverse(self, x):
        for part in self.parts:
            x = part.inverse(x)
        return x

    monkeypatch.setattr(flows.Composition, "inverse", inverse)
    # The library itself refuses: f(f^-1(x)) is not x.
    for label in ("8a", "8g"):
        with pytest.raises(AssertionError, match="came out inconclusive"):
            noticed(label, "inverses in the wrong order")


@pytest.mark.parametrize("label", ["8a", "8e"])
@pytest.mark.parametrize("factor", [2.0, 1 + 1e-5])
def test_a_laplacian_that_is_off(monkeypatch, label, factor):
    for module in (density, flows):
        scale_result(monkeypatch, module, "laplacian_ratio", factor)
    noticed(label, f"Laplacian off by {factor - 1:g}")


@pytest.mark.parametrize("family", ["Cubic", "Sinh"])
def test_a_second_derivative_that_is_off(monkeypatch, family):
    scale_result(monkeypatch, getattr(flows, family), "bend", 1 + 1e-6)
    noticed("8a", f"bend of {family} off by 1e-6", LINE if family == "Cubic" else SINH)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("label", ["8a", "8c"])
def test_a_taylor_coefficient_that_is_off(monkeypatch, order, label):
    original = _local.taylor

    def wrong(*arguments):
        out = original(*arguments).copy()
        out[order:] *= 1 + 1e-6
        return out

    monkeypatch.setattr(_local, "taylor", wrong)
    noticed(label, f"coefficients from {order} off by 1e-6")


@pytest.mark.parametrize("label", ["8a", "8c"])
def test_a_ratio_without_the_prior(monkeypatch, label):
    original = _local.Local.__init__

    def centred(self, flow, z):
        original(self, flow, z)
        self.image = np.asarray(flow.forward(z))
        self.z = z * (1 + 1e-6)

    monkeypatch.setattr(_local.Local, "__init__", centred)
    noticed(label, "the latent off by 1e-6")


@pytest.mark.parametrize("label", ["8a", "8c", "8c-closed", "8g"])
def test_an_evidence_that_is_slightly_off(monkeypatch, label):
    original = smoothing.log_evidence

    def shifted(*arguments, **options):
        result = original(*arguments, **options)
        return dataclasses.replace(result, value=result.value + 1e-6)

    monkeypatch.setattr(smoothing, "log_evidence", shifted)
    noticed(label, "evidence off by 1e-6 nats")


@pytest.mark.parametrize("label", ["8a-jump", "8e-onto"])
def test_an_evidence_that_is_off_at_an_edge(monkeypatch, label):
    original = rough_densities.log_evidence

    def shifted(*arguments, **options):
        result = original(*arguments, **options)
        return dataclasses.replace(result, value=result.value - 1e-6)

    monkeypatch.setattr(rough_densities, "log_evidence", shifted)
    noticed(label, "evidence off by 1e-6 nats")


def test_a_local_route_that_nobody_checks(monkeypatch):
    original = smoothing._Rows._by_evidence

    def blind(*arguments):
        found = original(*arguments)
        found.error[:] = np.inf
        return found

    monkeypatch.setattr(smoothing._Rows, "_by_evidence", blind)
    noticed("8c-closed", "blind to other preimages")


@pytest.mark.parametrize("label", ["8b", "8d", "8f", "8e-best"])
def test_a_posterior_that_is_no_stationary_one(monkeypatch, label):
    for module in (posteriors, divergence):
        original = module.stationary_posterior

        def wider(*arguments, original=original, **options):
            q = original(*arguments, **options)
            lost = 0.25 * q.cov.shape[-1] * 1e-4
            return dataclasses.replace(q, cov=q.cov * 1.01, value=q.value - lost)

        monkeypatch.setattr(module, "stationary_posterior", wider)
    noticed(label, "covariance off by a hundredth")


@pytest.mark.parametrize("label", ["8b", "8e-best"])
def test_a_gap_that_is_off(monkeypatch, label):
    scale_result(monkeypatch, varying_metric, "gap_coefficient", 1 + 1e-4)
    noticed(label, "gap off by 1e-4")


@pytest.mark.parametrize("label", ["8f", "8f-orthogonal"])
def test_a_contrast_off_by_a_millionth(monkeypatch, label):
    scale_result(monkeypatch, flows, "ima_contrast", 1 + 1e-6)
    noticed(label, "c_IMA off by 1e-6")


def test_a_contrast_of_the_rows(monkeypatch):
    original = flows.ima_contrast

    def of_rows(flow, z):
        J = flow.jacobian(z)
        return original(flows.Affine(J.T), z)

    monkeypatch.setattr(flows, "ima_contrast", of_rows)
    noticed("8f-orthogonal", "rows for columns")


@pytest.mark.parametrize("label", ["8e", "8e-rough"])
def test_a_divergence_that_is_off(monkeypatch, label):
    for module in (divergence, rough_densities):
        scale_result(monkeypatch, module, "expm1_less_argument", 1 + 1e-4)
    noticed(label, "divergence off by 1e-4")
