"""What is said of a loss for which there is no equation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vaetheory.audit import _divergence, _importance, _reconstruction
from vaetheory.audit._coupling import coupled
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._fit import fit, simplest
from vaetheory.audit._identity import explain
from vaetheory.audit._reading import read
from vaetheory.audit._varying import varying

#: Shots at data that are held.
_HELD = 24
#: Forms of a bound of several samples that may be meant as a loss, and what they are.
_BOUNDS = {
    "right up to": "-log of the mean weight but for a constant, tighter than the ELBO",
    "right": "-log of the mean weight, a tighter bound of -log p(x) than the ELBO",
    "log-k-missing": "-log of the sum of the weights, which is no bound of -log p(x)",
    "self-normalised": "the log weights, averaged with the weights of their own. Its gradient is "
    "that of the bound if these weights are detached, and its value is no bound of -log p(x)",
}


def unexplained(conduct: Any, found: Examined, at: str) -> None:
    """Say what is known of a loss that is no combination of known terms."""
    bench, findings, slack = conduct.bench, conduct.findings, conduct.slack
    if findings.begins("undecided."):
        return
    residual = found.identity.residual
    if not np.isfinite(residual):
        findings.add(
            "undecided.overflow",
            NOTE,
            max(float(np.abs(s.values).max()) for s in found.all),
            "the largest loss that was seen",
            f"the loss is too large to be compared, or not finite{at}, wherever it was tried",
            "clamp log variances, or audit a module with smaller weights",
        )
        return
    if _importance_bound(found, findings) or varying(conduct, found):
        return
    if _constant_of_data(conduct, found):
        return
    defect = None if bench.fixed else coupled(bench)
    conduct.facts["defect of the batch"] = defect
    if defect is not None and defect > 1e-8 * slack:
        findings.add(
            "outside.coupled",
            WRONG,
            defect,
            "|l(a, b) - (l(a, a) + l(b, b))/2| over the size of the loss",
            f"the loss of an example depends on the others in its batch{at} (relative defect "
            f"{defect:.2g}): statistics of the batch, or a term such as MMD, TC or a clamp of "
            "a mean. This is not the ELBO of the declared model; it may be what is meant",
            "nothing, if another objective is meant; otherwise compute each example alone",
        )
        return
    code, sentence = _parts(conduct)
    findings.add(
        code,
        WRONG,
        residual,
        "the part of the loss that no combination of known terms explains",
        f"the loss is no combination of the terms that are known{at} (residual {residual:.2g} of "
        f"its spread){sentence}. This is not the ELBO of the declared model: another objective, or "
        "`encode`, `decode` and `likelihood` are not what the loss uses",
        "declare what the loss uses; flows, learned priors, hierarchies and adversaries are "
        "outside of what can be recognised",
    )


def _importance_bound(found: Examined, into: Findings) -> bool:
    """Whether the loss is a bound of several samples, of which the ELBO is that of one."""
    shots = found.shots[max(found.shots)]
    count = len(shots[0].z)
    if count < 2 or any(len(s.z) != count for s in shots):
        return False
    form = _importance.importance(shots, count, Findings())
    said = next((s for name, s in _BOUNDS.items() if form.startswith(name)), None)
    if said is None:
        return False
    into.add(
        "outside.importance-bound",
        NOTE,
        float(count),
        "the number of samples of each example",
        f"the loss is the importance bound of {count} samples (IWAE): {said}",
        "nothing, if this bound is meant: give it as importance_bound, and the ELBO as loss",
    )
    return True


def _constant_of_data(conduct: Any, found: Examined) -> bool:
    """Whether there is an equation at data that are held: then a term depends on them alone."""
    bench = conduct.bench
    shots, offsets = {}, []
    for size in conduct.sizes:
        for _ in range(2):
            shots[size] = conduct.observe(size, _HELD, bench.rows(size))
            identity = explain({size: shots[size]}, conduct.exact)
            if identity.form not in ("declared", "terms") or identity.remark:
                return False
            offsets.append(identity.fits[size]["1"])
    identity = explain(shots, conduct.exact)
    # Where the constants agree the equation fails for another reason, which these shots miss.
    differ = max(abs(a - b) for a, b in zip(offsets[::2], offsets[1::2], strict=True))
    same = differ <= 1e-9 * conduct.slack * (1 + max(map(abs, offsets)))
    if same or not identity.found:
        return False
    found.identity, found.shots = replace(identity, remark="of data"), shots
    found.reading = read(identity, conduct.setting(shots), conduct.findings)
    conduct.findings.drop("constant")
    conduct.findings.add(
        "constant.of-data",
        BOUND,
        abs(offsets[1] - offsets[0]),
        "by how much the constant of the equation differs between two batches of data",
        "the loss has, besides the terms below, one that depends on the data alone: harmless for "
        "training, but the value is no bound. A part of the likelihood is missing, or the Jacobian "
        "of a change of the data",
        "take log_prob of the declared distributions",
    )
    return True


def _parts(conduct: Any) -> tuple[str, str]:
    """Which part of the loss is the declared one: a code, and what can be said.

    Where the encoder is made 0 the divergence is a constant, and where the decoder is the
    likelihood is, at data that are held.
    """
    bench = conduct.bench
    names = set(bench.encoder_names())
    rest = set(bench.moves.parameters) - names
    if not names or not rest:
        return "outside.unexplained", ""
    size = max(conduct.sizes)
    x = bench.rows(size)
    try:
        of_decoder = conduct.observe(size, _HELD, x, names)
        of_encoder = conduct.observe(size, _HELD, x, rest)
    except (RuntimeError, ValueError):
        return "outside.unexplained", ""
    one = np.ones(len(of_decoder))
    columns = {
        _reconstruction.DECLARED: _reconstruction.declared_column(of_decoder),
        **_divergence.declared_columns(of_decoder),
    }
    recon = fit({**columns, "1": one}, np.array([s.values[0] for s in of_decoder]))
    r = recon[_reconstruction.DECLARED]
    y = np.array([s.values[0] for s in of_encoder])
    divergence = fit({**_divergence.declared_columns(of_encoder), "1": np.ones(len(y))}, y)
    right_recon = recon.residual <= conduct.exact and abs(r) > 0
    right_kl = divergence.residual <= conduct.exact
    if right_kl and not right_recon:
        return "outside.reconstruction", (
            ": with the decoder at 0 it is the mean over the batch of the declared divergence, "
            f"times {size * divergence['KL']:.6g}, and with the encoder at 0 it is no multiple of "
            "the declared -log p(x given z)"
        )
    if right_recon and not right_kl:
        return "outside.divergence", (
            ": with the encoder at 0 it is the mean over the batch of the declared "
            f"-log p(x given z), times {size * r:.6g}; with the decoder at 0 it is no multiple "
            f"of the declared divergence{_terms(of_encoder, y)}"
        )
    return "outside.unexplained", ""


def _terms(shots: Any, y: Any) -> str:
    """The divergence in single terms, if it is made of them."""
    if not all(s.gaussian for s in shots):
        return ""
    free = {**_divergence.free_columns(shots), "1": np.ones(len(y))}
    found = simplest(free, y, (*_divergence.CLOSED, "1"))
    if not found.residual <= 1e-9:
        return ""
    size = max(abs(c) for c in found.coefficients.values())
    listed = [f"{c:+.6g} {n}" for n, c in found.coefficients.items() if abs(c) > 1e-9 * size]
    return ", but " + ", ".join(n for n in listed if not n.endswith(" 1"))
