"""The checks that follow the equation, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaetheory.audit import _importance
from vaetheory.audit._conduct import Check, Conduct
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._fit import fit
from vaetheory.audit._functions import form_of_functions
from vaetheory.audit._gradient import gradient
from vaetheory.audit._gradient_of_bound import slope_of_bound
from vaetheory.audit._identity import Identity
from vaetheory.audit._ranges import grey, ranges

#: Samples of an importance bound, examples in its batch, and evaluations.
_K, _BATCH, _TIMES = 5, 3, 5
#: Samples of the loss against the exact evidence, and the standard errors that are allowed.
_DRAWS, _ERRORS = 200, 6.0
#: Findings about the loss by which another value has an unknown form too.
_CAUSES = ("recon.", "weight.", "reduction.", "constant", "outside.")


@dataclass(frozen=True)
class Requested:
    """The functions besides the loss that are to be checked."""

    sample: Callable[..., Any] | None
    importance_bound: Callable[..., Any] | None
    bits_per_dim: Callable[..., Any] | None
    levels: int


def checks(asked: Requested, evidence: Callable[..., Any] | None) -> list[Check]:
    """The checks that were asked for."""

    def gradients(conduct: Conduct, found: Examined) -> None:
        size = max(conduct.sizes)
        if conduct.slack > 1 or getattr(conduct.bench, "digits", 15) < 15:
            conduct.facts["gradient"] = "not compared: differences need float64"
            return
        if "outside.importance-bound" in conduct.findings:
            conduct.facts["gradient"] = "not compared: weights may be detached on purpose"
            return
        conduct.bench.entry = found.identity.entry
        factor, one_sample = 0.0, False
        if found.identity.found and found.identity.fits:
            c = found.identity.fits[max(found.identity.fits)]
            factor = -2 * c["e^2"] if found.identity.form == "terms" else -c["sampled e"]
            one_sample = abs(factor) > 0
        gradient(conduct.bench, size, factor, one_sample, conduct.findings)

    def output_ranges(conduct: Conduct, found: Examined) -> None:
        setting = conduct.setting(found.shots)
        conduct.facts["ranges"] = ranges(conduct.bench, setting.family, conduct.findings)
        if setting.family == "bernoulli":
            part, nats = conduct.bench.grey()
            grey(part, nats, conduct.bench.data_range(), conduct.findings)

    def parts(conduct: Conduct, found: Examined) -> None:
        _reported(conduct, found)

    made: list[Check] = [gradients, output_ranges, parts, form_of_functions]
    if asked.importance_bound is not None:
        made.append(_bound(asked.importance_bound))
    if asked.sample is not None:
        made.append(_sampling(asked.sample))
    if asked.bits_per_dim is not None:
        made.append(_bits(asked.bits_per_dim, asked.levels))
    if evidence is not None:
        made.append(_court(evidence))
    return made


def _bound(function: Callable[..., Any]) -> Check:
    def importance_bound(conduct: Conduct, found: Examined) -> None:
        bench = conduct.bench
        shots = []
        size = len(bench.x) if bench.fixed else _BATCH
        for _ in range(_TIMES):
            bench.moved(bench.rows(size), 0.6, 1.2)
            with bench.examining(function, _K):
                shots.append(bench.shot(bench.case(size)))
        own = Findings()
        conduct.facts["importance bound"] = _importance.importance(
            shots,
            _K,
            own,
            conduct.slack * 1e-6 if found.identity.remark or conduct.slack > 1 else 1e-8,
        )
        _unless_known(own, "iwae.unexplained", conduct)
        if conduct.facts["importance bound"] == "right" and conduct.slack == 1:
            bench.moved(bench.rows(size), 0.3, 1.0)
            slope_of_bound(bench, function, _K, size, conduct.findings)

    return importance_bound


def _unless_known(own: Findings, code: str, conduct: Conduct) -> None:
    """Add findings; one without a name only where the loss has none that may be its cause."""
    for f in own.sorted():
        cause = any(conduct.findings.begins(p) for p in _CAUSES)
        if not (f.code == code and cause):
            conduct.findings.include(f)


def _sampling(function: Callable[..., Any], n: int = 64) -> Check:
    def sample(conduct: Conduct, found: Examined) -> None:
        seen = conduct.bench.sampled(function, n)
        z, draws = seen["z"], seen["draws"]
        some = next(iter(found.shots.values()))[0]
        D, d = some.x.shape[-1], some.loc.shape[-1]
        drawn = sum(len(base) for _, base in draws)
        if z is None:
            conduct.findings.add(
                "not-run.sample",
                NOTE,
                float(n),
                "the number of samples that were asked for",
                "the latents of sample(n) were not seen by the decoder that is watched",
                "name the decoder by decoder=",
            )
            return
        loc, scale = (np.ravel(a[0]) for a in (some.prior_loc, some.prior_scale))
        if z.size % d == 0:
            z = ((z.reshape(-1, d) - loc) / scale).ravel()
        normal = [base for law, base in draws if law == "normal" and base.size == z.size]
        if not any(np.abs(z - base).max() <= 1e-9 * (1 + np.abs(z).max()) for base in normal):
            laws = ", ".join(sorted({law for law, _ in draws})) or "no"
            conduct.findings.add(
                "sample.prior",
                WRONG,
                float(z.std()),
                f"the standard deviation of the {z.size} latents in units of the prior; right is 1",
                f"sample(n) does not decode draws of the prior: it makes {laws} draws, and its "
                f"latents have the mean {z.mean():.4g} and the deviation {z.std():.4g} in units of "
                "the prior",
                conduct.bench.advice["prior"],
            )
        elif drawn < n * d + n * D and conduct.setting(found.shots).family != "bernoulli":
            conduct.findings.add(
                "sample.no-likelihood-noise",
                NOTE,
                float(drawn),
                f"the number of random numbers drawn for {n} samples of {d} latents, {D} outputs",
                "sample(n) returns means of the likelihood and no draws of it",
                "nothing, if means are meant",
            )

    return sample


def _bits(function: Callable[..., Any], levels: int) -> Check:
    def bits_per_dim(conduct: Conduct, found: Examined) -> None:
        bench, reading = conduct.bench, found.reading
        size = max(conduct.sizes)
        got, value = bench.same_noise(function, size)
        D = conduct.setting(found.shots).D
        weight = reading.weight_r or 1.0
        nats = value / size if reading.power_r == 0 else value
        nats /= weight if abs(weight) > 0 else 1.0
        own = Findings()
        # Of another family it is not known whether its data are discrete.
        discrete = conduct.setting(found.shots).family == "other"
        _importance.bits(got, nats, D, levels, own, 1e-8 * conduct.slack, discrete=discrete)
        _unless_known(own, "bpd.unexplained", conduct)

    return bits_per_dim


def _reported(conduct: Conduct, found: Examined) -> None:
    """Parts of the loss that are returned beside it."""
    identity = found.identity
    if identity.form != "declared":
        return
    from vaetheory.audit._divergence import declared_columns

    shots = found.shots[max(found.shots)]
    for name in shots[0].reported:
        word = name.lower()
        if not any(k in word for k in ("kl", "reg", "div")):
            continue
        y = np.array([s.reported[name] for s in shots])
        columns = {**declared_columns(shots, standard=identity.standard), "1": np.ones(len(y))}
        parts = fit(columns, y)
        if parts.residual <= conduct.exact and parts["KL"] < 0:
            conduct.findings.add(
                "reported.kl-sign",
                BOUND,
                parts["KL"] * (len(shots[0].x)),
                f"the coefficient of the divergence in '{name}', times the size of the batch",
                f"the number reported as '{name}' is the negative of the divergence: a larger one "
                "is a smaller divergence. Training is not affected",
                "report the divergence itself",
            )


def _court(evidence: Callable[..., Any]) -> Check:
    def exact_evidence(conduct: Conduct, found: Examined) -> None:
        bench = conduct.bench
        try:
            result: Mapping[str, Any] | None = evidence(bench)
        except ValueError as reason:
            conduct.facts["evidence"] = {"not computed": str(reason)[:300]}
            return
        if result is None:
            return
        conduct.facts["evidence"] = dict(result)
        if "negative_log_evidence" not in result:
            return
        nll, error = result["negative_log_evidence"], result["negative_log_evidence_error"]
        if np.isfinite(error):
            _below(conduct, found.identity, nll, error, result)

    return exact_evidence


def _below(
    conduct: Conduct, identity: Identity, nll: float, error: float, result: Mapping[str, Any]
) -> None:
    """Whether the mean loss is below -log p(x), which no bound is."""
    bench = conduct.bench
    x = bench.x[: result["data"]]
    values = []
    for _ in range(_DRAWS):
        case = bench.case(len(x), x)
        values.append(bench.values(case)[identity.entry])
    each = np.array(values)
    mean, se = float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))
    # A loss that is summed over the batch is compared with the sum.
    reduced = {"mean": mean, "sum": mean / len(x)}
    se_of = {"mean": se, "sum": se / len(x)}
    below = {
        name: value < nll - _ERRORS * se_of[name] - error - 1e-9 * (1 + abs(nll))
        for name, value in reduced.items()
    }
    conduct.facts["evidence"]["mean_loss"] = mean
    conduct.facts["evidence"]["mean_loss_standard_error"] = se
    if identity.found or not all(below.values()):
        return
    conduct.findings.add(
        "evidence.below",
        BOUND,
        mean,
        f"the mean of {_DRAWS} losses of {len(x)} examples, standard error {se:.2g}",
        f"the mean loss is {mean:.6g} (standard error {se:.2g}), below the exact -log p(x) of "
        f"{nll:.6g} nats an example, summed or averaged over the batch: the value is no bound",
        "report -log of the mean weight, or the declared loss",
    )
    conduct.facts["evidence"]["below"] = True
