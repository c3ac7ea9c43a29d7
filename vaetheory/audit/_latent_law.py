"""What an audit says of the law of the latents, beside the equation of the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory.audit import _noise
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE, WRONG, Findings
from vaetheory.audit._identity import explain
from vaetheory.audit._shots import Shot


def law(bench: Any, found: Examined, into: Findings, at: str, exact: float, slack: float) -> None:
    """The law of the latents; where they have a variance of their own, the equation with it."""
    some, source = found.all, bench.source
    if bench.assumed or "noise.constant" in into:
        return
    if _noise.mixed(some, bench.mixing, into, at) or source is None:
        return
    plain = found.identity.form == "declared" and not found.identity.remark
    if not plain and not _noise.right(some, slack):
        own = {size: _noise.effective(of) for size, of in found.shots.items()}
        if all(v is not None for v in own.values()):
            again = explain({s: v for s, v in own.items() if v is not None}, exact)
            if again.form == "declared" or (again.found and not found.identity.found):
                found.identity = replace(again, own_variance=True)
                _own_variance(some, into, at)
                return
    _shared(source, some[-1], into, at)
    _noise.law(some, source.law, into, at, slack)


def missing(bench: Any, some: Sequence[Shot], into: Findings, at: str) -> None:
    """Name latents that are means, where no noise is drawn."""
    if all(s.eps is None for s in some) and _noise.silent(some) and not bench.assumed:
        into.add(
            "noise.missing",
            WRONG,
            0.0,
            "the largest |z - m|",
            f"the decoder gets the mean, and loss(x) draws no noise{at}: this is an "
            "auto-encoder and not a VAE",
            "decode z = m + exp(v/2) e, with e from N(0, 1)",
        )


def untapped(bench: Any, noisy: bool, some: Sequence[Shot], into: Findings) -> None:
    """Noise that the tap did not see: it is read from the latents."""
    known = noisy and bench.mixing is not None
    if known or not all(s.eps is None for s in some) or bench.assumed:
        return
    if not _noise.silent(some):
        off = [np.abs(s.z - s.loc).max() for s in some]
        into.add(
            "noise.untapped",
            NOTE,
            float(np.max(off)),
            "the largest |z - m|",
            "the noise of the latents is none of the draws of PyTorch's generators that were "
            "seen, so that its law was not compared with exp(v/2) e",
            "draw with torch.randn_like",
        )


def _shared(source: Any, shot: Shot, into: Findings, at: str) -> None:
    drawn, asked = source.base.numel(), shot.z.size
    if drawn < asked and drawn in (shot.loc.shape[-1], 1, shot.size) and shot.size > 1:
        whom = "latents of an example" if drawn == shot.size else "examples of a batch"
        into.add(
            "noise.shared",
            WRONG,
            float(drawn),
            f"the number of normal draws for {asked} latents",
            f"one noise is used for all {whom}{at}: {drawn} numbers are drawn for {asked} latents",
            "draw with randn_like(m)",
        )


def _own_variance(some: Sequence[Shot], into: Findings, at: str) -> None:
    s, v = _noise.scales(some)
    off = float(np.abs(2 * np.log(np.abs(s)) - v).max())
    into.add(
        "encoder.other-variance",
        NOTE,
        off,
        "the largest difference of the log variance of z and that of encode(x)",
        f"latents and divergence agree on a variance that encode does not give{at}, such as "
        "one that is clamped or has a floor: the loss is the ELBO of the distribution "
        "sampled from",
        "return from encode what the loss uses",
    )


def both(into: Findings) -> None:
    """Name two changes that are one other reading of the encoder's output."""
    if "noise.variance-as-std" in into and "kl.logvar-as-logstd" in into:
        into.add(
            "declared.posterior",
            NOTE,
            1.0,
            "the slope of log((z - m)/e) in the second output, as in the divergence",
            "noise and divergence both take the second output for a log deviation: with "
            "posterior='logstd' the loss agrees with itself",
            "declare posterior='logstd', or change both",
        )
