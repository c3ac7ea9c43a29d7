"""Claims with up to 32 latents: their instances, and bugs that they must notice."""

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, find, settings
from noticing import assert_noticed, scale_result

from vaetheory import constant_variance, evidence, flows
from vaetheory.bounds import batch_information, estimated_evidence
from vaetheory.claims.bilbo import many_latents as bilbo_batches
from vaetheory.claims.constant_variance import greatest_penalty, many_latents, small_variations
from vaetheory.claims.flow_limit import posteriors, wide_flows
from vaetheory.claims.flow_limit.scenes import Linear
from vaetheory.claims.stationary_evidence import wide_linear

#: How many latents an instance of each proposition has.
LATENTS = {
    wide_linear.CONSTANT_WEIGHTS: lambda scene: scene.model.latent_dim,
    wide_linear.WIDE_DIAGONAL_GAP: lambda scene: scene.model.latent_dim,
    many_latents.WIDE_PENALTY: lambda scene: scene.model.latent_dim,
    small_variations.WIDE_VARIATIONS: lambda scene: len(scene.mean.variances),
    greatest_penalty.WIDE_GREATEST_PENALTY: lambda scene: scene.matrices.shape[-1],
    bilbo_batches.WIDE_EVIDENCE_BOUND: lambda scene: len(scene.batch.scale),
    wide_flows.WIDE_DIAGONAL_POSTERIOR: lambda scene: len(scene.z),
}


@pytest.mark.parametrize("proposition", LATENTS, ids=lambda p: p.label)
def test_instances_have_up_to_32_latents(proposition):
    count = LATENTS[proposition]
    drawn = settings(database=None, derandomize=True, phases=[Phase.generate])
    widest = find(proposition.instances, lambda scene: count(scene) == 32, settings=drawn)
    found = proposition.check(widest)
    assert found.margin <= 1, f"refuted for 32 latents: {found}"
    assert found.looseness <= proposition.resolution, f"decides nothing: {found}"


@pytest.mark.parametrize(
    ("label", "module", "name"),
    [
        ("3c-wide", wide_linear, "second_order_elbo"),
        ("3d-wide", wide_linear, "second_order_elbo"),
        ("5c-wide", greatest_penalty, "log_specht_ratio"),
        ("6c-wide", batch_information, "_half_log_det"),
        ("6c-wide", batch_information, "_half_log1p_mean_square"),
        ("8f-wide", flows, "ima_contrast"),
    ],
)
def test_a_function_off_by_a_millionth(monkeypatch, label, module, name):
    scale_result(monkeypatch, module, name, 1 + 1e-6)
    assert_noticed(label, bug=f"{name} off by 1e-6")


@pytest.mark.parametrize(
    ("label", "module"), [("3c-wide", evidence), ("6c-wide", estimated_evidence)]
)
def test_a_closed_form_off_by_a_millionth(monkeypatch, label, module):
    right = module.linear_gaussian

    def wrong(*arguments):
        found = right(*arguments)
        return found._replace(value=found.value + 1e-6)

    monkeypatch.setattr(module, "linear_gaussian", wrong)
    assert_noticed(label, bug="a log evidence off by 1e-6")


@pytest.mark.parametrize(
    ("label", "field"), [("5a-wide", "value"), ("5a-wide", "cov"), ("5b-wide", "second_order")]
)
def test_a_penalty_off_by_a_thousandth(monkeypatch, label, field):
    right = constant_variance._penalty

    def wrong(*arguments):
        found = right(*arguments)
        return dataclasses.replace(found, **{field: getattr(found, field) * (1 + 1e-3)})

    monkeypatch.setattr(constant_variance, "_penalty", wrong)
    assert_noticed(label, bug=f"{field} of the penalty off by 1e-3")


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_posteriors_of_wide_flows_are_those_of_the_library(dim, diagonal):
    scene = wide_flows.WideFlow(
        Linear((1.0, 1.5, 0.75)[:dim], (0.25, -0.5, 0.5)[:dim], (30, 60)[: dim - 1]),
        (45, 30)[: dim - 1],
        (0.5, -0.25, 0.25)[:dim],
    )
    sigma = np.array([0.1, 0.05])
    found = wide_flows.best_posteriors(scene, sigma, diagonal=diagonal)
    limit = -0.5 * (scene.latent @ scene.latent + dim * np.log(2 * np.pi))
    limit = limit - scene.flow.log_det(scene.latent)
    for i, s in enumerate(sigma):
        best = posteriors.best_posterior(scene.flow, scene.latent, float(s), diagonal=diagonal)
        # One Gaussian is the same as the other up to a shift of the root of the deficit.
        shift = 2 * np.sqrt(2 * float(best.deficit)) + 1e-12
        size = 1 + abs(float(best.value))
        assert abs(limit - found.lost[i] - best.value) <= best.error + 1e-13 * size, (
            f"another ELBO at sigma = {s}: {limit - found.lost[i]} for {best.value}"
        )
        np.testing.assert_allclose(
            s**2 * found.cov[i], best.cov, rtol=0, atol=shift * s**2 * np.abs(found.cov[i]).max(),
            err_msg="another covariance",
        )  # fmt: skip
