"""The terms that a loss may have in place of the declared -log p(x given z)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._shots import LOG_2PI, Shot

#: The declared term, whole.
DECLARED = "R"

#: Of a shot: each term (K, B, D), or None if it is not defined here.
Terms = Callable[[Shot], "dict[str, Array] | None"]

#: The terms of a normal density, without those that are tried beside them.
_WHOLE = {"normal": ("(x-f)^2/s^2", "log s")}
GUARDS = (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)


def variants(family: str) -> dict[str, Terms]:
    """The forms of the reconstruction term that are tried, by name, the declared one first."""
    forms: dict[str, Terms] = {}
    if family == "normal":
        forms["normal"] = _normal
    elif family == "bernoulli":
        forms["bernoulli"] = _bernoulli
        forms["logits of probabilities"] = _double_sigmoid
        forms["bernoulli, arguments swapped"] = _swapped
        forms["continuous bernoulli"] = _continuous
        forms["bernoulli of other targets"] = _other_bits
    elif family == "laplace":
        forms["laplace"] = _laplace
    elif family == "poisson":
        forms["poisson"] = _poisson
        forms["poisson of the rate as a log rate"] = _rate_as_log
        forms["poisson of the log rate as a rate"] = _log_as_rate
    else:
        forms["declared"] = lambda shot: {}
    forms["squared error"] = _squares
    forms["absolute error"] = _moduli
    if family != "bernoulli":
        forms["bernoulli"] = _bernoulli_of_mean
        forms["bernoulli of logits"] = _bernoulli_of_logits
        forms["squared error of the sigmoid"] = _squares_of_sigmoid
    forms["squared error of the logits"] = _squares_of_logits
    if family == "normal":
        forms["squared error of other targets"] = _other_targets
    forms["Huber's loss"] = _huber
    forms["distance, not squared"] = _distances
    forms["none"] = lambda shot: {"none": np.zeros((1, shot.size, 1))}
    return forms


def guards(family: str) -> dict[str, Terms]:
    """The declared term with a guard against log 0, by its size."""
    if family != "bernoulli":
        return {}
    return {f"{size:g}": _guarded(size) for size in GUARDS}


def declared_column(shots: Sequence[Shot]) -> Array:
    """-log p(x given z) of each shot, summed over the batch: the mean over its samples."""
    return np.array([float(s.decoded.nll.sum()) / len(s.decoded.nll) for s in shots])


def output_columns(shots: Sequence[Shot]) -> dict[str, Array]:
    """-log p of each output, up to constants, summed over the batch."""
    half = {"normal": 0.5}.get(shots[0].decoded.family, 1.0)
    terms = variants(shots[0].decoded.family)[next(iter(variants(shots[0].decoded.family)))]
    rows = []
    for shot in shots:
        with np.errstate(all="ignore"):
            found = terms(shot)
        if not found:
            return {}
        names = _WHOLE.get(shot.decoded.family, tuple(found))
        each = sum(found[n] * (half if "^2" in n else 1.0) for n in names)
        rows.append(np.asarray(each).sum(axis=(0, 1)) / len(np.asarray(each)))
    return {f"R of output {j}": column for j, column in enumerate(np.array(rows).T)}


def columns(terms: Terms, shots: Sequence[Shot]) -> dict[str, Array] | None:
    """The columns of a form, or None where it is not defined for all shots."""
    rows = []
    for shot in shots:
        with np.errstate(all="ignore"):
            found = terms(shot)
        if found is None:
            return None
        rows.append({n: float(t.sum()) / len(t) for n, t in found.items()})
    if not rows[0]:
        return {DECLARED: declared_column(shots)}
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _x(shot: Shot) -> Array:
    return shot.x[None]


def _normal(shot: Shot) -> dict[str, Array] | None:
    """The terms of a normal log density, and those with the scale in a wrong power."""
    loc, scale = shot.decoded.parts["loc"], shot.decoded.parts["scale"]
    square = (_x(shot) - loc) ** 2
    return {
        "(x-f)^2/s^4": square / scale**4,
        "(x-f)^2/s": square / scale,
        "s^2": scale**2,
        "log s": np.log(scale) + 0 * square,
        "(x-f)^2/s^2": square / scale**2,
    }


def normal_constant(D: int) -> float:
    """D/2 log 2 pi, in nats."""
    return D / 2 * LOG_2PI


def _probabilities(shot: Shot) -> Array:
    return np.exp(-np.logaddexp(0.0, -shot.decoded.parts["logits"]))


def _bernoulli(shot: Shot) -> dict[str, Array] | None:
    f = shot.decoded.parts["logits"]
    x = _x(shot)
    return {
        "-x log p": x * np.logaddexp(0.0, -f),
        "-(1-x) log(1-p)": (1 - x) * np.logaddexp(0.0, f),
    }


def _double_sigmoid(shot: Shot) -> dict[str, Array] | None:
    p = _probabilities(shot)
    return {"BCE with logits p": np.logaddexp(0.0, p) - _x(shot) * p}


def _swapped(shot: Shot) -> dict[str, Array] | None:
    x, p = _x(shot), _probabilities(shot)
    # PyTorch's binary_cross_entropy takes log 0 as -100.
    return {
        "BCE of x and p exchanged": -(
            p * np.maximum(np.log(x), -100.0) + (1 - p) * np.maximum(np.log1p(-x), -100.0)
        )
    }


def _other_bits(shot: Shot) -> dict[str, Array] | None:
    """The cross entropy with targets a x + b."""
    f, x = shot.decoded.parts["logits"], _x(shot)
    return {
        "-log p": np.logaddexp(0.0, -f),
        "-x log p": x * np.logaddexp(0.0, -f),
        "-x log(1-p)": x * np.logaddexp(0.0, f),
        "-log(1-p)": np.logaddexp(0.0, f),
    }


def _other_targets(shot: Shot) -> dict[str, Array] | None:
    """The squared error with targets a x + b, over 2 s^2."""
    f, s, x = shot.decoded.parts["loc"], shot.decoded.parts["scale"], _x(shot)
    return {
        "x^2/s^2": x**2 / s**2,
        "x/s^2": x / s**2,
        "f/s^2": f / s**2,
        "x f/s^2": x * f / s**2,
        "f^2/s^2": f**2 / s**2,
    }


def _rate_as_log(shot: Shot) -> dict[str, Array] | None:
    rate = shot.decoded.parts["rate"]
    return {"exp(rate) - x rate": np.exp(rate) - _x(shot) * rate}


def _log_as_rate(shot: Shot) -> dict[str, Array] | None:
    log = np.log(shot.decoded.parts["rate"])
    # PyTorch's poisson_nll_loss adds 1e-8 to rates.
    return {"log rate - x log log rate": log - _x(shot) * np.log(log + 1e-8)}


def _continuous(shot: Shot) -> dict[str, Array] | None:
    f, x = shot.decoded.parts["logits"], _x(shot)
    small = np.abs(f) < 1e-3
    safe = np.where(small, 1.0, f)
    # log of f / (e^f - 1) (e^f + 1): the density is C p^x (1 - p)^(1 - x).
    log_c = np.where(
        small,
        np.log(2.0) + f**2 / 12 - 7 * f**4 / 1440,
        np.log(np.abs(safe / np.tanh(safe / 2))),
    )
    return {"BCE": np.logaddexp(0.0, f) - x * f, "log C": -log_c}


def _guarded(size: float) -> Terms:
    def terms(shot: Shot) -> dict[str, Array] | None:
        x, p = _x(shot), _probabilities(shot)
        q = np.exp(-np.logaddexp(0.0, shot.decoded.parts["logits"]))
        return {"-x log p": -x * np.log(p + size), "-(1-x) log(1-p)": -(1 - x) * np.log(q + size)}

    return terms


def _laplace(shot: Shot) -> dict[str, Array] | None:
    loc, scale = shot.decoded.parts["loc"], shot.decoded.parts["scale"]
    return {
        "log b": np.log(scale) + 0 * loc,
        "|x-f|/b": np.abs(_x(shot) - loc) / scale,
    }


def _poisson(shot: Shot) -> dict[str, Array] | None:
    from scipy.special import gammaln

    rate, x = shot.decoded.parts["rate"], _x(shot)
    return {
        "log x!": gammaln(x + 1) + 0 * rate,
        "rate - x log rate": rate - x * np.log(rate),
    }


def _mean(shot: Shot) -> Array | None:
    return shot.decoded.parts.get("mean")


def _squares(shot: Shot) -> dict[str, Array] | None:
    mean = _mean(shot)
    return None if mean is None else {"(x-f)^2": (_x(shot) - mean) ** 2}


def _moduli(shot: Shot) -> dict[str, Array] | None:
    mean = _mean(shot)
    return None if mean is None else {"|x-f|": np.abs(_x(shot) - mean)}


def _distances(shot: Shot) -> dict[str, Array] | None:
    mean = _mean(shot)
    if mean is None:
        return None
    return {"|x-f|_2": np.sqrt(((_x(shot) - mean) ** 2).sum(-1, keepdims=True))}


def _huber(shot: Shot) -> dict[str, Array] | None:
    mean = _mean(shot)
    if mean is None:
        return None
    off = np.abs(_x(shot) - mean)
    return {"Huber": np.where(off < 1, off**2 / 2, off - 0.5)}


def _bernoulli_of_mean(shot: Shot) -> dict[str, Array] | None:
    p, x = _mean(shot), _x(shot)
    if p is None or not (p.min() > 0 and p.max() < 1):
        return None
    return {"BCE": -(x * np.log(p) + (1 - x) * np.log1p(-p))}


def _bernoulli_of_logits(shot: Shot) -> dict[str, Array] | None:
    f = _mean(shot)
    return None if f is None else {"BCE with logits f": np.logaddexp(0.0, f) - _x(shot) * f}


def _squares_of_sigmoid(shot: Shot) -> dict[str, Array] | None:
    f = _mean(shot)
    if f is None:
        return None
    return {"(x-sigmoid f)^2": (_x(shot) - np.exp(-np.logaddexp(0.0, -f))) ** 2}


def _squares_of_logits(shot: Shot) -> dict[str, Array] | None:
    f = shot.decoded.parts.get("logits")
    return None if f is None else {"(x-logit)^2": (_x(shot) - f) ** 2}
