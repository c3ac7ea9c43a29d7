"""What is said of a loss that alters its data before it uses them."""

from __future__ import annotations

from vaetheory.audit._findings import NOTE, WRONG, Findings

_SENTENCES = {
    "shuffled": "loss(x) shuffles its batch: what was found holds for the examples in their new "
    "order",
    "drawn": "loss(x) draws examples of its batch: what was found holds for those that are drawn",
    "changed": "loss(x) changes its data first, as by flips, noise or a scaling: what was found "
    "holds for the changed data, and the bound is one of their density",
    "encoder": "loss(x) changes the data that the encoder gets, and compares the decoder with "
    "those that were given: this is an ELBO whose posterior depends on changed data",
}


def say(kind: str | None, into: Findings) -> None:
    """Note how data were altered; `kind` is one of the keys above, or "mismatched"."""
    if kind == "mismatched":
        into.add(
            "recon.mismatched",
            WRONG,
            1.0,
            "1: the encoder gets other examples than loss(x)",
            "the decoder's output is compared with other examples than those that were encoded",
            "shuffle data and targets together",
        )
    elif kind is not None:
        into.add(
            f"data.{kind}-inside",
            NOTE,
            1.0,
            "1: the encoder gets other data than loss(x)",
            _SENTENCES[kind],
            "nothing, if this is meant",
        )
