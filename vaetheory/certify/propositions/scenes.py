"""Decoders and scenes, as text, that several default instances share."""

from __future__ import annotations

from typing import Any

#: A network with two tanh units, d = 1 and D = 2.
TANH = {
    "kind": "tanh-network",
    "weights": [[["1"], ["-0.5"]], [["1", "0.5"], ["0.25", "-1"]]],
    "biases": [["0.1", "0.2"], ["0", "0"]],
}
#: z -> (z, z^2 / 2).
PARABOLA = {"kind": "polynomial", "powers": [[1], [2]], "coefficients": [["1", "0"], ["0", "0.5"]]}
#: z -> z^2.
SQUARE = {"kind": "polynomial", "powers": [[2]], "coefficients": [["1"]]}


def scene(decoder: dict[str, Any], x: list[str], scale: str | list[str]) -> dict[str, Any]:
    """A decoder under a Gaussian likelihood, and a datum."""
    likelihood = {"kind": "gaussian", "scale": scale}
    return {"model": {"decoder": decoder, "likelihood": likelihood}, "x": x}
