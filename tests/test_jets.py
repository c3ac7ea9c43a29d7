"""Taylor arithmetic: every rule against mpmath's Taylor series."""

import autograd.numpy as anp
import numpy as np
import pytest
from mpmath import mp
from scipy import special

from vaetheory.jets import Jet, push, taylor

ORDER = 8
#: NumPy's function, mpmath's, and where.
RULES = {
    "exp": (np.exp, mp.exp, 0.5),
    "exp2": (np.exp2, lambda t: 2**t, 0.5),
    "expm1": (np.expm1, mp.expm1, 1e-3),
    "log": (np.log, mp.log, 2.5),
    "log2": (np.log2, lambda t: mp.log(t, 2), 2.5),
    "log10": (np.log10, mp.log10, 2.5),
    "log1p": (np.log1p, mp.log1p, 0.5),
    "sqrt": (np.sqrt, mp.sqrt, 2.5),
    "cbrt": (np.cbrt, lambda t: mp.cbrt(t), 2.5),
    "square": (np.square, lambda t: t**2, -0.5),
    "reciprocal": (np.reciprocal, lambda t: 1 / t, 1.5),
    "absolute": (np.abs, lambda t: -t, -1.5),
    "sin": (np.sin, mp.sin, 0.5),
    "cos": (np.cos, mp.cos, 0.5),
    "tan": (np.tan, mp.tan, 0.5),
    "sinh": (np.sinh, mp.sinh, 0.5),
    "cosh": (np.cosh, mp.cosh, 0.5),
    "tanh": (np.tanh, mp.tanh, 0.5),
    "arcsin": (np.arcsin, mp.asin, 0.25),
    "arctan": (np.arctan, mp.atan, 0.5),
    "arcsinh": (np.arcsinh, mp.asinh, 0.5),
    "arctanh": (np.arctanh, mp.atanh, 0.25),
    "expit": (special.expit, lambda t: 1 / (1 + mp.exp(-t)), 0.5),
    "erf": (special.erf, mp.erf, 0.5),
    "ndtr": (special.ndtr, mp.ncdf, 0.5),
    "cube": (lambda t: t**3, lambda t: t**3, 0.0),
    "power": (lambda t: t**-1.5, lambda t: t ** mp.mpf(-1.5), 2.0),
    "power of itself": (lambda t: t**t, lambda t: t**t, 2.0),
    "hypot": (lambda t: np.hypot(t, 2.0), lambda t: mp.sqrt(t**2 + 4), 0.5),
    "logaddexp": (lambda t: np.logaddexp(t, -t), lambda t: mp.log(2 * mp.cosh(t)), 0.5),
    "arctan2": (lambda t: np.arctan2(t, -2.0), lambda t: mp.pi - mp.atan(t / 2), 0.5),
    "quotient": (lambda t: 3 / (1 + t * t), lambda t: 3 / (1 + t * t), 0.5),
    "maximum": (lambda t: np.maximum(t, 2 * t), lambda t: 2 * t, 0.5),
    "minimum": (lambda t: np.minimum(t, 2 * t), lambda t: t, 0.5),
    "sign": (lambda t: np.sign(t) * t, lambda t: -t, -0.5),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_the_taylor_series(name):
    function, exact, start = RULES[name]
    found = function(Jet([start, 1.0, *[0.0] * (ORDER - 1)])).coefficients
    with mp.workdps(40):
        wanted = np.array([float(c) for c in mp.taylor(exact, mp.mpf(start), ORDER)])
    size = np.maximum(np.abs(wanted), np.abs(wanted).max() * 1e-3)
    assert (np.abs(found - wanted) < 1e-13 * size).all(), f"{name}: {found} for {wanted}"


#: Where a rule made of 1 - y would have lost its digits, or overflow.
FAR = {
    "tanh": (np.tanh, mp.tanh, (8.0, -8.0, 400.0)),
    "expit": (special.expit, lambda t: 1 / (1 + mp.exp(-t)), (24.0, -24.0, 700.0)),
    "softplus": (lambda t: np.logaddexp(0, t), lambda t: mp.log1p(mp.exp(t)), (-6.0, 30.0)),
    "less": (lambda t: np.logaddexp(t, 0), lambda t: mp.log1p(mp.exp(t)), (-6.0, 30.0)),
    "arcsin": (np.arcsin, mp.asin, (1 - 2.0**-30,)),
    "arctanh": (np.arctanh, mp.atanh, (1 - 2.0**-30,)),
}


@pytest.mark.parametrize("name", FAR)
def test_saturating_rules_keep_every_coefficients_digits(name):
    function, exact, starts = FAR[name]
    for start in starts:
        found = function(Jet([start, 1.0, 0.0, 0.0])).coefficients
        with mp.workdps(400):
            wanted = np.array([float(c) for c in mp.taylor(exact, mp.mpf(start), 3)])
        off = np.abs(found - wanted)
        assert (off <= 1e-14 * np.abs(wanted)).all(), f"{start}: {found} for {wanted}"


def test_logaddexp_does_not_overflow():
    for start in (900.0, -900.0):
        found = np.logaddexp(Jet([start, 1.0, 0.0]), 0).coefficients
        wanted = [start, 1.0, 0.0] if start > 0 else [0.0, 0.0, 0.0]
        assert found.tolist() == wanted, f"{found} at {start}"


def test_a_path_that_is_no_line():
    path = Jet(np.array([0.5, 1.0, -0.25, 2.0])[:, None])
    with mp.workdps(40):
        line = mp.taylor(lambda t: mp.tanh(0.5 + t - t**2 / 4 + 2 * t**3), 0, 3)
    found = np.tanh(path).coefficients[:, 0]
    assert np.allclose(found, [float(c) for c in line], rtol=1e-14), f"{found} for {line}"


def test_arrays_broadcast_as_numpy_does():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(4, 3, 1)), rng.normal(size=(4, 2)), rng.normal(size=(5, 1, 2))
    for operation in (np.add, np.subtract, np.multiply, np.divide):
        for one, other in ((Jet(a), Jet(b)), (Jet(a), c), (c, Jet(b)), (Jet(b), 2.0)):
            found = operation(one, other)
            starts = [v.coefficients[0] if isinstance(v, Jet) else v for v in (one, other)]
            expected = operation(*starts)
            assert found.shape == expected.shape, f"{operation}: {found.shape}"
            assert np.allclose(found.coefficients[0], expected), f"{operation}"
    m = rng.normal(size=(4, 2, 3))
    product = Jet(m) @ Jet(rng.normal(size=(4, 3, 2)))
    assert product.shape == (2, 2), f"matmul: {product.shape}"
    assert (rng.normal(size=(5, 2)) @ Jet(m)).shape == (5, 3), "constant @ jet"


