"""The penalty that the noise puts on a decoder: other routes, small slopes, and bad input."""

import re

import mpmath
import numpy as np
import pytest

from vaetheory.bounds import implicit_regulariser

J = np.random.default_rng(1).normal(size=(5, 4, 3))


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("variance", [1e-6, 0.3, 1e6])
def test_it_is_the_log_determinant_and_that_of_the_diagonal(beta, variance):
    M = np.eye(3) + np.swapaxes(J, -1, -2) @ J / (beta * variance)
    full = implicit_regulariser(J, variance=variance, beta=beta)
    assert np.allclose(full, beta / 2 * np.linalg.slogdet(M)[1], rtol=1e-9, atol=1e-15)
    diagonal = implicit_regulariser(J, variance=variance, beta=beta, structure="diagonal")
    expected = beta / 2 * np.log(np.diagonal(M, axis1=-2, axis2=-1)).sum(axis=-1)
    assert np.allclose(diagonal, expected, rtol=1e-9, atol=1e-15), "another diagonal penalty"
    assert (diagonal >= full * (1 - 1e-14)).all(), "Hadamard's inequality is missed"


def test_orthogonal_columns_pay_the_same_with_either_structure():
    columns = np.linalg.qr(J[0])[0] * [3.0, 1.0, 0.1]
    full, diagonal = (
        implicit_regulariser(columns, variance=0.1, structure=s) for s in ("full", "diagonal")
    )
    assert np.isclose(full, diagonal, rtol=1e-13), f"{full} and {diagonal}"


def test_small_slopes_keep_their_digits():
    slopes = 1e-9 * J[0]
    found = float(implicit_regulariser(slopes, variance=1.0))
    with mpmath.workdps(50):
        A = mpmath.matrix(slopes.tolist())
        exact = mpmath.log(mpmath.det(mpmath.eye(3) + A.T * A)) / 2
    assert abs(found / float(exact) - 1) < 1e-13, f"{found} for {exact}"


def test_fewer_outputs_than_latents_have_no_more_penalty_than_their_rank():
    wide = np.swapaxes(J, -1, -2)
    M = np.eye(4) + np.swapaxes(wide, -1, -2) @ wide / 0.2
    found = implicit_regulariser(wide, variance=0.2)
    assert np.allclose(found, np.linalg.slogdet(M)[1] / 2, rtol=1e-12), "another determinant"


@pytest.mark.parametrize(
    ("jacobian", "options", "words"),
    [
        ([1.0], {"variance": 1.0}, "jacobian: expected at least 2 axes"),
        ([[np.nan]], {"variance": 1.0}, "jacobian: expected finite numbers, got nan"),
        (np.zeros((0, 2)), {"variance": 1.0}, "jacobian: expected shape (..., D, d), got (0, 2)"),
        ([[1.0]], {"variance": 0.0}, "variance: expected positive numbers, got 0.0"),
        ([[1.0]], {"variance": 1.0, "beta": -1.0}, "beta: expected positive numbers, got -1.0"),
        (
            [[1.0]],
            {"variance": 1.0, "structure": "shared"},
            "structure: expected one of full, diagonal; got",
        ),
    ],
)
def test_bad_input_is_named(jacobian, options, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        implicit_regulariser(jacobian, **options)
