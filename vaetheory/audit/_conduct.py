"""The order of an audit: of any bench that evaluates a loss with known noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vaetheory.audit import _noise
from vaetheory.audit._by_size import by_size
from vaetheory.audit._coupling import coupled
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._fit import EXACT, squarable
from vaetheory.audit._identity import Identity, explain
from vaetheory.audit._outskirts import outskirts
from vaetheory.audit._reading import read
from vaetheory.audit._result import IS, IS_NOT, UNDECIDED, Audit
from vaetheory.audit._setting import Reading, Setting
from vaetheory.audit._shots import Shot

#: Evaluations of each batch size, for at most 18 coefficients.
_SHOTS, _FEWER = 40, 30
_GAINS = (0.3, 0.8, 1.3, 2.2)
_SCALES = (0.6, 0.4, 0.8)
#: Calls of a loss with the same noise differ by less than this, relative to their size.
_STEADY = 1e-10
#: Tolerances of single precision over those of float64.
_SINGLE = 2000.0


@dataclass
class Examined:
    """What was found in one mode."""

    identity: Identity
    reading: Reading
    shots: dict[int, list[Shot]] = field(default_factory=dict)
    draws: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)


@dataclass
class Conduct:
    """An audit in progress.

    Parameters
    ----------
    bench : object
        Evaluates the functions of the user; see `vaetheory.audit._torch._bench.Bench`.
    beta : float
        The declared weight of the divergence.
    exact : float
        The largest residual of an equation.
    """

    bench: Any
    beta: float
    exact: float = EXACT
    findings: Findings = field(default_factory=Findings)
    facts: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[int, ...] = (2, 4)

    @property
    def slack(self) -> float:
        """By how much tolerances are larger than in float64."""
        return 1.0 if self.exact <= EXACT else _SINGLE

    def main(self) -> tuple[Examined, bool]:
        """Examine the loss in both modes; return what was found in the main one, and which."""
        bench = self.bench
        self._choose_sizes()
        census = {mode: self._census(mode) for mode in bench.modes}
        self.facts["draws"] = {"train" if m else "eval": d for m, d in census.items()}
        noisy = {m: any(law != "bernoulli" for law, _ in d) for m, d in census.items()}
        main = False
        if noisy.get(True) and not noisy[False]:
            main = True
            self.findings.add(
                "noise.missing-at-eval",
                BOUND,
                0.0,
                "the number of random numbers that loss(x) draws in eval mode",
                "in eval mode loss(x) draws no noise: z is the mean there, and the value is not "
                "the ELBO. Training is not affected",
                "draw the noise in both modes where the loss is reported",
            )
        # A schedule that goes on in eval mode is the graver finding, and each code stands once.
        for mode in sorted(bench.modes):
            self._steady(mode)
        bench.mode(main)
        found = self._examine(main)
        other = None
        if len(bench.modes) > 1 and (noisy[not main] or not noisy[main]):
            other = self._other_mode(not main, found)
        self._unnoticed_noise(noisy[main], found)
        bench.mode(main)
        self.facts["residual in the other mode"] = other
        return found, main

    def _choose_sizes(self) -> None:
        """Sizes of batches that are not the number of latents: no axis is taken for another."""
        d = self.bench.latent_dim()
        self.facts["latents"] = d
        self.sizes = (3, 5) if d in (2, 4) else (2, 4)

    # Noise and state ------------------------------------------------------------------------------

    def _census(self, mode: bool) -> list[tuple[str, tuple[int, ...]]]:
        """The draws of a call, and whether they are the same in each."""
        bench = self.bench
        bench.mode(mode)
        error: Exception | None = None
        for size in dict.fromkeys((self.sizes[0], len(bench.x))):
            try:
                x = bench.rows(size)
                first = bench.run(bench.loss, x, seed=11)
                break
            except Exception as e:
                error = e
                self.sizes = (len(bench.x),)
                bench.fixed = True
        else:
            assert error is not None
            raise error
        again = bench.run(bench.loss, x, seed=12)
        same = [
            a.law in ("normal", "uniform") and a.numbers > 0 and bool((a.base == b.base).all())
            for a, b in zip(first.draws, again.draws, strict=False)
            if a.base.shape == b.base.shape
        ]
        if same and any(same):
            self.findings.add(
                "noise.constant",
                WRONG,
                float(sum(same)),
                "the number of draws that are the same in two calls with other seeds",
                "loss(x) draws the same noise in each call: a seed is set inside it",
                "set no seed inside the loss",
            )
        return [d.key for d in first.draws]

    def _steady(self, mode: bool) -> None:
        """Whether the same data and noise give the same loss again."""
        bench = self.bench
        bench.mode(mode)
        case = bench.case(self.sizes[-1])
        values = [bench.values(case)[0] for _ in range(4)]
        size = 1 + abs(values[0])
        if (
            max(values) - min(values) <= _STEADY * self.slack * size
            or not np.isfinite(values).all()
        ):
            return
        at = "training" if mode else "eval"
        bench.stateful = True
        again = [bench.values(case)[0] for _ in range(3)]
        if max(again) - min(again) > _STEADY * self.slack * size:
            self.findings.add(
                "state.random",
                WRONG,
                max(again) - min(again),
                f"the spread of three values in {at} mode",
                "loss(x) gives other values for the same data, noise and parameters, and its "
                "randomness cannot be held",
                "draw from PyTorch, NumPy or a generator that the module holds",
            )
            return
        self.findings.add(
            "state.schedule",
            NOTE if mode else WRONG,
            values[-1] - values[0],
            f"the fourth value minus the first, in {at} mode",
            f"the same data and noise give another loss in each call in {at} mode "
            f"({', '.join(f'{v:.9g}' for v in values)}): a schedule or a counter inside loss(x)"
            + ("" if mode else "; a value at evaluation depends on how often it was asked for"),
            "give the weight as an argument, and use the declared one at evaluation",
        )
        self.facts["schedule"] = values

    # The equation ---------------------------------------------------------------------------------

    def _examine(self, mode: bool) -> Examined:
        bench = self.bench
        best: Examined | None = None
        several = False
        for selection in bench.selections:
            bench.selection = selection
            shots = {size: self.observe(size, _SHOTS) for size in self.sizes}
            identity = explain(shots, self.exact)
            found = Examined(identity, Reading(), shots)
            if best is None or (identity.found and not best.identity.found):
                best = found
            several = several or self._several_calls(shots)
            if identity.found or not several:
                break
        assert best is not None
        return self._conclude(best, mode)

    def _several_calls(self, shots: dict[int, list[Shot]]) -> bool:
        return len(next(iter(shots.values()))[0].z) > 1

    def observe(self, size: int, count: int) -> list[Shot]:
        """Shots at parameters that are moved."""
        bench = self.bench
        made = []
        for i in range(count):
            case = bench.case(size)
            bench.moved(case.x, _SCALES[i % 3], _GAINS[i % 4])
            made.append(bench.shot(case))
        bench.moves.home()
        usable = [s for s in made if squarable(np.array(s.values)) and squarable(s.decoded.nll)]
        return usable if len(usable) > count // 2 else made

    def setting(self, shots: dict[int, list[Shot]]) -> Setting:
        """Dimensions, family and fixed scale of the declared model."""
        some = [s for of in shots.values() for s in of]
        D, d = some[0].x.shape[-1], some[0].loc.shape[-1]
        log_scale = scale = None
        parts = some[0].decoded.parts
        if "scale" in parts:
            first = parts["scale"][0, 0]
            same = all(
                np.abs(s.decoded.parts["scale"] - first).max() <= 1e-12 * first.max() for s in some
            )
            if same:
                log_scale = float(np.log(first).sum())
                one = np.ptp(first) <= 1e-12 * first.max()
                scale = float(first[0]) if one else None
        return Setting(D, d, self.beta, some[0].decoded.family, log_scale, scale, self.slack)

    def _conclude(self, found: Examined, mode: bool, *, at: str = "") -> Examined:
        """Read an equation, and where there is none say what is known."""
        findings = self.findings
        some = [s for of in found.shots.values() for s in of]
        self._no_noise(some, at)
        self._latents(found, findings, at)
        if found.identity.found:
            found.reading = read(found.identity, self.setting(found.shots), findings)
            self._both(found)
            return found
        self._unexplained(found, mode, at)
        return found

    def _latents(self, found: Examined, into: Findings, at: str) -> None:
        """The law of the latents; where they have a variance of their own, the equation with it."""
        some = [s for of in found.shots.values() for s in of]
        source = self.bench.source
        if self.bench.assumed or "noise.constant" in self.findings:
            return
        if _noise.mixed(some, self.bench.mixing, into, at) or source is None:
            return
        plain = found.identity.form == "declared" and not found.identity.remark
        if not plain and not _noise.right(some, self.slack):
            own = {size: _noise.effective(of) for size, of in found.shots.items()}
            if all(v is not None for v in own.values()):
                again = explain({s: v for s, v in own.items() if v is not None}, self.exact)
                if again.form == "declared" or (again.found and not found.identity.found):
                    found.identity = replace(again, own_variance=True)
                    self._own_variance(some, into, at)
                    return
        self._shared(source, some[-1], into, at)
        _noise.law(some, source.law, into, at, self.slack)

    def _no_noise(self, some: Sequence[Shot], at: str) -> None:
        if all(s.eps is None for s in some) and _noise.silent(some) and not self.bench.assumed:
            self.findings.add(
                "noise.missing",
                WRONG,
                0.0,
                "the largest |z - m|",
                f"the decoder gets the mean, and loss(x) draws no noise{at}: this is an "
                "auto-encoder and not a VAE",
                "decode z = m + exp(v/2) e, with e from N(0, 1)",
            )

    def _unnoticed_noise(self, noisy: bool, found: Examined) -> None:
        """Noise that the tap did not see: it is read from the latents."""
        some = [s for of in found.shots.values() for s in of]
        known = noisy and self.bench.mixing is not None
        if known or not all(s.eps is None for s in some) or self.bench.assumed:
            return
        if not _noise.silent(some):
            off = [np.abs(s.z - s.loc).max() for s in some]
            self.findings.add(
                "noise.untapped",
                NOTE,
                float(np.max(off)),
                "the largest |z - m|",
                "the noise of the latents is none of the draws of PyTorch's generators that were "
                "seen, so that its law was not compared with exp(v/2) e",
                "draw with torch.randn_like",
            )

    def _shared(self, source: Any, shot: Shot, into: Findings, at: str) -> None:
        drawn, asked = source.numbers, shot.z.size
        if drawn < asked and drawn in (shot.loc.shape[-1], 1, shot.size) and shot.size > 1:
            whom = "latents of an example" if drawn == shot.size else "examples of a batch"
            into.add(
                "noise.shared",
                WRONG,
                float(drawn),
                f"the number of normal draws for {asked} latents",
                f"one noise is used for all {whom}{at}: {drawn} numbers are drawn for {asked} "
                "latents",
                "draw with randn_like(m)",
            )

    def _own_variance(self, some: Sequence[Shot], into: Findings, at: str) -> None:
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

    def _both(self, found: Examined) -> None:
        """Two changes that are one other reading of the encoder's output."""
        findings = self.findings
        if "noise.variance-as-std" in findings and "kl.logvar-as-logstd" in findings:
            findings.add(
                "declared.posterior",
                NOTE,
                1.0,
                "the slope of log((z - m)/e) in the second output, as in the divergence",
                "noise and divergence both take the second output for a log deviation: with "
                "posterior='logstd' the loss agrees with itself",
                "declare posterior='logstd', or change both",
            )

    def _unexplained(self, found: Examined, mode: bool, at: str) -> None:
        findings, bench = self.findings, self.bench
        if findings.begins("state.random"):
            return
        defect = None if bench.fixed else coupled(bench)
        self.facts["defect of the batch"] = defect
        residual = found.identity.residual
        if not np.isfinite(residual):
            findings.add(
                "undecided.overflow",
                NOTE,
                max(float(np.abs(s.values).max()) for of in found.shots.values() for s in of),
                "the largest loss that was seen",
                f"the loss is too large to be compared, or not finite{at}, wherever it was tried",
                "clamp log variances, or audit a module with smaller weights",
            )
            return
        if defect is not None and defect > 1e-8 * self.slack:
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
        findings.add(
            "outside.unexplained",
            WRONG,
            residual,
            "the part of the loss that no combination of known terms explains",
            f"no combination of the known terms gives this loss{at} (residual {residual:.2g} of "
            "its spread): it is not the ELBO of the declared model. It may be another objective, "
            "or `encode`, `decode` and `likelihood` are not what the loss uses",
            "declare what the loss uses; flows, learned priors, hierarchies and adversaries are "
            "outside of what can be recognised",
        )

    # The other mode -------------------------------------------------------------------------------

    def _other_mode(self, mode: bool, main: Examined) -> float | None:
        """Compare the weights in the other mode."""
        bench = self.bench
        bench.mode(mode)
        word = "training" if mode else "eval"
        try:
            shots = {size: self.observe(size, _FEWER) for size in self.sizes}
        except Exception as error:
            self.facts[f"not run in {word} mode"] = f"{type(error).__name__}: {error}"[:200]
            return None
        found = Examined(explain(shots, self.exact), Reading(), shots)
        self._latents(found, self.findings, f" in {word} mode")
        identity = found.identity
        if not identity.found or not main.identity.found:
            return identity.residual
        ours = read(identity, self.setting(shots), Findings())
        self.facts[f"beta in {word} mode"] = ours.beta
        beta = main.reading.beta
        if beta is None or ours.beta is None:
            if (beta is None) != (ours.beta is None):
                self._modes_differ(beta or 0.0, ours.beta or 0.0, word)
        elif (
            abs(beta - ours.beta) > 1e-6 * self.slack * (abs(beta) + abs(ours.beta))
            and "state.schedule" not in self.findings
        ):
            self._modes_differ(beta, ours.beta, word)
        return identity.residual

    def _modes_differ(self, beta: float, other: float, word: str) -> None:
        here = "eval" if word == "training" else "training"
        self.findings.add(
            "weight.modes",
            WRONG,
            other,
            f"the effective beta in {word} mode",
            f"the effective beta is {beta:.9g} in {here} mode and {other:.9g} in {word} mode: the "
            "values of both cannot be compared",
            "use one loss in both modes",
        )


