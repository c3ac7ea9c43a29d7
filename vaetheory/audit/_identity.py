"""Which combination of terms the loss is, at every parameter that was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit import _divergence, _reconstruction, _zero_mean
from vaetheory.audit._fit import GUARDED, Fit, fit, simplest
from vaetheory.audit._misreadings import misread
from vaetheory.audit._shots import Shot

#: Shots by the size of their batch.
Shots = Mapping[int, Sequence[Shot]]
#: The terms that are never left out of a fit.
_KEPT = (*_divergence.CLOSED, "1")


@dataclass(frozen=True)
class Identity:
    """An equation between the loss and known terms.

    Attributes
    ----------
    form : str
        "declared": the declared likelihood term R and the divergence KL. "terms": single terms.
        "free bits": R, and a divergence that is clamped below. "capacity": R, and the distance
        of the divergence from a number. "latents": R, and the divergence of
        each latent. "outputs": R of each output, and KL. "none": no equation was found.
    reconstruction : str
        The form of the reconstruction term.
    fits : mapping
        The coefficients by the size of the batch.
    residual : float
        What the equation does not explain, as a share of the spread of the loss.
    standard : bool
        Whether the divergence is that from N(0, I), where another prior was declared.
    entry : int
        Which reading of the loss's result this is: see `Shot.values`.
    remark : str
        What else there is to say: the guard, the threshold, the penalty.
    amount : float
        The number of the remark.
    own_variance : bool
        Whether the variances are those of the latents, and not those of `encode`.
    """

    form: str
    reconstruction: str
    fits: Mapping[int, Fit]
    residual: float
    standard: bool = False
    entry: int = 0
    remark: str = ""
    amount: float = 0.0
    own_variance: bool = False

    @property
    def plain(self) -> bool:
        """Whether the equation is one of R, KL or single terms, so that `predicted` knows it."""
        return self.form in ("declared", "terms") and not self.remark

    @property
    def found(self) -> bool:
        """Whether there is an equation."""
        return self.form != "none"


def explain(shots: Shots, exact: float) -> Identity:
    """The equation that holds for all shots, the declared one if it does.

    Parameters
    ----------
    shots : mapping
        Shots by the size of their batch; at least 20 of each size.
    exact : float
        The largest residual of an equation, as a share of the spread of the loss.
    """
    closest, whole = Identity("none", "", {}, np.inf), None
    for tried in _candidates(shots, exact):
        if tried.residual <= exact:
            return tried
        if tried.residual < closest.residual:
            closest = tried
        if tried.form == "declared" and not tried.remark:
            whole = tried if whole is None or tried.residual < whole.residual else whole
    # Where nothing is exact, the declared form is taken if none is much closer.
    if whole is not None and whole.residual <= min(GUARDED, 100 * closest.residual):
        return replace(whole, remark="guarded", amount=whole.residual)
    return Identity("none", closest.reconstruction, closest.fits, closest.residual)


def predicted(identity: Identity, shot: Shot) -> tuple[float, float]:
    """What an equation without remarks says of a shot, and the size of its largest term."""
    found = identity.fits[shot.size]
    if identity.form == "declared":
        columns = {
            _reconstruction.DECLARED: _reconstruction.declared_column([shot]),
            **_divergence.declared_columns([shot], standard=identity.standard),
        }
    else:
        terms = _reconstruction.variants(shot.decoded.family)[identity.reconstruction]
        columns = {
            **(_reconstruction.columns(terms, [shot]) or {}),
            **_divergence.free_columns([shot], standard=identity.standard),
        }
    columns["1"] = np.ones(1)
    terms_of = {n: c * float(columns[n][0]) for n, c in found.coefficients.items()}
    value = sum(terms_of.values())
    if identity.form == "declared":
        # Its parts may cancel: exp(v) against v.
        at = _divergence.in_units(shot, standard=identity.standard)
        with np.errstate(over="ignore"):
            parts = float((at.m**2 + np.exp(at.v) + np.abs(at.v)).sum())
        return value, max(map(abs, terms_of.values())) + abs(found["KL"]) * parts
    return value, max(map(abs, terms_of.values()))


def _candidates(shots: Shots, exact: float) -> Iterator[Identity]:
    some = [s for of_size in shots.values() for s in of_size]
    family = some[0].decoded.family
    readings = range(len(some[0].values))
    own_prior = any((s.prior_loc != 0).any() or (s.prior_scale != 1).any() for s in some)
    # Of a tuple the first entry may be the loss, or all are to be added.
    wholes = [_declared(shots, entry) for entry in reversed(readings)]
    yield from sorted(wholes, key=_unweighted)
    if own_prior and some[0].gaussian:
        for entry in reversed(readings):
            yield _declared(shots, entry, standard=True)
    for size, terms in _reconstruction.guards(family).items():
        yield _declared(shots, 0, terms, f"guard {size}", float(size))
    if not all(s.gaussian for s in some):
        return
    if all(s.factor is None for s in some):
        for amount in _reconstruction.GUARDS:
            for power in (2.0, 1.0):
                read = {n: _divergence.guarded(of, amount, power) for n, of in shots.items()}
                yield _declared(read, 0, remark=f"log s^{power:g}", amount=amount)
    for standard in (False, True) if own_prior else (False,):
        for name, terms in _reconstruction.variants(family).items():
            for entry in readings:
                if tried := _terms(shots, entry, name, terms, standard, exact):
                    yield tried
    for code, others in misread(shots):
        yield _declared(others, 0, remark=code)
    yield from _by_part(shots)
    yield from _clamped(shots, exact)
    yield from _with_capacity(shots)
    if all(_zero_mean.columns(of) for of in shots.values()):
        yield _declared(shots, 0, remark="zero-mean", more=_zero_mean.columns)
    yield from _penalised(shots)


def _declared(
    shots: Shots,
    entry: int,
    terms: _reconstruction.Terms | None = None,
    remark: str = "",
    amount: float = 0.0,
    more: Callable[[Sequence[Shot]], dict[str, Array]] | None = None,
    standard: bool = False,
) -> Identity:
    """The loss as R and KL, with an estimate of KL that is right on the mean."""
    fits = {}
    for size, those in shots.items():
        if terms is None:
            recon = {_reconstruction.DECLARED: _reconstruction.declared_column(those)}
        else:
            parts = _reconstruction.columns(terms, those) or {}
            recon = {_reconstruction.DECLARED: np.asarray(sum(parts.values()))}
        divergence = _divergence.declared_columns(those, standard=standard)
        if _silent(those):
            divergence = {"KL": divergence["KL"]}
        added = {} if more is None else more(those)
        y = np.array([s.values[entry] for s in those])
        columns = {**recon, **divergence, **added, "1": np.ones(len(y))}
        if np.ptp(columns["KL"]) == 0 and "sampled z" in columns:
            del columns["sampled z"]
        fits[size] = fit(columns, y)
    residual = max(f.residual for f in fits.values())
    return Identity(
        "declared",
        _reconstruction.DECLARED,
        fits,
        residual,
        standard,
        entry,
        remark,
        amount,
    )


def _by_part(shots: Shots) -> Iterator[Identity]:
    """The loss as R and the divergence of each latent; or as R of each output, and KL."""
    for form in ("latents", "outputs"):
        fits = {}
        for size, those in shots.items():
            recon = {_reconstruction.DECLARED: _reconstruction.declared_column(those)}
            divergence = _divergence.declared_columns(those)
            if form == "latents":
                divergence = _divergence.latent_columns(those)
            else:
                recon = _reconstruction.output_columns(those)
            columns = {**recon, **divergence, "1": np.ones(len(those))}
            if len(columns) + 2 > len(those) or not recon or not divergence:
                break
            fits[size] = fit(columns, np.array([s.values[0] for s in those]))
        else:
            yield Identity(form, "", fits, max(f.residual for f in fits.values()))


def _unweighted(identity: Identity) -> bool:
    """Whether a reading of the loss has no divergence, or much too little or too much of it."""
    found = identity.fits[max(identity.fits)]
    r, kl = abs(found[_reconstruction.DECLARED]), abs(found["KL"])
    return not 1e-6 * r < kl < 1e6 * r


def _silent(shots: Sequence[Shot]) -> bool:
    """Whether the decoder gets the means: then z^2 and m^2 are one term."""
    return all(
        s.gaussian and np.abs(s.z - s.loc).max() <= 1e-12 * (1 + np.abs(s.loc).max()) for s in shots
    )


def _terms(
    shots: Shots,
    entry: int,
    name: str,
    terms: _reconstruction.Terms,
    standard: bool,
    exact: float,
) -> Identity | None:
    """The loss as any combination of single terms."""
    fits = {}
    for size, those in shots.items():
        recon = _reconstruction.columns(terms, those)
        if recon is None:
            return None
        free = _divergence.free_columns(those, standard=standard)
        if _silent(those):
            del free["z^2"]
        y = np.array([s.values[entry] for s in those])
        columns = {**_ordered(recon, free), "1": np.ones(len(y))}
        fits[size] = simplest(columns, y, (list(recon)[-1], *_KEPT), exact)
        if not fits[size].residual <= exact:
            return Identity("none", name, {}, fits[size].residual)
    residual = max(f.residual for f in fits.values())
    return Identity("terms", name, fits, residual, standard=standard, entry=entry)


def _ordered(recon: dict[str, Array], free: dict[str, Array]) -> dict[str, Array]:
    """The rarest terms first."""
    rare = {n: free[n] for n in _divergence.RARE if n in free}
    closed = {n: free[n] for n in _divergence.CLOSED}
    return {**rare, **recon, **closed}


def _with_capacity(shots: Shots) -> Iterator[Identity]:
    """The loss as R and |KL - C|, with the mean of KL over the batch, and shots on both sides of C.

    Where it is known on which side each shot is, the loss is linear in R, s KL and s = +-1.
    """
    means = {n: np.array([_parts(s, "batch")[0] for s in those]) for n, those in shots.items()}
    every = np.sort(np.concatenate(list(means.values())))
    best: tuple[float, dict[int, Fit]] = (np.inf, {})
    for level in (every[1:] + every[:-1]) / 2:
        fits = {}
        for size, those in shots.items():
            side = np.sign(means[size] - level)
            columns = {
                _reconstruction.DECLARED: _reconstruction.declared_column(those),
                "KL": side * means[size] * size,
                "sign(KL - C)": side,
                "1": np.ones(len(those)),
            }
            fits[size] = fit(columns, np.array([s.values[0] for s in those]))
        residual = max(f.residual for f in fits.values())
        if residual < best[0]:
            best = residual, fits
    residual, fits = best
    sided = [(n, f) for n, f in fits.items() if f["sign(KL - C)"] and f["KL"]]
    if sided:
        level = float(np.mean([-f["sign(KL - C)"] / f["KL"] / n for n, f in sided]))
        yield Identity("capacity", "", fits, residual, remark="capacity", amount=level)


def _clamped(shots: Shots, exact: float) -> Iterator[Identity]:
    """Free bits: the divergence of a latent, an example or a batch is clamped below."""
    for form in ("latent", "example", "latent of the batch", "batch"):
        parts = {size: [_parts(s, form) for s in those] for size, those in shots.items()}
        every = np.concatenate([p for those in parts.values() for p in those])

        def residual(level: float, parts: dict[int, list[Array]] = parts) -> float:
            return max(f.residual for f in _clamped_fits(shots, parts, level).values())

        levels = np.quantile(every, np.linspace(0.02, 0.9, 12))
        found = [residual(level) for level in levels]
        at = int(np.argmin(found))
        low, high = levels[max(at - 1, 0)], levels[min(at + 1, len(levels) - 1)]
        level = _least(residual, float(low), float(high))
        fits = _clamped_fits(shots, parts, level)
        left = max(f.residual for f in fits.values())
        # The threshold is found to the square root of rounding.
        if left <= max(exact, 1e-7):
            yield Identity(
                "free bits", form, fits, min(left, exact), remark=form, amount=float(level)
            )


def _parts(shot: Shot, form: str) -> Array:
    """The divergences that are clamped, each in nats."""
    at = _divergence.in_units(shot)
    each = (at.m**2 + np.exp(at.v) - at.v - 1) / 2
    if form == "latent":
        return np.asarray(each.ravel())
    if form == "example":
        return np.asarray(each.sum(-1))
    return np.asarray(each.mean(0) if form == "latent of the batch" else each.sum(-1).mean(0)[None])


def _clamped_fits(shots: Shots, parts: Mapping[int, list[Array]], level: float) -> dict[int, Fit]:
    fits = {}
    for size, those in shots.items():
        kl = np.array([np.maximum(p, level).sum() for p in parts[size]])
        fits[size] = fit(
            {
                _reconstruction.DECLARED: _reconstruction.declared_column(those),
                "KL": kl,
                "1": np.ones(len(those)),
            },
            np.array([s.values[0] for s in those]),
        )
    return fits


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """The place of a minimum, by golden section."""
    ratio = (np.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    for _ in range(60):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
    return (low + high) / 2


def _penalised(shots: Shots) -> Iterator[Identity]:
    """The declared loss, and a penalty of the parameters."""
    some = [s for of_size in shots.values() for s in of_size]
    for name in some[0].weights:
        found = _declared(
            shots,
            0,
            remark=f"penalty {name}",
            more=lambda those, name=name: {  # type: ignore[misc]
                "penalty": np.array([s.weights[name] for s in those])
            },
        )
        amount = next(iter(found.fits.values()))["penalty"]
        yield Identity(
            found.form,
            found.reconstruction,
            found.fits,
            found.residual,
            remark=found.remark,
            amount=amount,
        )
