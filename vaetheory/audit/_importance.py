"""Importance bounds and bits per dimension, each compared with the forms in which it is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from vaetheory._validation import Array
from vaetheory.audit._divergence import in_units
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._shots import LOG_2PI, Shot
from vaetheory.bounds.dequantisation import bits_per_dim

_SAME = 1e-8
#: Each form of the K log weights, with its name and what is wrong with it.
_FORMS = {
    "right": "",
    "mean-of-logs": "the mean of the log weights and not the log of their mean: it is the ELBO, "
    "for any K",
    "log-k-missing": "the log of the sum of the weights, without log K",
    "softmax-of-loss": "the mean of the losses with weights softmax(+loss): the worst samples "
    "count most, and the value is above the single-sample loss",
    "axis": "summed over the batch in place of the samples: the log of the mean weight over the "
    "examples, averaged over the samples",
    "self-normalised": "the mean of the losses with weights softmax(-loss): its gradient may be "
    "right, but the value is no bound",
}


def log_weights(shot: Shot) -> Array:
    """Log p(x, z) - log q(z given x) of each sample, (K, B)."""
    if shot.log_q is not None and shot.log_p is not None:
        return shot.log_p - shot.log_q - shot.decoded.nll
    at = in_units(shot)
    log_p = -0.5 * (at.z**2 + LOG_2PI).sum(-1)
    if shot.factor is None:
        square = ((at.z - at.m) ** 2 / np.exp(at.v)).sum(-1)
    else:
        solved = np.linalg.solve(shot.factor, (shot.z - shot.loc)[..., None])
        square = (solved[..., 0] ** 2).sum(-1)
    log_q = -0.5 * (square + at.log_det + at.z.shape[-1] * LOG_2PI)
    return np.asarray(log_p - log_q - shot.decoded.nll)


def forms(shot: Shot) -> dict[str, float]:
    """The value of each form, averaged over the batch."""
    w = log_weights(shot)
    top = logsumexp(w, axis=0)
    up = np.exp(-w - logsumexp(-w, axis=0))
    down = np.exp(w - top)
    return {
        "right": float(-(top - np.log(len(w))).mean()),
        "mean-of-logs": float(-w.mean()),
        "log-k-missing": float(-top.mean()),
        "softmax-of-loss": float(-(up * w).sum(0).mean()),
        "axis": float(-(logsumexp(w, axis=1) - np.log(w.shape[1])).mean()),
        "self-normalised": float(-(down * w).sum(0).mean()),
    }


def importance(shots: Sequence[Shot], asked: int, into: Findings, same: float = _SAME) -> str:
    """Compare values of an importance bound with its forms; return the name of the form."""
    several = min(len(np.unique(s.z[:, 0], axis=0)) for s in shots)
    if several != asked:
        into.add(
            "iwae.samples",
            WRONG if several == 1 else NOTE,
            several,
            f"the number of latents of an example that were decoded, for K = {asked}",
            f"importance_bound(x, {asked}) decodes {several} latents an example that differ",
            "decode K latents for each example",
        )
    got = np.array([s.values[0] for s in shots])
    made = [forms(s) for s in shots]
    size = shots[0].size
    for name, wrong in _FORMS.items():
        own = np.array([m[name] for m in made])
        for scale in (1.0, float(size)):
            off = got - scale * own
            if np.abs(off).max() <= same * (1 + np.abs(got).max()):
                if wrong:
                    _say(name, wrong, float(own.mean()), made, into)
                return name
    for name, wrong in _FORMS.items():
        own = np.array([m[name] for m in made])
        for scale in (1.0, float(size)):
            off = got - scale * own
            if np.ptp(off) <= same * (1 + np.abs(got).max()):
                if wrong:
                    _say(name, wrong, float(own.mean()), made, into)
                else:
                    into.add(
                        "iwae.constant",
                        BOUND,
                        float(off.mean() / scale),
                        "nats an example by which the value is too large",
                        f"importance_bound is the right form, but off by {off.mean() / scale:.6g} "
                        "nats an example",
                        "add the constants of the log densities",
                    )
                return f"{name} up to a constant"
            if np.abs(got + scale * own).max() <= same * (1 + np.abs(got).max()):
                into.add(
                    "iwae.sign",
                    WRONG,
                    float(got.mean()),
                    "the mean value",
                    "importance_bound is the bound itself and not its negative, which is minimised",
                    "return its negative",
                )
                return f"minus {name}"
    into.add(
        "iwae.unexplained",
        WRONG,
        float(np.abs(got - np.array([m["right"] for m in made])).mean()),
        "the mean distance from -log of the mean weight",
        f"importance_bound(x, K) is none of the known forms of the K weights of the declared model "
        f"(first value {got[0]:.9g}, right is {made[0]['right']:.9g})",
        "return -(logsumexp(log w) - log K), with log w = log p(x given z) + log p(z) - log q(z)",
    )
    return "unexplained"


def _say(
    name: str, wrong: str, own: float, made: Sequence[dict[str, float]], into: Findings
) -> None:
    should = float(np.mean([m["right"] for m in made]))
    into.add(
        f"iwae.{name}",
        BOUND if name in ("log-k-missing", "self-normalised") else WRONG,
        own,
        "its mean value over the shots, equal to that form in each",
        f"importance_bound(x, K) is {wrong} (mean {own:.9g}, the bound is {should:.9g})",
        "return -(logsumexp(log w) - log K)",
    )


def bits(
    got: float,
    nats: float,
    D: int,
    levels: int,
    into: Findings,
    same: float = _SAME,
    *,
    discrete: bool = False,
) -> None:
    """Compare bits per dimension with the loss of an example in nats.

    Probabilities of `discrete` data have no levels to be added.
    """
    lv, ln2 = float(np.log2(levels)), float(np.log(2.0))
    known = np.isfinite(nats)
    should = float(bits_per_dim(nats, D, levels=levels)) if known else nats
    right = (should, float(bits_per_dim(nats, D))) if discrete and known else (should,)
    if any(abs(got - a) <= same * (1 + abs(a)) for a in right):
        return
    counted = [nats / (D * ln2) + a for a in (0.0, *range(1, 17), -lv, float(levels))]
    stories = {
        "bpd.levels": counted,
        "bpd.log2-missing": [
            nats / D + a for a in (0.0, lv, float(np.log(levels)), -lv, -float(np.log(levels)))
        ],
        "bpd.dims-missing": [nats / ln2 + a for a in (0.0, lv, D * lv)],
        "bpd.sign": [-should, -nats / (D * ln2) + lv],
    }
    sentences = {
        "bpd.levels": f"the levels of the data are not counted by + log2({levels})",
        "bpd.log2-missing": "the value is in nats and not in bits: it is not divided by log 2",
        "bpd.dims-missing": f"the value is not divided by the D = {D} dimensions",
        "bpd.sign": "the value has the wrong sign",
        "bpd.unexplained": "the value has another form",
    }
    code = next(
        (
            c
            for c, values in stories.items()
            if any(abs(got - a) <= same * (1 + abs(a)) for a in values)
        ),
        "bpd.unexplained",
    )
    into.add(
        code,
        BOUND,
        got,
        f"bits per dimension of data whose loss is {nats:.9g} nats an example",
        f"{sentences[code]}: it is {got:.9g} bits per dimension, right is {should:.9g} = loss/(D "
        f"log 2) + log2({levels}), for data of step 1/{levels}",
        f"write loss / (D * log(2)) + log2({levels})",
    )