def verdict(found: Examined, findings: Findings, facts: dict[str, Any], beta: float) -> Audit:
    """The result of an audit."""
    those = findings.sorted()
    wrong = [f for f in those if f.severity == WRONG]
    about_loss = [f for f in wrong if not f.code.startswith(_AROUND)]
    undecided = [f for f in those if f.code.startswith("undecided.")]
    penalty = [f for f in those if f.code == "outside.penalty"]
    bound = [f for f in those if f.severity == BOUND and not f.code.startswith(_AROUND)]
    status, reason = IS, ""
    if about_loss or penalty:
        status = IS_NOT
        reason = "; ".join(f.sentence for f in (about_loss or penalty)[:3])
    elif undecided:
        status, reason = UNDECIDED, "; ".join(f.sentence for f in undecided)
    else:
        parts = []
        if beta != 1:
            parts.append(f", with the declared beta {beta:g}")
        if bound:
            parts.append("; no bound as it stands: " + "; ".join(f.sentence for f in bound))
        around = [f for f in wrong if f.code.startswith(_AROUND)]
        if around:
            parts.append("; but: " + "; ".join(f.sentence for f in around))
        if any(f.code.startswith("kl.free-bits") for f in those):
            parts.append(", with free bits")
        reason = "".join(parts)
    if found.identity.found:
        facts["by batch size"] = by_size(found.identity, found.reading, found.shots)
    return Audit(
        status,
        those,
        dict(found.reading.terms),
        found.identity.residual,
        found.reading.beta,
        facts,
        reason,
    )