@pytest.mark.parametrize(
    "function",
    [
        lambda z: np.stack([z[..., 0] * z[..., 1], np.exp(z[..., 0])], axis=-1),
        lambda z: anp.stack([z[..., 0] * z[..., 1], anp.exp(z[..., 0])], axis=-1),
        lambda z: anp.concatenate([z[..., :1] * z[..., 1:], anp.exp(z[..., :1])], axis=-1),
        lambda z: anp.array([z[..., 0] * z[..., 1], anp.exp(z[..., 0])]).T,
    ],
    ids=["numpy", "autograd's stack", "autograd's concatenate", "autograd's array"],
)
def test_functions_of_numpy_and_of_autograd(function):
    z, w = np.array([[0.5, -1.0], [1.0, 2.0]]), np.array([[1.0, 0.5], [-1.0, 2.0]])
    exact = [
        z[:, 0] * z[:, 1],
        z[:, 0] * w[:, 1] + z[:, 1] * w[:, 0],
        w[:, 0] * w[:, 1],
        0 * z[:, 0],
    ]
    found = taylor(function, z, w, 3)
    assert np.allclose(found[..., 0], exact, atol=1e-15), f"{found[..., 0]} for {exact}"


def test_an_unknown_operation_is_refused():
    with pytest.raises(TypeError, match="expected functions that have a Taylor series"):
        push(lambda z: special.gammaln(z), Jet(np.ones((3, 1))))


def test_a_constant_function_is_its_own_series():
    found = push(lambda z: np.ones((*np.shape(z)[:-1], 2)), Jet(np.zeros((3, 4, 1))))
    assert found.shape == (4, 2), f"shape {found.shape}"
    assert not found.coefficients[1:].any(), "a constant has derivatives"
