"""What no VAE with the noise of a trained one can gain on the digits.

    .venv/bin/python benchmarks/likelihood_certificates.py

Trains three VAEs of claim 11 with two and with eight latents (one seed each), certifies them on
training and on held-out data, and writes the table and `docs/likelihood-certificates.csv`.
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

import numpy as np

from vaetheory._files import replacing
from vaetheory.bounds import likelihood_certificate
from vaetheory.likelihoods import Gaussian, GaussianMeanScale, Likelihood
from vaetheory.training import (
    OBJECTIVES,
    SOURCES,
    Density,
    Settings,
    density_of,
    sampled_measures,
    split_data,
    train,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
MODELS = {
    "one sigma": ("one-sigma", 0.0),
    "half-network, h = 1": ("half", 1.0),
    "half-network, h = 3": ("half", 3.0),
    "ordinary, learned scales": ("ordinary", 0.0),
}
HEADINGS = (
    "model", "latents", "data", "least scale", "the VAE", "peak", "reached", "ceiling", "gain",
    "from its own numbers",
)  # fmt: skip
TITLE = """# Certificates of trained VAEs

By `benchmarks/likelihood_certificates.py`. All numbers but the scale are in nats a digit.

"""
_DRAWS = 1000


def likelihood_of(density: Density, X: np.ndarray) -> tuple[Likelihood, float]:
    """The likelihood, and its least scale; learned scales have the least that draws show."""
    if density.log_sigma is not None:
        scale = np.exp(density.log_sigma)
        return Gaussian(scale=scale), float(scale.min())
    rng = np.random.default_rng(0)
    loc, spread = density.encode(X)
    least = np.full(X.shape[1], np.inf)
    for _ in range(8):
        z = loc + spread * rng.standard_normal(loc.shape)
        _, log_scale = density.vae.decode(density.params, z)
        assert log_scale is not None
        least = np.minimum(least, np.exp(log_scale).min(axis=0))
    return GaussianMeanScale(least_scale=least), float(least.min())


def rows_of(name: str, latents: int, seed: int) -> list[list[str]]:
    """Train a VAE, and certify it on the training and on the held-out data."""
    key, information = MODELS[name]
    data, settings = split_data(SOURCES["digits"](), seed), Settings(latent_dim=latents)
    vae = settings.model(OBJECTIVES[key], data.train, information)
    run = train(vae, data, settings, seed=seed)
    density = density_of(vae, run.best, data.train, seed=seed, draws=8)
    likelihood, least = likelihood_of(density, np.concatenate([data.train, data.test]))
    found = []
    for part, X in (("training", data.train), ("held out", data.test)):
        rng = np.random.default_rng([seed, 400])
        logs = sampled_measures(density, X, draws=_DRAWS, rng=rng).importance
        told = likelihood_certificate(likelihood, X, log_evidence=logs)
        numbers = (told.mean, told.floor, told.reached, told.ceiling, told.gain,
                   told.mean + told.upper)  # fmt: skip
        found.append(
            [
                name,
                str(latents),
                f"{part}, {len(X)}",
                f"{least:.2g}",
                *(f"{v:.2f}" for v in numbers),
            ]
        )
        print(" | ".join(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latents", type=int, nargs="*", default=(2, 8))
    options = parser.parse_args()
    rows = [
        row
        for latents in options.latents
        for name in MODELS
        for row in rows_of(name, latents, options.seed)
    ]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([HEADINGS, *rows])
    lines = [" | ".join(line) for line in (HEADINGS, ["---"] * len(HEADINGS), *rows)]
    for name, text in (
        ("likelihood-certificates.csv", stream.getvalue()),
        ("likelihood-certificates-table.md", TITLE + "".join(f"| {line} |\n" for line in lines)),
    ):
        with replacing(DOCS / name) as draft:
            draft.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