#: Findings about what stands around the loss: the loss may be right.
_AROUND = ("encoder.logvar", "encoder.mean", "data.", "sample.", "iwae.", "bpd.", "reported.")

Check = Callable[[Conduct, Examined], None]


def run(bench: Any, beta: float, exact: float, checks: Sequence[Check]) -> Audit:
    """The whole audit: the equation, then the checks, each of which hides no other."""
    conduct = Conduct(bench, beta, exact)
    found, mode = conduct.main()
    for check in (_outskirts, *checks):
        bench.mode(mode)
        bench.moves.home()
        try:
            check(conduct, found)
        except Exception as error:
            name = check.__name__.strip("_")
            conduct.facts[f"not run: {name}"] = f"{type(error).__name__}: {error}"[:200]
            conduct.findings.add(
                f"not-run.{name}",
                NOTE,
                float("nan"),
                "none",
                f"the check of {name.replace('_', ' ')} could not run ({type(error).__name__}: "
                f"{str(error)[:120]})",
                "none",
            )
        finally:
            bench.moves.home()
    if bench.assumed:
        conduct.facts["latents"] = "not read: the decoder was not seen"
    return verdict(found, conduct.findings, conduct.facts, beta)


def _outskirts(conduct: Conduct, found: Examined) -> None:
    if found.identity.found and conduct.slack == 1:
        outskirts(conduct.bench, max(conduct.sizes), found.identity, conduct.findings)
