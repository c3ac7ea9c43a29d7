"""The split of the gap: 30 digits for linear models, folds, many latents, bad input."""

import mpmath
import numpy as np
import pytest

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, log_evidence
from vaetheory.bounds import block_gap, evidence_estimate, gap_split, stationary_posterior
from vaetheory.bounds._sampled_elbo import sampled_elbo
from vaetheory.evidence import Integral, linear_log_evidence

BENT = LatentModel(
    decoders.TanhNetwork(
        [[[1.0, -0.5], [0.5, 1.5], [2.0, 0.0]], np.eye(3)], [[0.1, 0.0, -0.3], np.zeros(3)]
    ),
    likelihoods.Gaussian(scale=0.25),
)


def linear_parts(weight, scale, x, loc, variances):
    """Gap parts of a linear model to 30 digits."""
    with mpmath.workdps(30):
        w = mpmath.matrix(weight) / mpmath.mpf(scale)
        d = len(loc)
        precision = mpmath.eye(d) + w.T * w
        mean = mpmath.lu_solve(precision, w.T * (mpmath.matrix(x) / mpmath.mpf(scale)))
        away = mpmath.matrix(loc) - mean
        scaled = [precision[j, j] * mpmath.mpf(variances[j]) for j in range(d)]
        logs = mpmath.fsum(mpmath.log(precision[j, j]) for j in range(d))
        diagonal = (logs - mpmath.log(mpmath.det(precision))) / 2
        moved = (away.T * precision * away)[0] / 2
        widths = mpmath.fsum(s - 1 - mpmath.log(s) for s in scaled) / 2
        return float(diagonal), float(moved + widths)


@pytest.mark.parametrize("scale", [1.0, 0.01])
@pytest.mark.parametrize("d", [2, 5, 12])
def test_the_parts_of_a_linear_model_to_30_digits(d, scale):
    rng = np.random.default_rng(d)
    weight, x = rng.integers(-4, 5, (d + 2, d)) / 4.0, rng.integers(-8, 9, d + 2) / 2.0
    loc, sd = rng.integers(-4, 5, d) / 4.0, 2.0 ** rng.integers(-3, 1, d)
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=scale))
    found = gap_split(model, x, Posterior(loc, scale=sd))
    told = linear_parts(weight.tolist(), scale, x.tolist(), loc.tolist(), (sd**2).tolist())
    for name, expected in zip(("diagonal", "amortisation"), told, strict=True):
        off = abs(float(getattr(found, name)) - expected)
        error = float(getattr(found, f"{name}_error"))
        assert off <= error + 1e-14 * expected, f"{name}: off by {off:.2e}, said {error:.2e}"
        assert error < 1e-8 * (1 + told[1]), f"{name}: an error of {error:.2e} says nothing"
    assert abs(float(found.approximation)) <= float(found.approximation_error), (
        "a linear model has a Gaussian posterior"
    )


def test_the_parts_sum_to_the_gap_and_none_is_negative():
    X = [[0.5, 0.2, 0.9], [-1.0, 2.0, 0.0]]
    q = Posterior([[0.2, 0.1], [1.0, -1.0]], scale=[0.3, 0.6])
    found = gap_split(BENT, X, q)
    gap = log_evidence(BENT, X).value - elbo(BENT, X, q).value
    total = found.approximation + found.diagonal + found.amortisation
    assert np.abs(total - gap).max() < 1e-7, f"parts {total}, gap {gap}"
    assert np.abs(found.gap - gap).max() <= found.gap_error.max() + 1e-9, "the gap itself"
    for part in (found.approximation, found.diagonal, found.amortisation):
        assert (part > 1e-4).all(), f"every part of this model is there: {part}"
    again = elbo(BENT, X, found.best).value - elbo(BENT, X, q).value
    assert np.abs(again - found.amortisation).max() < 1e-7, "`best` has another ELBO"
    assert (found.best.cov * (1 - np.eye(2)) == 0).all(), "`best` is not diagonal"


def test_a_full_encoder_pays_no_diagonal_part():
    cov = [[0.2, 0.05], [0.05, 0.3]]
    found = gap_split(BENT, [0.5, 0.2, 0.9], Posterior([0.0, 0.0], cov=cov))
    assert found.structure == "full", "a covariance with correlations"
    assert found.diagonal == 0, f"{found.diagonal}"
    best = stationary_posterior(BENT, [0.5, 0.2, 0.9])
    assert abs(float(found.amortisation - best.value + found.elbo)) < 1e-7, "best full Gaussian"
    told = gap_split(BENT, [0.5, 0.2, 0.9], Posterior([0.0, 0.0], scale=0.5), structure="full")
    assert told.diagonal == 0, "what is asked for counts"


