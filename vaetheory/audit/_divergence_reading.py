"""What the coefficients of the terms of a divergence say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vaetheory.audit import _weights
from vaetheory.audit._findings import WRONG, Findings
from vaetheory.audit._fit import Fit
from vaetheory.audit._setting import Reading, Setting

#: Coefficients closer than this, relative to their size, are the same number.
_SAME = 1e-6


def _near(a: float, b: float, tiny: float) -> bool:
    return abs(a - b) <= _SAME * (abs(a) + abs(b)) + tiny


def divergence(
    made: Reading, k: Mapping[str, float], f: Fit, setting: Setting, tiny: float, into: Findings
) -> None:
    """The weight of the divergence, and whether its terms belong together."""

    def get(name: str) -> float:
        return k.get(name, 0.0)

    m = get("m^2") + get("z^2")
    trace = get("exp(v)") + get("z^2")
    log = get("v")
    double, half = get("exp(2v)"), get("exp(v/2)")
    odd = {n: get(n) for n in ("v^2", "exp(-v)", "m^2 exp(-v)", "m", "|m|") if abs(get(n)) > tiny}
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
    inverse = get("exp(-v)")
    both = abs(inverse) > tiny and _near(inverse, get("m^2 exp(-v)"), tiny)
    if both and _near(log, inverse, tiny) and abs(trace) <= tiny:
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
            _ratio(trace, m, tiny),
            "the coefficient of exp(v) over that of m^2, or itself where m^2 has none",
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


def _ratio(a: float, b: float, tiny: float) -> float:
    """The ratio a/b, or a where b is rounding; 0 where a is."""
    if abs(a) <= tiny:
        return 0.0
    return a / b if abs(b) > tiny else a


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
    if abs(m) <= tiny:
        _add_terms(
            into,
            "kl.mixed-terms",
            log,
            "v",
            f"of the divergence there is {listed} alone: the terms m^2 and exp(v) of the prior are "
            "missing",
            "write (m^2 + exp(v) - v - 1)/2, or subtract log p(z)",
        )
        return
    right = -log / m
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
        made.constant = (made.constant or 0.0) - expected - made.weight_kl * setting.d / 2
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
