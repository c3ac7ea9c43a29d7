"""False claims fail: bugs put into the noise of gradients one at a time, which claim 20 notices."""

import dataclasses

import pytest
from noticing import assert_noticed

from vaetheory._quadrature import weight_ratios
from vaetheory.bounds import _reparametrised, gradient_limits, gradient_moments
from vaetheory.claims.gradient_estimators import curvature, many_samples
from vaetheory.claims.gradient_estimators import scenes as room


def scale_field(monkeypatch, module, function, name, field, factor=1 + 1e-6):
    """Let a number of one estimator that `module.function` returns be off by so much."""
    original = getattr(module, function)

    def broken(*arguments, **options):
        found = dict(original(*arguments, **options))
        value = getattr(found[name], field) * factor
        return found | {name: dataclasses.replace(found[name], **{field: value})}

    monkeypatch.setattr(module, function, broken)


@pytest.mark.parametrize(
    ("label", "module", "name", "field"),
    [
        ("20a", room, "path", "mean"),
        ("20a", room, "total", "variance"),
        ("20b-directions", room, "path", "variance"),
        ("20b-curvature", curvature, "total", "variance"),
        ("20c", room, "dreg", "mean"),
        ("20c", room, "decoder", "variance"),
        ("20d", many_samples, "dreg", "variance"),
    ],
)
def test_a_number_off_by_a_millionth(monkeypatch, label, module, name, field):
    factor = 1 + (1e-3 if label == "20b-curvature" else 1e-6)
    scale_field(monkeypatch, module, "gradient_noise", name, field, factor)
    assert_noticed(label, bug=f"{field} of {name} off", examples=3)


@pytest.mark.parametrize("field", ["mean", "variance"])
def test_a_limit_off_by_a_millionth(monkeypatch, field):
    scale_field(monkeypatch, many_samples, "gradient_noise_limits", "path", field)
    assert_noticed("20d", bug=f"a limit's {field} off by 1e-6")


@pytest.mark.parametrize("label", ["20a", "20b", "20b-curvature", "20c"])
def test_a_path_gradient_that_keeps_the_score(monkeypatch, label):
    original = _reparametrised.Reparametrised.terms

    def broken(self, name, *rest):
        return original(self, "total" if name == "path" else name, *rest)

    monkeypatch.setattr(_reparametrised.Reparametrised, "terms", broken)
    assert_noticed(label, bug="the path gradient is the total one", examples=3)


def test_dreg_with_the_first_power(monkeypatch):
    monkeypatch.setattr(gradient_moments, "POWERS", {**gradient_moments.POWERS, "dreg": 1})
    assert_noticed("20c", bug="DReG with the first power of the shares", examples=2)


def test_integrals_of_another_number_of_samples(monkeypatch):
    original = weight_ratios.WeightedSums.moments

    def broken(self, counts, power, columns):
        return original(self, [k + 1 for k in counts], power, columns)

    monkeypatch.setattr(weight_ratios.WeightedSums, "moments", broken)
    for label in ("20c", "20c-exact"):
        assert_noticed(label, bug="one sample more", examples=2)


def test_one_moment_more_than_is_needed(monkeypatch):
    original = gradient_limits._exists
    monkeypatch.setattr(
        gradient_limits, "_exists", lambda *rest: original(*rest[:-1], rest[-1] + 1)
    )
    assert_noticed("20d-moments", bug="one moment more")