def test_a_search_from_the_encoder_finds_the_mode_that_it_is_in():
    # f(z) = z^2 + z/8 has two modes; the encoder sits in the lower one.
    fold = LatentModel(
        decoders.Polynomial([[1], [2]], [[0.125], [1.0]]), likelihoods.Gaussian(scale=0.1)
    )
    q = Posterior([[-1.0]], scale=0.05)
    near = gap_split(fold, [[1.0]], q)
    far = gap_split(fold, [[1.0]], q, restart=False)
    assert near.approximation[0] <= far.approximation[0] + 1e-9, "it found less"
    assert near.amortisation[0] >= far.amortisation[0] - 1e-9, "it found less"


def test_evidences_may_be_given():
    wide = LatentModel(
        decoders.TanhNetwork([np.eye(6)[:, ::-1], np.eye(6)], [np.zeros(6)] * 2),
        likelihoods.Gaussian(scale=0.5),
    )
    X, q = np.full((1, 6), 0.25), Posterior(np.zeros((1, 6)), scale=0.5)
    given = evidence_estimate(wide, X, particles=32)
    found = gap_split(wide, X, q, evidence=given, restart=False)
    assert found.evidence[0] == given.value[0], "another evidence than the one given"
    assert found.approximation_error[0] >= given.error[0], "its error is lost"
    # The latents are independent: six times the split of one.
    one = LatentModel(
        decoders.TanhNetwork([[[1.0]], [[1.0]]], [[0.0]] * 2), likelihoods.Gaussian(scale=0.5)
    )
    each = gap_split(one, [[0.25]], Posterior([[0.0]], scale=0.5))
    for name in ("approximation", "diagonal", "amortisation"):
        off = abs(getattr(found, name)[0] - 6 * getattr(each, name)[0])
        error = getattr(found, f"{name}_error")[0]
        assert off <= error + 1e-9, f"{name}: off by {off:.2e}, said {error:.2e}"
        assert error < 0.3, f"{name}: an error of {error:.2e} says nothing"


def test_sampled_elbos_cover_exact_ones():
    rng = np.random.default_rng(5)
    inside = []
    for d in (5, 9, 14, 20):
        model = LatentModel(
            decoders.Affine(rng.normal(size=(d, d)) / np.sqrt(d)), likelihoods.Gaussian(scale=0.5)
        )
        X, q = rng.normal(size=(4, d)), Posterior(rng.normal(size=(4, d)), scale=0.7)
        drawn, exact = sampled_elbo(model, X, q), elbo(model, X, q)
        inside += (np.abs(drawn.value - exact.value) <= drawn.error).tolist()
        assert (drawn.error < 0.5).all(), f"d = {d}: errors {drawn.error} say nothing"
    assert all(inside), f"{inside.count(False)} of {len(inside)} errors are too small"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"structure": "round"}, "structure: expected"),
        ({"evidence": 3.0}, "evidence: expected an Integral or a Bracket, got float"),
        ({"rtol": 0.5}, "rtol: expected"),
        ({"posterior": Posterior([0.0], scale=1.0)}, "posterior: expected latent dimension 2"),
        (
            {"posterior": Posterior([0.0, 0.0], cov=[[1.0, 0.5], [0.5, 1.0]]),
             "structure": "diagonal"},
            "structure: expected 'full'",
        ),
    ],
)  # fmt: skip
def test_bad_input(changes, words):
    given = {"model": BENT, "X": [0.0] * 3, "posterior": Posterior([0.0, 0.0], scale=1.0)} | changes
    with pytest.raises(ValueError, match=words):
        gap_split(**given)


@pytest.mark.parametrize("d", [9, 20])
def test_many_latents(d):
    """A product of models of one latent, rotated, and a linear one that does not say so."""
    rng = np.random.default_rng(d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    one = LatentModel(
        decoders.TanhNetwork([[[1.0]], [[1.0]]], [[0.5]] * 2), likelihoods.Gaussian(scale=0.4)
    )
    whole = LatentModel(
        decoders.TanhNetwork([turn, np.eye(d)], [np.full(d, 0.5)] * 2),
        likelihoods.Gaussian(scale=0.4),
    )
    x = rng.normal(size=(1, d)) + 0.5
    exact = log_evidence(one, x.T)
    given = Integral(
        exact.value.sum(keepdims=True), exact.error.sum(keepdims=True), np.array(["reached"]), 0
    )
    found = gap_split(whole, x, Posterior(np.zeros((1, d)), cov=np.eye(d) / 4), evidence=given,
                      structure="full", restart=False)  # fmt: skip
    told = (exact.value - stationary_posterior(one, x.T).value).sum()
    off = abs(found.approximation[0] - told)
    assert off <= found.approximation_error[0], f"off by {off:.3f}, {found.approximation_error}"
    assert found.approximation_error[0] < 0.2, f"an error of {found.approximation_error}"

    weight = rng.normal(size=(d, d)) / np.sqrt(d)
    hidden = LatentModel(lambda z: z @ weight.T, likelihoods.Gaussian(scale=0.4), d)
    open_ = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.4))
    q = Posterior(np.zeros((1, d)), scale=0.5)
    right = gap_split(open_, x, q)
    given = linear_log_evidence(open_, x)
    found = gap_split(hidden, x, q, evidence=given, restart=False)
    for name in ("approximation", "diagonal", "amortisation"):
        off = abs(getattr(found, name)[0] - getattr(right, name)[0])
        error = getattr(found, f"{name}_error")[0]
        assert off <= error, f"{name}: off by {off:.2e}, said {error:.2e}"
        assert error < 0.3, f"{name}: an error of {error:.2e} says nothing"


