"""The flows of tests/reference/flow_excess.json, built from their parameters."""

import json
from pathlib import Path

import numpy as np

from vaetheory import decoders, flows

STORED = json.loads((Path(__file__).parent / "reference" / "flow_excess.json").read_text())


def _layer(kind, parameters, dim):
    if kind in ("cubic", "sinh"):
        return {"cubic": flows.Cubic, "sinh": flows.Sinh}[kind](dim)
    if kind == "coupling":
        mask, weights, biases = parameters
        return flows.Coupling(mask, decoders.TanhNetwork(weights, biases))
    decoder = {
        "helix": decoders.Helix,
        "polynomial": decoders.Polynomial,
        "sphere": decoders.SpherePatch,
    }.get(kind)
    if decoder is not None:
        return flows.Immersion(decoder(*parameters), dim)
    return {"affine": flows.Affine, "triangular": flows.Triangular}[kind](*parameters)


def flow(name, dim):
    """The flow of that name, on `dim` latents."""
    return flows.compose(*(_layer(kind, rest, dim) for kind, *rest in STORED["flows"][name]))


def cases():
    """Name, flow, latent, scale, limit and excess of every stored case."""
    for case in STORED["cases"]:
        z = np.array(case["latent"])
        yield (
            case["flow"],
            flow(case["flow"], len(z)),
            z,
            float(case["scale"]),
            float(case["limit"]),
            float(case["excess"]),
        )
