"""What the coefficients of an equation say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaetheory.audit import _weights
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._fit import Fit
from vaetheory.audit._identity import Identity
from vaetheory.audit._reconstruction import DECLARED, normal_constant

#: Coefficients closer than this, relative to their size, are the same number.
_SAME = 1e-6
#: The terms that the declared form of each family has, the leading one first.
_LEADING = {
    "normal": "(x-f)^2/s^2",
    "bernoulli": "-x log p",
    "laplace": "|x-f|/b",
    "poisson": "rate - x log rate",
}


@dataclass(frozen=True)
class Setting:
    """What the coefficients are compared with.

    Attributes
    ----------
    D, d : int
        Dimensions of the data and of the latents.
    beta : float
        The declared weight of the divergence.
    family : str
        The family of the declared likelihood.
    log_scale : float or None
        The sum of log s over the dimensions, if the likelihood's scale is always the same.
    scale : float or None
        s, if it is one number.
    """

    D: int
    d: int
    beta: float
    family: str
    log_scale: float | None
    scale: float | None


@dataclass
class Reading:
    """Effective weights, per example.

    Attributes
    ----------
    weight_r, weight_kl : float or None
        The weights of R and KL, without the reduction over the batch; None if there is no such
        term.
    power_r, power_kl : float or None
        The reductions over the batch: 0 is a sum, 1 a mean.
    constant : float or None
        What the loss has more than the declared one, in nats an example.
    terms : mapping
        Every coefficient, without the reduction over the batch.
    """

    weight_r: float | None = None
    weight_kl: float | None = None
    power_r: float | None = None
    power_kl: float | None = None
    constant: float | None = None
    terms: dict[str, float] = field(default_factory=dict)

    @property
    def beta(self) -> float | None:
        """The effective weight of the divergence, relative to the reconstruction term."""
        if not self.weight_r or self.weight_kl is None:
            return None
        return self.weight_kl / self.weight_r


def power(fits: Mapping[int, Fit], name: str) -> float | None:
    """The p for which a coefficient goes as B^-p, rounded where it is an integer."""
    small, large = min(fits), max(fits)
    if small == large:
        scaled = abs(fits[small][name]) * small
        return 1.0 if abs(scaled - 1) < _SAME and small > 1 else 0.0
    a, b = fits[small][name], fits[large][name]
    if a * b <= 0:
        return None
    p = float(np.log(a / b) / np.log(large / small))
    return round(p) * 1.0 if abs(p - round(p)) < 1e-4 else p


def read(identity: Identity, setting: Setting, into: Findings) -> Reading:
    """Compare an equation with the declared loss, and add what differs to `into`."""
    found = _as_declared(identity) if identity.form != "terms" else Reading()
    if identity.form == "terms":
        found = _of_terms(identity, setting, into)
    if found.weight_r is None:
        _no_reconstruction(into)
    else:
        _signs(found, into)
        if identity.form != "free bits":
            _reductions(found, identity, into)
        if identity.form != "free bits":
            _weights.constants(found, identity, setting, into)
        _weights.weights(found, identity, setting, into)
    if identity.standard:
        into.add(
            "kl.standard-prior",
            WRONG,
            found.weight_kl or 0.0,
            "the coefficient of the divergence from N(0, I) an example",
            "the divergence is that from N(0, I), and another prior was declared",
            "use the declared prior in the divergence, or declare N(0, I)",
        )
    _remarks(identity, into)
    return found


def _as_declared(identity: Identity) -> Reading:
    fits = identity.fits
    size = max(fits)
    p_r, p_kl = power(fits, DECLARED), power(fits, "KL")
    terms = {n: c * size ** (p_r or 0) for n, c in fits[size].coefficients.items() if n != "1"}
    r = fits[size][DECLARED] * size ** (p_r or 0)
    kl = fits[size]["KL"] * size ** (p_kl or 0)
    tiny = 1e-9 * max(abs(r), abs(kl))
    made = Reading(
        r if abs(r) > tiny else None,
        kl if abs(kl) > tiny else None,
        p_r,
        p_kl,
        _constant(identity, p_r),
        {n: c for n, c in terms.items() if abs(c) > tiny},
    )
    if abs(fits[size]["sampled z"]) < 1e-9 * abs(fits[size]["KL"]):
        made.terms.pop("sampled z", None)
    return made


def _no_reconstruction(into: Findings) -> None:
    into.add(
        "recon.missing",
        WRONG,
        0.0,
        "the coefficient of the reconstruction term",
        "the loss does not depend on how well decode(z) fits x: its reconstruction term is missing "
        "or does not use `decode`",
        "add -log p(x given z), or check that `decode` is what the loss uses",
    )


def _constant(identity: Identity, p: float | None) -> float | None:
    """The constant of an example, if it is reduced over the batch as the other terms are."""
    each = {s: f["1"] * s ** (p or 0) / s for s, f in identity.fits.items()}
    values = list(each.values())
    if max(values) - min(values) > 1e-6 * (1 + max(map(abs, values))):
        return None
    return values[-1]


def _of_terms(identity: Identity, setting: Setting, into: Findings) -> Reading:
    """Weights of R and KL from single terms; terms that do not belong together become findings."""
    fits = identity.fits
    size = max(fits)
    p_r, weight_r, names = _reconstruction(identity, setting, into)
    single = [n for n in fits[size].coefficients if n not in names and n != "1"]
    tiny = 1e-8 * max(
        [1e-3 * abs(weight_r or 0.0), *(abs(fits[size][n]) for n in (*single, *names))]
    )
    alive = [n for n in single if abs(fits[size][n]) > tiny]
    lead = max(alive, key=lambda n: abs(fits[size][n]), default=None)
    p_kl = power(fits, lead) if lead else None
    k = {n: fits[size][n] * size ** (p_kl or 0) for n in single}
    terms = {n: c for n, c in k.items() if abs(c) > tiny}
    terms |= {n: fits[size][n] * size ** (p_r or 0) for n in names}
    made = Reading(weight_r, None, p_r, p_kl, None, {n: c for n, c in terms.items() if c})
    made.constant = _constant(identity, p_r if p_r is not None else p_kl)
    if weight_r is None:
        return made
    _divergence(made, k, fits[size], setting, tiny, into)
    return made


def _reconstruction(
    identity: Identity, setting: Setting, into: Findings
) -> tuple[float | None, float | None, list[str]]:
    """Reduction and weight of the reconstruction term, and the names of its terms."""
    fits, name = identity.fits, identity.reconstruction
    size = max(fits)
    if name == "none":
        return None, None, []
    columns = _columns_of(fits[size])
    if name in ("declared",):
        columns = [DECLARED]
    lead = max(columns, key=lambda n: abs(fits[size][n]), default=None)
    if lead is None or abs(fits[size][lead]) < 1e-10:
        return None, None, columns
    p = power(fits, lead)
    c = {n: fits[size][n] * size ** (p or 0) for n in columns}
    if name == setting.family or name == "declared":
        return p, _own_family(name, c, setting, into), columns
    weight = c[lead]
    same = {
        "logits of probabilities": (
            "recon.double-sigmoid",
            "decode(z) gives probabilities, and the loss applies another sigmoid to them",
            "use binary_cross_entropy for probabilities, or decode to logits",
        ),
        "bernoulli of logits": (
            "recon.other-likelihood",
            "the loss takes decode(z) for logits of a Bernoulli, and a density of real numbers was "
            "declared",
            "declare likelihood='bernoulli-logits', or use the declared density",
        ),
        "bernoulli, arguments swapped": (
            "recon.arguments-swapped",
            "the cross entropy has data and probabilities exchanged",
            "write binary_cross_entropy(decoded, x), with the data second",
        ),
    }
    code, sentence, change = same.get(
        name,
        (
            "recon.other-likelihood",
            f"the reconstruction term is {weight:.6g} times the {name} ({lead}), and "
            f"{setting.family} was declared",
            "use the declared density, or declare the one of the loss",
        ),
    )
    into.add(code, WRONG, weight, f"the coefficient of {lead} an example", sentence, change)
    # In units in which the most usual form has weight 1.
    return p, 2 * weight if "squared" in name and "^2" in lead else weight, columns


def _columns_of(f: Fit) -> list[str]:
    from vaetheory.audit._divergence import CLOSED, RARE

    return [n for n in f.coefficients if n not in (*CLOSED, *RARE, "1")]


def _own_family(
    name: str, c: dict[str, float], setting: Setting, into: Findings
) -> float | None:
    """The weight of a term of the declared family, whose parts may not belong together."""
    if name == "normal":
        return _normal(c, setting, into)
    if name == "bernoulli":
        a, b = c.get("-x log p", 0.0), c.get("-(1-x) log(1-p)", 0.0)
        if abs(a - b) > _SAME * max(abs(a), abs(b)):
            into.add(
                "recon.cross-entropy-terms",
                WRONG,
                b / a if a else 0.0,
                "the coefficient of (1-x) log(1-p) over that of x log p",
                f"the cross entropy has {a:.6g} x log p and {b:.6g} (1-x) log(1-p): their "
                "coefficients should be the same",
                "use binary_cross_entropy, without pos_weight",
            )
            return b if b and abs(b - 1) < abs(a - 1) else a
        return a
    if name == "laplace":
        weight, log = c.get("|x-f|/b", 0.0), c.get("log b")
        if weight and log is not None and abs(log / weight - 1) > _SAME:
            _log_scale(log / weight, 1.0, "log b", into)
        return weight
    if name == "poisson":
        weight, log = c.get("rate - x log rate", 0.0), c.get("log x!", 0.0)
        if weight and abs(log / weight - 1) > _SAME:
            into.add(
                "recon.constant-missing",
                BOUND,
                log / weight,
                "the coefficient of log x!",
                f"log x! has the coefficient {log / weight:.6g} and not 1: harmless for training, "
                "but the value is no bound",
                "write PoissonNLLLoss(full=True) for the exact value, or Poisson(rate).log_prob(x)",
            )
        return weight
    return c.get(DECLARED)


def _log_scale(found: float, right: float, term: str, into: Findings) -> None:
    into.add(
        "recon.log-scale-coefficient",
        WRONG,
        found,
        f"the coefficient of {term} where the error term is right",
        f"the log scale of the likelihood has the coefficient {found:.6g}, right is {right:g}: "
        "the scale that is learned is not that of the density",
        "take log_prob of the declared distribution",
    )


def _normal(c: dict[str, float], setting: Setting, into: Findings) -> float | None:
    """Terms of a normal density: weight 1 is (x-f)^2 / (2 s^2) + log s."""
    square, fourth = c.get("(x-f)^2/s^2", 0.0), c.get("(x-f)^2/s^4", 0.0)
    first, log = c.get("(x-f)^2/s", 0.0), c.get("log s")
    largest = max(abs(square), abs(fourth), abs(first))
    if largest == 0:
        return None
    tiny = _SAME * largest
    weight, scales = 2 * square, (1.0,)
    if abs(fourth) > tiny and abs(square) <= tiny:
        into.add(
            "recon.std-as-variance",
            WRONG,
            fourth,
            "the coefficient of (x-f)^2/s^4 an example, s the declared deviation",
            f"the squared error is divided by s^4 (coefficient {fourth:.6g}): the declared "
            "deviation s is squared twice, as if log s^2 were log s",
            "divide by exp(logvar), or declare what the second output is",
        )
        weight, scales = 2 * fourth, (1.0, 2.0)
    elif abs(first) > tiny and abs(square) <= tiny:
        into.add(
            "recon.variance-as-std",
            WRONG,
            first,
            "the coefficient of (x-f)^2/s an example, s the declared deviation",
            f"the squared error is divided by s (coefficient {first:.6g}) and not by s^2: a "
            "variance stands where a standard deviation belongs, or is its root",
            "divide by the variance",
        )
        weight, scales = 2 * first, (1.0, 0.5)
    elif abs(fourth) > tiny or abs(first) > tiny:
        into.add(
            "recon.mixed-terms",
            WRONG,
            square,
            "the coefficient of (x-f)^2/s^2 an example",
            f"the error term mixes powers of the scale: {square:.6g} (x-f)^2/s^2, {first:.6g} "
            f"(x-f)^2/s, {fourth:.6g} (x-f)^2/s^4",
            "take log_prob of the declared distribution",
        )
    if setting.log_scale is None:
        found = (log or 0.0) / weight
        if all(abs(found - right) > _SAME for right in scales):
            _log_scale(found, 1.0, "log s", into)
    return weight


def _near(a: float, b: float, tiny: float) -> bool:
    return abs(a - b) <= _SAME * (abs(a) + abs(b)) + tiny


def _divergence(
    made: Reading, k: Mapping[str, float], f: Fit, setting: Setting, tiny: float, into: Findings
) -> None:
    """The weight of the divergence, and whether its terms belong together."""
    get = lambda name: k.get(name, 0.0)  # noqa: E731
    m = get("m^2") + get("z^2")
    trace = get("exp(v)") + get("z^2")
    log = get("v")
    double, half = get("exp(2v)"), get("exp(v/2)")
    odd = {
        n: get(n) for n in ("v^2", "exp(-v)", "m^2 exp(-v)", "m", "|m|") if abs(get(n)) > tiny
    }
    if all(abs(c) <= tiny for c in (m, trace, log, double, half, *odd.values())):
        if abs(get("e^2")) <= tiny:
            _add_missing(into)
        return
    listed = ", ".join(f"{c:+.6g} {n}" for n, c in k.items() if abs(c) > tiny)
    # A deterministic or a constant encoder shows one of its terms only.
    silent = {n for n in ("exp(v)", "v") if n in f.constant}
    if silent == {"exp(v)", "v"} and abs(m) > tiny and not odd:
        made.weight_kl = 2 * m
        return
    if not odd and all(abs(c) <= tiny for c in (trace, log, double, half)) and abs(m) > tiny:
        made.weight_kl = 2 * m
        _add_terms(
            into,
            "kl.variance-terms-missing",
            m,
            "m^2",
            f"of the divergence only {m:.6g} m^2 is there: nothing holds the posterior variance",
            "add (exp(v) - v - 1)/2",
        )
        return
    if abs(get("exp(-v)")) > tiny and _near(get("exp(-v)"), get("m^2 exp(-v)"), tiny):
        if _near(log, get("exp(-v)"), tiny) and abs(trace) <= tiny:
            made.weight_kl = 2 * get("exp(-v)")
            _add_terms(
                into,
                "kl.reversed",
                get("exp(-v)"),
                "exp(-v)",
                f"the divergence is KL(prior || posterior): {listed}",
                "exchange the two distributions",
            )
            return
    if not odd and abs(trace) <= tiny and abs(m) > tiny:
        if _near(double, m, tiny) and _near(log, -2 * m, tiny) and abs(half) <= tiny:
            made.weight_kl = 2 * m
            _add_terms(
                into,
                "kl.logvar-as-logstd",
                double,
                "exp(2v)",
                "the divergence takes the log variance v for a log deviation: it has "
                f"{double:.6g} exp(2v) and {log:.6g} v, right are exp(v) and -v/2",
                "drop the factors 2 of the formula, or declare posterior='logstd'",
            )
            return
        if _near(half, m, tiny) and _near(log, -m / 2, tiny) and abs(double) <= tiny:
            made.weight_kl = 2 * m
            _add_terms(
                into,
                "kl.logstd-as-logvar",
                half,
                "exp(v/2)",
                "the divergence takes the log deviation for a log variance: in terms of the log "
                f"variance v it has {half:.6g} exp(v/2) and {log:.6g} v, right are exp(v) and -v/2",
                "double the log deviation in the formula, or declare posterior='logvar'",
            )
            return
    if odd or abs(double) > tiny or abs(half) > tiny or not _near(m, trace, tiny):
        made.weight_kl = 2 * m if abs(m) > tiny else None
        _add_terms(
            into,
            "kl.mixed-terms",
            trace / m if m else trace,
            "the coefficient of exp(v) over that of m^2",
            f"the terms of the divergence do not belong together: {listed}; right is "
            "m^2/2 + exp(v)/2 - v/2, times one weight",
            "write (m^2 + exp(v) - v - 1)/2",
            whole=True,
        )
        return
    if _near(-log, m, tiny):
        made.weight_kl = 2 * m
        return
    _wrong_log_term(made, m, log, listed, tiny, setting, into)


def _wrong_log_term(
    made: Reading,
    m: float,
    log: float,
    listed: str,
    tiny: float,
    setting: Setting,
    into: Findings,
) -> None:
    """Terms m^2 and exp(v) that agree, and another one of v."""
    right = -log / m if m else 0.0
    made.weight_kl = 2 * m
    if right <= 0 or abs(log) <= tiny:
        _add_terms(
            into,
            "kl.mixed-terms",
            log / (2 * m),
            "the coefficient of v where those of m^2 and exp(v) are 1/2",
            f"the log term of the divergence has the coefficient {log / (2 * m):+.6g}, right is "
            f"-1/2 ({listed})",
            "write (m^2 + exp(v) - v - 1)/2",
            whole=True,
        )
        return
    # m^2/2 + exp(v)/2 - v is 2 KL(q || N(0, 2)) up to a constant, and the constant decides.
    weight_r = made.weight_r or 1.0
    own = (made.constant or 0.0) - _weights.expected_constant(setting, weight_r, 0.0)
    expected = 2 * m * right * setting.d / 2 * (np.log(right) - 1)
    if abs(own - expected) <= 1e-6 * (1 + abs(own)):
        made.weight_kl = 2 * m * right
        made.constant = made.constant - expected - made.weight_kl * setting.d / 2  # type: ignore[operator]
        _add_terms(
            into,
            "kl.prior-scale",
            right,
            "the variance of the prior in units of the declared one",
            f"the divergence is exactly that from a prior of {right:.6g} times the declared "
            f"variance ({listed}); or its log term has a wrong coefficient",
            "declare this prior, or write (m^2 + exp(v) - v - 1)/2",
            whole=True,
        )
        return
    _add_terms(
        into,
        "kl.mixed-terms",
        log / (2 * m),
        "the coefficient of v where those of m^2 and exp(v) are 1/2",
        f"the log term of the divergence has the coefficient {log / (2 * m):+.6g}, right is -1/2 "
        f"(up to a constant the same as {right:.6g} times the divergence from a prior of "
        f"{right:.6g} times the declared variance)",
        "write (m^2 + exp(v) - v - 1)/2, or declare this prior",
        whole=True,
    )


def _add_missing(into: Findings) -> None:
    into.add(
        "kl.missing",
        WRONG,
        0.0,
        "the coefficients of m^2, exp(v) and v",
        "the loss has no divergence term: it is that of an auto-encoder",
        "add (m^2 + exp(v) - v - 1)/2, summed over the latents",
    )


def _add_terms(
    into: Findings,
    code: str,
    number: float,
    term: str,
    sentence: str,
    change: str,
    *,
    whole: bool = False,
) -> None:
    meaning = term if whole else f"the coefficient of {term} an example"
    into.add(code, WRONG, number, meaning, sentence, change)


def _signs(found: Reading, into: Findings) -> None:
    r, kl = found.weight_r, found.weight_kl
    if r is not None and kl is not None and r < 0 and kl < 0:
        into.add(
            "loss.sign",
            WRONG,
            r,
            "the coefficient of -log p(x given z) an example",
            f"the value is the ELBO itself ({r:.6g} times -log p(x given z)), which gets larger as "
            "the model gets better: minimised, it makes the model worse",
            "return its negative; if it is maximised elsewhere, give that function's negative here",
        )
    elif r is not None and r < 0:
        into.add(
            "recon.sign",
            WRONG,
            r,
            "the coefficient of -log p(x given z) an example",
            f"the reconstruction term enters with the wrong sign ({r:.6g}): a better fit is a "
            "larger loss",
            "add -log p(x given z)",
        )
    elif kl is not None and kl < 0:
        into.add(
            "kl.sign",
            WRONG,
            kl,
            "the coefficient of the divergence an example",
            f"the divergence enters with the wrong sign ({kl:.6g}): a larger one is a smaller loss",
            "add the divergence, (m^2 + exp(v) - v - 1)/2",
        )


def _reductions(found: Reading, identity: Identity, into: Findings) -> None:
    a, b = found.power_r, found.power_kl
    if a is None or b is None or found.weight_kl is None or abs(a - b) < 1e-4:
        return
    words = {0.0: "summed", 1.0: "averaged"}
    sizes = sorted(identity.fits)
    beta = found.weight_kl / (found.weight_r or 1.0)
    effective = ", ".join(f"{beta * s ** (a - b):.6g} at {s}" for s in sizes)
    into.add(
        "reduction.batch-mismatch",
        WRONG,
        beta * sizes[-1] ** (a - b),
        f"the effective beta at a batch of {sizes[-1]}",
        f"over the batch the reconstruction is {words.get(a, f'divided by B^{a:g}')}, and the "
        f"divergence {words.get(b, f'divided by B^{b:g}')}: the effective beta changes with the "
        f"size of the batch ({effective} examples)",
        "reduce both in the same way",
    )


def _remarks(identity: Identity, into: Findings) -> None:
    name = identity.remark
    if identity.form == "free bits":
        batch = "batch" in name
        into.add(
            "kl.free-bits-of-the-batch" if batch else "kl.free-bits",
            BOUND if batch else NOTE,
            identity.amount,
            "the threshold in nats",
            f"the divergence of each {name} is clamped below at {identity.amount:.6g} nats (free "
            "bits): the loss is at least the declared one"
            + (", and that of an example depends on the others of its batch" if batch else ""),
            "nothing, if free bits are meant"
            + ("; clamp before the mean over the batch otherwise" if batch else ""),
        )
    elif name.startswith("guard"):
        into.add(
            "recon.guard",
            NOTE,
            identity.amount,
            "the number that is added inside the logarithms",
            f"the logarithms of the likelihood have a guard of {identity.amount:g}",
            "take logits, which need no guard",
        )
    elif name == "guarded":
        into.add(
            "identity.guarded",
            NOTE,
            identity.amount,
            "the residual of the equation, as a share of the loss's spread",
            f"the loss is the declared one up to {identity.amount:.1e} of its spread, as a guard "
            "such as sqrt(s^2 + 1e-8) or a cast to float32 leaves it",
            "nothing, if such a guard is meant",
        )
    elif name.startswith("penalty"):
        what = name.partition(" ")[2]
        into.add(
            "outside.penalty",
            NOTE,
            identity.amount,
            f"the coefficient of {what}",
            f"the loss has another term, {identity.amount:.6g} times {what}: it is the declared "
            "loss with a penalty, and not the ELBO alone",
            "nothing, if the penalty is meant; weight decay of the optimiser does the same",
        )