def test_too_many_latents_and_another_shape():
    wide = LatentModel(
        decoders.TanhNetwork([np.eye(65), np.eye(65)], [np.zeros(65)] * 2),
        likelihoods.Gaussian(scale=0.5),
    )
    other = log_evidence(BENT, [0.0] * 3)
    with pytest.raises(ValueError, match="latent_dim: expected at most 64"):
        gap_split(wide, np.zeros(65), Posterior(np.zeros(65), scale=1.0), evidence=other)
    with pytest.raises(ValueError, match=r"evidence: expected shape \(1,\)"):
        gap_split(BENT, [[0.0] * 3], Posterior([[0.0, 0.0]], scale=1.0), evidence=other)


def test_blocks():
    precision = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
    whole = float(block_gap(precision))
    two = float(block_gap(precision, [2, 1]))
    cov = np.linalg.inv(precision)
    logs = [np.log(np.linalg.det(m)) for m in (cov[:2, :2], cov[2:, 2:], cov)]
    assert abs(two - 0.5 * (logs[0] + logs[1] - logs[2])) < 1e-14, "the mutual information"
    assert 0 < two < whole, "finer blocks cost more"
    assert float(block_gap(precision, [3])) == 0, "one block costs nothing"
    with pytest.raises(ValueError, match="blocks: expected sizes that sum to 3"):
        block_gap(precision, [2, 2])
    with pytest.raises(ValueError, match="precision: expected"):
        block_gap(-precision)


def test_latents_that_the_data_barely_tell_apart():
    # Of columns that are nearly the same the precision has a condition of 1e20 or more.
    scale, x = 1.3e-5, (3.0, -1.3333, 2.1001)
    weight = np.array([90.0, -40.0, 63.0])[:, None] * [1.0, 1 + 1e-6]
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=scale))
    q = Posterior([0.01, -0.02], scale=[1e-5, 1e-6])
    found = gap_split(model, x, q)
    with mpmath.workdps(60):
        w, s = mpmath.matrix(weight.tolist()), mpmath.mpf(scale)
        p = mpmath.eye(2) + w.T * w / s**2
        centre = (p**-1) * (w.T * mpmath.matrix(x)) / s**2
        away = mpmath.matrix(q.loc.tolist()) - centre
        v = [mpmath.mpf(float(q.cov[k, k])) for k in range(2)]
        det = mpmath.det(p)
        diagonal = mpmath.log(p[0, 0] * p[1, 1] / det) / 2
        own = sum(p[k, k] * v[k] - 1 - mpmath.log(p[k, k] * v[k]) for k in range(2))
        amortisation = ((away.T * p * away)[0] + own) / 2
        parts = ("approximation", 0), ("diagonal", diagonal), ("amortisation", amortisation)
        for name, told in parts:
            off = abs(mpmath.mpf(float(getattr(found, name))) - told)
            error = float(getattr(found, f"{name}_error"))
            assert off <= error, f"{name}: off by {float(off):.2e}, said {error:.2e}"
            assert error < 1e-6 * (1 + abs(told)), f"{name}: an error of {error:.2e}"


def test_best_posteriors_of_a_linear_model_have_the_elbos_that_are_said():
    weight = np.array([[1.0, 0.5], [-0.3, 0.8], [0.2, 1.1]])
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.4))
    X = [[0.5, -0.2, 0.9], [1.0, 0.3, -0.4]]
    found = gap_split(model, X, Posterior(np.zeros((2, 2)), scale=0.7))
    for name, told in (("full", 0.0), ("best", found.diagonal)):
        reached = elbo(model, X, getattr(found, name))
        off = np.abs(found.evidence - told - reached.value)
        allowed = reached.error + found.evidence_error + found.diagonal_error
        assert (off <= allowed).all(), f"{name}: off by {off.max():.2e}, said {allowed.min():.2e}"
