"""The order of an audit: of any bench that evaluates a loss with known noise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vaetheory.audit import _alterations as alterations
from vaetheory.audit import _latent_law, _noise, _repeats
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._fit import EXACT, squarable
from vaetheory.audit._identity import Identity, explain
from vaetheory.audit._noise_line import noise_line
from vaetheory.audit._outskirts import outskirts
from vaetheory.audit._reading import read
from vaetheory.audit._result import Audit
from vaetheory.audit._setting import Reading, Setting
from vaetheory.audit._shots import Shot
from vaetheory.audit._unexplained import unexplained
from vaetheory.audit._verdict import verdict

#: Evaluations of each batch size, for at most 18 coefficients.
_SHOTS, _FEWER = 40, 30
_GAINS = (0.3, 0.8, 1.3, 2.2)
_SCALES = (0.6, 0.4, 0.8)
#: Likelihoods larger than this, over the smaller ones, hide the other terms; and how many times
#: more shots than are needed are tried.
_USUAL, _TRIES = 1e6, 10
#: The largest residual where a loss in float64 computes a part in single precision.
_CAST = 1e-6
#: Tolerances of single precision over those of float64, throughout and in a part.
_SINGLE, _PART = 2000.0, 200.0


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
        if self.exact <= EXACT:
            return 1.0
        return _PART if self.exact <= _CAST else _SINGLE

    def main(self) -> tuple[Examined, bool]:
        """Examine the loss in both modes; return what was found in the main one, and which."""
        bench = self.bench
        self._choose_sizes()
        census = {}
        for mode in bench.modes:
            census[mode], whole = _repeats.census(bench, self.sizes[0], mode, self.findings)
            if whole:
                self.sizes, bench.fixed = (len(bench.x),), True
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
        calls: dict[bool, _repeats.Repeated] = {}
        for mode in sorted(bench.modes):
            calls[mode] = _repeats.steady(bench, self.sizes[-1], mode, self.slack, self.findings)
            if calls[mode].changing:
                self.facts["schedule"] = calls[mode].values
        bench.mode(main)
        found = self._examine(calls[main])
        for each in calls.values():
            _repeats.annealed(bench, each, found, self.findings)
        bench.mode(main)
        other = None
        if self.findings.begins("undecided."):
            return found, main
        if len(bench.modes) > 1 and (noisy[not main] or not noisy[main]):
            other = self._other_mode(not main, found)
        _latent_law.untapped(bench, noisy[main], found.all, self.findings)
        bench.mode(main)
        self.facts["residual in the other mode"] = other
        return found, main

    def _choose_sizes(self) -> None:
        """Sizes of batches that are not the number of latents: no axis is taken for another."""
        d = self.bench.latent_dim()
        self.facts["latents"] = d
        self.sizes = (3, 5) if d in (2, 4) else (2, 4)

    # The equation ---------------------------------------------------------------------------------

    def _examine(self, calls: _repeats.Repeated) -> Examined:
        bench = self.bench
        if self._still():
            return Examined(Identity("none", "", {}, np.inf), Reading(), self.observed(4))
        best: tuple[tuple[bool, bool], Examined, str] | None = None
        several = False
        for selection in bench.selections:
            if selection in ("first", "last") and not several:
                continue
            bench.selection = selection
            shots = self.observed(_SHOTS)
            if self._saturated(shots):
                return Examined(Identity("none", "", {}, np.inf), Reading(), shots)
            identity = explain(shots, self.exact)
            if not identity.found or identity.remark == "guarded":
                identity = self._coarsely(shots, identity)
            found = Examined(identity, Reading(), shots)
            # Of data that are altered the posterior must be that of the latents as well; and a
            # loss that is not explained is not accused of its noise by another reading.
            right = not getattr(bench, "alters", False) or _noise.right(found.all, self.slack)
            rank = (identity.found, right)
            if best is None or rank > best[0]:
                best = rank, found, selection
            several = several or self._several_calls(shots)
            if all(rank):
                break
        assert best is not None
        _, found, bench.selection = best
        if bench.selection != selection and getattr(bench, "alters", False):
            bench.shot(bench.case(self.sizes[0]))
        if not found.identity.found and _repeats.drifted(bench, calls, self.slack, self.findings):
            return self._examine(calls)
        if found.identity.found:
            alterations.say(getattr(bench, "alteration", None), self.findings)
        return self._conclude(found)

    def _still(self) -> bool:
        """Whether moving the parameters changes neither the loss nor the posterior."""
        bench = self.bench
        case = bench.case(self.sizes[0])
        seen = []
        for gain in (1.0, 1.5):
            bench.moves.move(0.5, gain)
            shot = bench.shot(case)
            seen.append(np.concatenate([shot.values, shot.loc.ravel(), shot.decoded.nll.ravel()]))
        bench.moves.home()
        if not np.array_equal(seen[0], seen[1]):
            return False
        self.findings.add(
            "undecided.not-moved",
            NOTE,
            0.0,
            "the change of loss, posterior means and likelihood where the parameters are moved",
            "moving the parameters of `module` changes neither the loss nor what encode and decode "
            "give: it is not the module that they use, or its parameters cannot be moved",
            "give the module whose parameters the loss uses, or a ModuleDict of several",
        )
        return True

    def _saturated(self, shots: dict[int, list[Shot]]) -> bool:
        """Whether the loss is finite, and the declared likelihood is not, nearly everywhere."""
        some = [s for of in shots.values() for s in of]
        lost = [
            s for s in some if np.isfinite(s.values).all() and not np.isfinite(s.decoded.nll).all()
        ]
        if 2 * len(lost) <= len(some):
            return False
        self.findings.add(
            "undecided.saturated",
            NOTE,
            len(lost) / len(some),
            "the share of evaluations in which the declared -log p(x given z) is not finite",
            "the declared likelihood is 0 for the data, as of probabilities that are exactly 0 or "
            "1, at most parameters that were tried, and the loss clips its logarithm",
            "audit a module with smaller weights, or declare a likelihood of logits",
        )
        return True

    def _coarsely(self, shots: dict[int, list[Shot]], identity: Identity) -> Identity:
        """The equation in the precision of a loss that casts to a coarser type."""
        digits = getattr(self.bench, "digits", 15)
        if digits >= 15 or self.exact >= _CAST:
            return identity
        again = explain(shots, _CAST) if digits >= 7 else identity
        if again.found:
            self.exact = _CAST
            self.findings.add(
                "precision.cast",
                NOTE,
                again.residual,
                "the residual of the equation, as a share of the loss's spread",
                "a part of the loss is computed in single precision: what is smaller than its "
                "rounding is not seen",
                "nothing, if such casts are meant",
            )
        else:
            self.findings.add(
                "undecided.precision",
                NOTE,
                identity.residual,
                "the part of the loss that no combination of known terms explains",
                f"a part of the loss is computed with {digits} digits, and its rounding may be all "
                "that no combination of known terms explains",
                "audit the loss without autocast and without casts to a coarser type",
            )
        return again

    def observed(self, count: int) -> dict[int, list[Shot]]:
        """Shots of each size of the batch, by the number of examples that the loss used of it."""
        every = [self.observe(size, count) for size in self.sizes]
        return {of[0].size: of for of in every}

    def _several_calls(self, shots: dict[int, list[Shot]]) -> bool:
        return len(next(iter(shots.values()))[0].z) > 1

    def observe(
        self, size: int, count: int, x: Any = None, still: Collection[str] = ()
    ) -> list[Shot]:
        """Shots at parameters that are moved; those named `still` are 0, and `x` may be held.

        Where the likelihood is extreme it hides all else: more shots are made until there are
        enough of a usual size.
        """
        bench = self.bench
        made: list[Shot] = []
        usable: list[Shot] = []
        for i in range(_TRIES * count):
            case = bench.case(size, x)
            bench.moved(case.x, _SCALES[i % 3], _GAINS[i % 4])
            if still:
                bench.moves.scale(dict.fromkeys(still, 0.0))
            made.append(bench.shot(case))
            if i + 1 < count:
                continue
            usable = usual(made)
            # Where none is of use, more of them are of none.
            if not usable or len(usable) >= min(count, i + 1 - count // 2):
                break
        bench.moves.home()
        return usable if len(usable) > count // 2 else made[:count]

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

    def _conclude(self, found: Examined, at: str = "") -> Examined:
        """Read an equation, and where there is none say what is known."""
        findings = self.findings
        if not found.identity.found:
            _latent_law.exchanged(found, findings, self.exact)
        _latent_law.missing(self.bench, found.all, findings, at)
        self._latents(found, findings, at)
        if found.identity.found and self._hidden(found):
            return found
        if found.identity.found:
            found.reading = read(found.identity, self.setting(found.shots), findings)
            _latent_law.both(findings)
            return found
        unexplained(self, found, at)
        return found

    def _hidden(self, found: Examined) -> bool:
        """Whether the likelihood is so much larger than the divergence that its weight is open."""
        identity = found.identity
        if identity.form != "declared" or identity.remark or self.slack > 1:
            return False
        worst = max(f.errors.get("KL", 0.0) for f in identity.fits.values())
        if all(f.known("KL") for f in identity.fits.values()):
            return False
        self.findings.add(
            "undecided.hidden",
            NOTE,
            worst,
            "what rounding leaves open of the coefficient of the divergence",
            "the likelihood is so much larger than the divergence, wherever it was tried, that the "
            "weight of the divergence drowns in its rounding",
            "audit a module whose likelihood is less extreme",
        )
        return True

    def _latents(self, found: Examined, into: Findings, at: str) -> None:
        _latent_law.law(self.bench, found, into, at, self.exact, self.slack)

    # The other mode -------------------------------------------------------------------------------

    def _other_mode(self, mode: bool, main: Examined) -> float | None:
        """Compare the weights in the other mode."""
        bench = self.bench
        bench.mode(mode)
        word = "training" if mode else "eval"
        try:
            shots = self.observed(_FEWER)
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
                # It has a divergence in the other mode.
                self.findings.drop("kl.missing")
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


def usual(shots: Sequence[Shot]) -> list[Shot]:
    """The shots whose loss is finite and of a usual size."""
    finite = [s for s in shots if squarable(np.array(s.values)) and squarable(s.decoded.nll)]
    if not finite:
        return []
    each = np.array([np.abs(s.decoded.nll).max() for s in finite])
    most = _USUAL * (1 + float(np.quantile(each, 0.1)))
    return [s for s, size in zip(finite, each, strict=True) if size <= most]


Check = Callable[[Conduct, Examined], None]


@np.errstate(all="ignore")  # what is not finite is looked for, and told
def run(bench: Any, beta: float, exact: float, checks: Sequence[Check]) -> Audit:
    """The whole audit: the equation, then the checks, each of which hides no other."""
    conduct = Conduct(bench, beta, exact)
    found, mode = conduct.main()
    undecided = conduct.findings.begins("undecided.")
    for check in () if undecided else (noise_line, _outskirts, *checks):
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
        size = max(conduct.sizes)
        outskirts(conduct.bench, size, found.identity, conduct.findings, conduct.facts)
