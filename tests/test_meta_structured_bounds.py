"""False claims fail: bugs put into the bounds one at a time, which claim 22 must notice."""

import dataclasses

import numpy as np
import pytest
from noticing import assert_noticed

from vaetheory import LatentModel
from vaetheory.bounds import _noise_means, gap, missing_data
from vaetheory.claims.structured_bounds import (
    amortisation,
    cells,
    hierarchy,
    ignorability,
    missing,
)
from vaetheory.likelihoods import _cells
from vaetheory.likelihoods.gaussian import Gaussian


def patch(monkeypatch, module, name, field, change):
    """Pass a field of what `module.name` returns through `change`."""
    original = getattr(module, name)

    def broken(*arguments, **options):
        found = original(*arguments, **options)
        return dataclasses.replace(found, **{field: change(getattr(found, field))})

    monkeypatch.setattr(module, name, broken)


@pytest.mark.parametrize(
    ("label", "module", "name", "field"),
    [
        ("22a", amortisation, "gap_split", "amortisation"),
        ("22a", amortisation, "gap_split", "diagonal"),
        ("22a", amortisation, "gap_split", "approximation"),
        ("22a-divergence", amortisation, "gap_split", "amortisation"),
        ("22a-curved", amortisation, "gap_split", "approximation"),
        ("22b", hierarchy, "elbo", "value"),
        ("22b-curved", hierarchy, "posterior_kl", "value"),
        ("22b-three", hierarchy, "elbo", "value"),
        ("22c", missing, "imputation_bound", "value"),
        ("22c", missing, "observed_log_evidence", "value"),
        ("22c-encoder", missing, "imputation_bound", "value"),
        ("22c-curved", missing, "imputation_bound", "value"),
        ("22c-zeros", missing, "observed_log_evidence", "value"),
        ("22d", ignorability, "posterior_expectation", "value"),
        ("22d-complete", ignorability, "posterior_expectation", "value"),
        ("22d-mnar", ignorability, "posterior_expectation", "value"),
        ("22e", cells, "dequantised_bound", "value"),
        ("22e-variational", cells, "dequantised_bound", "value"),
        ("22e-units", cells, "linear_log_evidence", "value"),
    ],
)
def test_a_number_off_by_a_millionth(monkeypatch, label, module, name, field):
    patch(monkeypatch, module, name, field, lambda value: value + 1e-6)
    assert_noticed(label, bug=f"{name}: {field} off by 1e-6", examples=3)


def test_blocks_of_the_covariance(monkeypatch):
    original = hierarchy.block_gap
    monkeypatch.setattr(
        hierarchy, "block_gap", lambda p, blocks: original(np.linalg.inv(p), blocks[::-1])
    )
    assert_noticed("22b-blocks", bug="blocks in the wrong order", examples=8)


def test_a_search_that_ends_where_it_starts(monkeypatch):
    # As if the encoder's own output were the best posterior.
    original = gap.stationary_posterior

    def lazy(model, X, *, structure, start, rtol):
        found = original(model, X, structure=structure, start=start, rtol=rtol)
        return dataclasses.replace(found, loc=found.loc + 0.01, value=found.value - 1e-3)

    monkeypatch.setattr(gap, "stationary_posterior", lazy)
    assert_noticed("22a-curved", bug="the best Gaussian is not the best", examples=5)


def test_the_last_outputs_for_the_first(monkeypatch):
    original = missing_data.selected
    monkeypatch.setattr(
        missing_data, "selected", lambda decoder, which: original(decoder, which[::-1])
    )
    assert_noticed("22c", bug="outputs in the wrong order", examples=5)
    assert_noticed("22d", bug="outputs in the wrong order", examples=5)


def test_variances_in_place_of_the_block(monkeypatch):
    def diagonal(self, which):
        return Gaussian(scale=np.sqrt(np.diagonal(self.cov)[which]))

    monkeypatch.setattr(Gaussian, "marginal", diagonal)
    assert_noticed("22c", bug="the noise of observed coordinates without correlations", examples=5)


def test_an_encoder_that_sees_zeros(monkeypatch):
    # As if the encoder were given the datum before the imputation.
    original = missing_data.elbo

    def blind(model, X, posterior, **options):
        zero = posterior.loc * 0
        return original(model, X, type(posterior)(zero, cov=posterior.cov), **options)

    monkeypatch.setattr(missing_data, "elbo", blind)
    assert_noticed("22c-encoder", bug="the encoder sees nothing", examples=5)


def test_noise_of_half_the_cell(monkeypatch):
    original = _noise_means.legendre_rule

    def half(order, dim):
        nodes, weights = original(order, dim)
        return nodes / 2, weights

    monkeypatch.setattr(_noise_means, "legendre_rule", half)
    assert_noticed("22e", bug="noise in half of the cell", examples=5)


def test_cells_twice_as_wide(monkeypatch):
    original = Gaussian.rounded
    monkeypatch.setattr(Gaussian, "rounded", lambda self, step: original(self, 2 * step))
    assert_noticed("22e", bug="cells of twice the width", examples=5)


def test_cells_about_their_corner(monkeypatch):
    original = _cells.GaussianCells._middle

    def centred(self, x, params):
        middle, half = original(self, x, params)
        return middle - half, half

    monkeypatch.setattr(_cells.GaussianCells, "_middle", centred)
    assert_noticed("22e", bug="the datum is the middle of its cell", examples=5)


def test_levels_in_nats(monkeypatch):
    original = cells.bits_per_dim
    monkeypatch.setattr(
        cells, "bits_per_dim", lambda nats, dim, levels=1: original(nats, dim) + np.log(levels)
    )
    assert_noticed("22e-units", bug="levels in nats", examples=5)


def test_a_mean_of_the_prior(monkeypatch):
    # As if missing coordinates were observed to be zero: all masks give the whole model.
    monkeypatch.setattr(
        ignorability,
        "observed_model",
        lambda model, mask: (
            LatentModel(
                missing_data.selected(model.decoder, np.flatnonzero(mask)), model.likelihood, 1
            )
            if mask.all()
            else LatentModel(lambda z: 0.0 * z + np.zeros(int(mask.sum())), model.likelihood, 1)
        ),
    )
    assert_noticed("22d", bug="the posterior of incomplete data is the prior's", examples=5)
