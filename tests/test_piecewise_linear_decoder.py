"""Decoders that are affine on each of finitely many regions: their layers, values and slopes."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import networks

from vaetheory import decoders, derivatives
from vaetheory.decoders import Affine, ElementwisePieces, LinearMap, PiecewiseLinear, Reparametrised

#: The functions of a unit, written another way.
FUNCTIONS = {
    "relu": lambda x: np.maximum(x, 0.0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "absolute": np.abs,
    "hard_tanh": lambda x: np.clip(x, -1.0, 1.0),
}


def places(dim, many=7):
    return np.sin(np.arange(1.0, many * dim + 1)).reshape(many, dim) * 3.0


@given(networks())
def test_values_are_those_of_the_network(case):
    weights, biases, name = case
    f, z = PiecewiseLinear.network(weights, biases, name), places(weights[0].shape[1])
    h = z
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        h = FUNCTIONS[name](h @ w.T + b)
    expected = h @ weights[-1].T + biases[-1]
    assert np.allclose(f(z), expected, rtol=1e-13, atol=1e-13), f"{f} at {z.tolist()}"
    assert f.latent_dim == weights[0].shape[1], "the latent dimension is that of the first weight"


@given(networks())
def test_slopes_are_those_of_autograd_inside_a_region(case):
    weights, biases, name = case
    f = PiecewiseLinear.network(weights, biases, name)
    z = places(f.latent_dim)
    found, slopes = derivatives.jacobian(f, z), f.jacobian(z)
    assert np.allclose(slopes, found, rtol=1e-13, atol=1e-13), f"{slopes} and {found}"
    # In the interior of a region the map is affine: a small step changes it by its slope.
    step = 1e-7 * np.ones(f.latent_dim)
    change = f(z + step) - f(z)
    same = (f.jacobian(z + step) == slopes).all(axis=(-2, -1))
    assert np.allclose(change[same], (slopes @ step)[same], atol=1e-12), "not the slopes of values"
    assert not f.hessian(z).any(), "a piece that is affine has no second derivative"


@given(networks(dim=2), st.integers(1, 3))
def test_an_affine_change_of_the_latent_is_one_more_layer(case, dim):
    f = PiecewiseLinear.network(*case)
    weight = np.cos(np.arange(2.0 * dim)).reshape(2, dim)
    other = Reparametrised(f, weight, [0.5, -0.25])
    layered = other.piecewise_linear()
    z = places(dim)
    assert layered is not None, "expected the layers of a network behind an affine change"
    assert layered.latent_dim == dim, "the latents are those before the change"
    assert np.allclose(layered(z), other(z), rtol=1e-13, atol=1e-13), "not the same map"


def test_who_is_piecewise_linear():
    f = PiecewiseLinear.network([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    assert f.piecewise_linear() is f, "the decoder itself"
    affine = Affine([[2.0]], [1.0])
    assert affine.piecewise_linear()([[3.0]]).tolist() == [[7.0]], "an affine map has one piece"
    for other in (decoders.Circle(1.0), decoders.FunctionDecoder(anp.abs)):
        assert other.piecewise_linear() is None, f"{other} does not know any layers"
        assert Reparametrised(other, [[1.0]]).piecewise_linear() is None, f"{other}, changed"


class Wrong(decoders.Circle):
    """A circle that says that it is piecewise linear, and gives something else."""

    def piecewise_linear(self):
        return Affine([[1.0]])


def test_layers_of_another_type_are_refused():
    with pytest.raises(ValueError, match=r"piecewise_linear\(\): expected a PiecewiseLinear"):
        Reparametrised(Wrong(1.0), [[1.0]]).piecewise_linear()


def test_at_a_kink_the_slope_is_that_on_the_left():
    for pieces, slope in (
        (ElementwisePieces.relu(), 0.0),
        (ElementwisePieces.leaky_relu(0.25), 0.25),
        (ElementwisePieces.absolute(), -1.0),
        (ElementwisePieces.hard_tanh(0.0, 1.0), 0.0),
    ):
        f = PiecewiseLinear([LinearMap([[1.0]]), pieces])
        assert f.jacobian([0.0]).tolist() == [[slope]], f"{pieces}"


def test_the_arrays_of_the_user_are_copied():
    weight, bias, slope = np.ones((1, 1)), np.zeros(1), np.zeros(1)
    layers = [LinearMap(weight, bias), ElementwisePieces.leaky_relu(slope)]
    f = PiecewiseLinear(layers)
    weight[:], bias[:], slope[:] = 5.0, 5.0, 5.0
    assert f([[2.0]]).tolist() == [[2.0]], "the decoder follows an array of the user"
    layers.pop()
    assert len(f.layers) == 2, "the decoder follows a list of the user"
    assert not f.layers[0].weight.flags.writeable, "the weights can be changed"


def test_weights_in_single_precision_are_taken_exactly():
    weight = np.float32([[0.1], [0.3]])
    f = PiecewiseLinear.network([weight, [[1.0, 1.0]]], [np.zeros(2, np.float32), [0.0]])
    assert f([[1.0]])[0, 0] == float(weight[0, 0]) + float(weight[1, 0]), "weights were rounded"


def test_overflow_under_a_slope_of_zero_does_not_count():
    f = PiecewiseLinear.network([[[-1e200]], [[1e200]], [[1.0]]], [[0.0], [1.0], [2.0]])
    assert f([[1e200]]).tolist() == [[3.0]], "a unit that is off has no value but zero"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PiecewiseLinear([]), "layers: expected at least one LinearMap"),
        (lambda: PiecewiseLinear([ElementwisePieces.relu()]), "layers: expected at least one"),
        (lambda: PiecewiseLinear(LinearMap([[1.0]])), "layers: expected a list or a tuple"),
        (lambda: PiecewiseLinear([np.tanh]), r"layers\[0\]: expected a LinearMap or Elem"),
        (
            lambda: PiecewiseLinear([LinearMap([[1.0]]), LinearMap([[1.0, 1.0]])]),
            r"layers\[1\]: expected a layer of 1 inputs",
        ),
        (
            lambda: PiecewiseLinear([LinearMap([[1.0]]), ElementwisePieces.leaky_relu([0, 0.5])]),
            r"layers\[1\]: expected a layer of 1 inputs",
        ),
        (lambda: PiecewiseLinear.network([], []), "weights and biases: expected one of each"),
        (
            lambda: PiecewiseLinear.network([[[1.0]], [[1.0, 2.0]]], [[0.0], [0.0]]),
            "layer 1: expected a weight",
        ),
        (lambda: PiecewiseLinear.network([[[1.0]]], [[0.0]], "tanh"), "activation: expected one"),
        (lambda: LinearMap([1.0]), "weight: expected 2 axes"),
        (lambda: LinearMap([[1.0]], [0.0, 1.0]), "bias: expected shape"),
        (lambda: ElementwisePieces([], [1.0], [0.0]), "thresholds, slopes and intercepts: exp"),
        (lambda: ElementwisePieces([0.0], [1.0], [0.0]), "thresholds, slopes and intercepts: e"),
        (
            lambda: ElementwisePieces([[0.0], [0.0]], [0.0, 1.0], np.zeros((3, 2))),
            "thresholds, slopes and intercepts: expected shapes",
        ),
        (
            lambda: ElementwisePieces([1.0, 0.0], [0, 1, 0], [0, 0, 1]),
            "thresholds: expected ascending",
        ),
        (
            lambda: ElementwisePieces([0.0], [0.0, 1.0], [0.0, 1.0]),
            "slopes and intercepts: expected pieces that meet",
        ),
        (lambda: ElementwisePieces([np.nan], [0.0, 1.0], [0.0, 0.0]), "thresholds: expected fin"),
        (lambda: ElementwisePieces.hard_tanh(1.0, 1.0), "thresholds: expected ascending"),
        (lambda: ElementwisePieces.leaky_relu([[0.5]]), "slope: expected a number or a vector"),
        (lambda: ElementwisePieces.leaky_relu([0.5, 0.5])([1.0]), r"x: expected shape \(..., 2\)"),
    ],
)
def test_bad_layers_are_a_value_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
