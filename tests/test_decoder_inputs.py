"""Decoders: what their constructors refuse, and what becomes of a plain function."""

import autograd.numpy as anp
import numpy as np
import pytest

from vaetheory import decoders


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: decoders.Affine([1.0, 2.0]), "weight: expected 2 axes"),
        (lambda: decoders.Affine([[np.nan]]), "weight: expected finite"),
        (lambda: decoders.Affine([[1.0]], [1.0, 2.0]), "bias: expected shape"),
        (lambda: decoders.Affine([[1.0], [2.0]], [[1.0, 2.0]]), "bias: expected shape"),
        (lambda: decoders.Affine([["a"]]), "weight: expected an array of real numbers"),
        (lambda: decoders.Affine([[1.0], [1.0, 2.0]]), "weight: expected an array of real"),
        (lambda: decoders.Affine([[1j]]), "weight: expected an array of real numbers"),
        (lambda: decoders.Polynomial([[-1]], [[1.0]]), "powers: expected integers"),
        (lambda: decoders.Polynomial([[0.5]], [[1.0]]), "powers: expected integers"),
        (lambda: decoders.Polynomial([[1], [2]], [[1.0]]), "powers and coefficients: expected"),
        (lambda: decoders.Polynomial([1], [[1.0]]), "powers: expected 2 axes"),
        (lambda: decoders.Circle(0.0), "radius: expected positive"),
        (lambda: decoders.Circle(-1.0), "radius: expected positive"),
        (lambda: decoders.Circle(np.inf), "radius: expected finite"),
        (lambda: decoders.Circle([1.0, 2.0]), "radius: expected a number"),
        (lambda: decoders.Helix(1.0, 0.0), "pitch: expected positive"),
        (lambda: decoders.Helix(np.nan, 1.0), "radius: expected finite"),
        (lambda: decoders.Catenary(0.0), "scale: expected positive"),
        (lambda: decoders.Cylinder(0.0), "radius: expected positive"),
        (lambda: decoders.FlatTorus(1.0, -1.0), "other_radius: expected positive"),
        (lambda: decoders.SpherePatch([1.0]), "radius: expected a number"),
        (lambda: decoders.TanhNetwork([], []), "weights and biases: expected one of each"),
        (lambda: decoders.TanhNetwork([[[1.0]]], []), "weights and biases: expected one of each"),
        (lambda: decoders.TanhNetwork([[[1.0]]], [[1.0, 2.0]]), "layer 0: expected"),
        (
            lambda: decoders.TanhNetwork([[[1.0]], [[1.0, 2.0]]], [[0.0], [0.0]]),
            "layer 1: expected",
        ),
        (lambda: decoders.TanhNetwork([[1.0]], [[0.0]]), r"weights\[0\]: expected 2 axes"),
        (lambda: decoders.Sine([1.0, 2.0], [[1.0]]), "amplitude, frequency and phase: expected"),
        (lambda: decoders.Sine([1.0], [[1.0]], [0.0, 1.0]), "amplitude, frequency and phase"),
        (lambda: decoders.Sine([1.0], [1.0]), "frequency: expected 2 axes"),
        (lambda: decoders.as_decoder("circle"), "decoder: expected a callable"),
        (lambda: decoders.as_decoder(None), "decoder: expected a callable"),
    ],
)
def test_bad_constructor_input_is_a_value_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_as_decoder_keeps_a_decoder_and_wraps_a_function():
    circle = decoders.Circle(1.0)
    assert decoders.as_decoder(circle) is circle, "a decoder came back changed"
    wrapped = decoders.as_decoder(anp.sin)
    assert isinstance(wrapped, decoders.Decoder), "a function was not given derivatives"
