"""What else is told of the functions given: their form."""

from __future__ import annotations

from typing import Any

from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE

#: How much of the likelihood may change, in nats, where nothing should.
_LEAK = 1e-6


def form_of_functions(conduct: Any, found: Examined) -> None:
    """Note losses of each example, decoders that see the data, and names that do not exist."""
    bench, into = conduct.bench, conduct.findings
    if getattr(bench, "returned", 1) > 1:
        into.add(
            "loss.several",
            NOTE,
            bench.returned,
            "how many numbers loss(x) returns",
            f"loss(x) returns {bench.returned} numbers and not one: their sum was examined",
            "return one number, as what is minimised",
        )
    name = getattr(bench, "unknown_decoder", None)
    if name is not None:
        into.add(
            "decoder.unknown",
            NOTE,
            0.0,
            "how many attributes of the module have this name",
            f"the module has no method or submodule {name!r}: the submodules that decode(z) calls "
            "were watched in its place",
            "give the name of the one whose input is z",
        )
    if hasattr(bench, "leak"):
        changed, same = bench.leak()
        if changed > _LEAK + 10 * same:
            into.add(
                "decoder.sees-data",
                NOTE,
                changed,
                "the largest change of -log p(x given z) of an example at one z, in nats, after "
                "encode has got other data",
                "decode(z) depends on the data that were encoded before, besides z: right for an "
                "autoregressive decoder that is given its data, and a leak past z otherwise",
                "nothing, if this is meant",
            )
