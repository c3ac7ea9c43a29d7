"""Weights and constants, and the stories that each of them may have."""

from __future__ import annotations

import numpy as np

from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity
from vaetheory.audit._reconstruction import normal_constant
from vaetheory.audit._setting import Reading, Setting
from vaetheory.audit._shots import LOG_2PI


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 * max(abs(a), abs(b), 1e-300)


def expected_constant(setting: Setting, weight_r: float, weight_kl: float) -> float:
    """The constant of an example that the single terms of the declared loss leave."""
    likelihood = 0.0
    if setting.family == "normal":
        likelihood = normal_constant(setting.D) + (setting.log_scale or 0.0)
    elif setting.family == "laplace":
        likelihood = setting.D * np.log(2.0) + (setting.log_scale or 0.0)
    return weight_r * likelihood - weight_kl * setting.d / 2


def constants(found: Reading, identity: Identity, setting: Setting, into: Findings) -> None:
    """Name what the loss has more or less than the declared one, in nats an example."""
    if found.constant is None or found.weight_r is None:
        return
    off = found.constant
    if identity.form == "terms":
        # An estimate by e^2 has the mean d.
        off += found.terms.get("e^2", 0.0) * setting.d
        known = identity.reconstruction in (setting.family, "declared")
        if not known and not any(w in identity.reconstruction for w in ("bernoulli", "logits of")):
            # Another density has another constant.
            found.constant = None
            return
        if known:
            off -= expected_constant(setting, found.weight_r, found.weight_kl or 0.0)
        else:
            off += (found.weight_kl or 0.0) * setting.d / 2
    found.constant = off
    scale = abs(found.weight_r)
    if abs(off) <= 1e-7 * setting.slack * scale * (1 + abs(expected_constant(setting, 1.0, 1.0))):
        found.constant = 0.0
        return
    if _of_another_scale(found, setting):
        return
    share = off / found.weight_r
    kl = (found.weight_kl or 0.0) / found.weight_r
    d, named = setting.d, False
    recon = {"": 0.0}
    if setting.family == "normal":
        whole, log = normal_constant(setting.D), setting.log_scale
        recon["D/2 log(2 pi)"] = -whole
        if log:
            recon["D log s + D/2 log(2 pi)"] = -whole - log
            recon["D log s"] = -log
    elif setting.family == "laplace":
        log = setting.log_scale or 0.0
        recon["D log(2 b)"] = -setting.D * np.log(2.0) - log
        recon["D log 2"] = -setting.D * np.log(2.0)
    divergence = {
        "": 0.0,
        "-d/2": kl * d / 2,
        "-(d-1)/2": kl * (d - 1) / 2,
        "-d/2 log(2 pi) of log q": kl * d / 2 * LOG_2PI,
        "-d/2 log(2 pi) of log p": -kl * d / 2 * LOG_2PI,
        "-d/2, twice": -kl * d / 2,
    }
    pairs = [(what, which) for what in recon for which in divergence if what or which]
    # One constant before two, and that of the likelihood before that of the divergence.
    pairs.sort(key=lambda pair: (all(pair), not pair[0]))
    for what, which in pairs:
        a, b = recon[what], divergence[which]
        if abs(share - a - b) <= 1e-6 * (1 + abs(a) + abs(b)):
            if what:
                into.add(
                    "recon.constant-missing",
                    BOUND,
                    -a,
                    f"nats an example: {what}",
                    f"{-a:.6g} nats an example are missing in the likelihood, {what}: "
                    "harmless for training, but the value is no bound of -log p(x)",
                    "add the constant where the value is reported, or use log_prob",
                )
            if which:
                into.add(
                    "kl.constant",
                    BOUND,
                    b,
                    "nats an example by which the divergence is too large",
                    f"the divergence is {b:.6g} nats an example too large, its constant "
                    f"({which}) is wrong or missing: harmless for training, but it is not 0 "
                    "where the posterior is the prior",
                    "write (m^2 + exp(v) - v - 1)/2 for each latent",
                )
            named = True
            break
    if not named and not into.begins("kl."):
        into.add(
            "constant",
            BOUND,
            share,
            "nats an example by which the loss is too large",
            f"the loss is {share:.6g} nats an example larger than the declared one, at every "
            "parameter: harmless for training, but the value is no bound",
            "take log_prob of the declared distributions",
        )


def _of_another_scale(found: Reading, setting: Setting) -> float | None:
    """The deviation s for which a normal likelihood is exactly that of the loss, if there is one.

    With the weight of the divergence as the unit, the error term and the constant must fit.
    """
    r, kl = found.weight_r, found.weight_kl
    if setting.family != "normal" or setting.scale is None or not r or not kl or r * kl <= 0:
        return None
    kl /= setting.beta
    ratio = kl / r
    if _near(ratio, 1.0) or found.constant is None:
        return None
    other = setting.scale * float(np.sqrt(ratio))
    expected = kl * (normal_constant(setting.D) + setting.D * np.log(other)) - r * (
        normal_constant(setting.D) + (setting.log_scale or 0.0)
    )
    return other if abs(found.constant - expected) <= 1e-6 * (1 + abs(expected)) else None


def weights(found: Reading, identity: Identity, setting: Setting, into: Findings) -> None:
    """Name the weight of the divergence where it is not the declared one."""
    r, kl = found.weight_r, found.weight_kl
    if r is None:
        return
    if kl is None:
        if not into.begins("kl."):
            into.add(
                "kl.missing",
                WRONG,
                0.0,
                "the coefficient of the divergence",
                "the loss has no divergence term: it is that of an auto-encoder",
                "add (m^2 + exp(v) - v - 1)/2, summed over the latents",
            )
        return
    if r < 0 or kl < 0:
        r, kl = abs(r), abs(kl)
    beta = kl / r
    if abs(beta - setting.beta) <= 1e-7 * setting.slack * setting.beta + 10 * identity.residual * (
        identity.remark in ("guarded",)
    ):
        if abs(r - 1) > setting.same and r > 0:
            into.add(
                "loss.scale",
                NOTE,
                r,
                "the factor of the whole loss an example",
                f"the loss is {r:.6g} times the declared one"
                + _factor(r, setting)
                + ": it has the same minimiser, but is not in nats",
                "nothing; divide by the factor where the value is reported",
            )
        return
    if "recon.cross-entropy-terms" in into or "recon.mixed-terms" in into:
        return
    if identity.reconstruction not in (setting.family, "declared", "R", "") and not (
        "squared" in identity.reconstruction and setting.family == "normal"
    ):
        # The weight of another likelihood is in units of its own.
        return
    _name(found, r, kl, beta, setting, into)


def _factor(r: float, setting: Setting) -> str:
    D, d = setting.D, setting.d
    known = {
        f", 1/D with D = {D}": 1 / D,
        f", 1/d with d = {d}": 1 / d,
        f", 1/(D + d) with D = {D}, d = {d}": 1 / (D + d),
        ", 1/log 2": 1 / np.log(2.0),
        f", 1/(D log 2) with D = {D}": 1 / (D * np.log(2.0)),
        ", 1/2": 0.5,
        ", 2": 2.0,
    }
    return next((text for text, value in known.items() if _near(r, value)), "")


def _name(
    found: Reading, r: float, kl: float, beta: float, setting: Setting, into: Findings
) -> None:
    D, d, b0 = setting.D, setting.d, setting.beta
    tail = f" (effective beta {beta:.9g}, declared {b0:g})"
    stories: list[tuple[str, str, str]] = []
    normal = setting.family == "normal"

    def story(code: str, text: str, change: str) -> None:
        stories.append((code, text, change))

    other = _of_another_scale(found, setting)
    if other is not None:
        story(
            "weight.recon",
            f"the loss is exactly the ELBO of a likelihood of deviation {other:.6g}, and "
            f"{setting.scale:g} was declared",
            f"declare the deviation {other:.6g}, or use the declared one",
        )
    if b0 != 1 and _near(beta, 1.0):
        story(
            "weight.declared-beta",
            f"the declared beta {b0:g} is not used",
            "multiply the divergence by beta",
        )
    if b0 != 1 and _near(beta, b0 * b0):
        story(
            "weight.declared-beta",
            f"the declared beta {b0:g} is used twice",
            "multiply the divergence by beta once",
        )
    if D > 1 and _near(r, 1 / D) and _near(kl, b0):
        story(
            "weight.recon-mean-over-pixels",
            f"the reconstruction is a mean over the D = {D} dimensions, and the divergence a sum",
            "sum the reconstruction over the dimensions",
        )
    if D > 2 and normal and _near(r, 2 / D) and _near(kl, b0):
        story(
            "weight.recon-mean-over-pixels",
            f"the reconstruction is a mean over the D = {D} dimensions and lacks the factor 1/2, "
            "and the divergence is a sum",
            "write ((x - f)^2).sum() / (2 s^2)",
        )
    if d > 1 and _near(kl, b0 / d) and _near(r, 1.0):
        story(
            "weight.kl-mean-over-latents",
            f"the divergence is 1/{d} of the declared one: a mean over the d = {d} latents",
            "sum the divergence over the latents",
        )
    if D > 1 and _near(kl, b0 / D) and _near(r, 1.0):
        story(
            "weight.kl-over-pixels",
            f"the divergence is 1/{D} of the declared one: divided by the number of dimensions",
            "do not divide the divergence by D",
        )
    dims = {
        "d/D": d / D,
        "D/d": D / d,
        "1/(D d)": 1 / (D * d),
        "2 d/D": 2 * d / D,
        "D/(2 d)": D / (2 * d),
    }
    for text, value in dims.items():
        if not stories and value != 1 and _near(beta, b0 * value):
            story(
                "weight.dims",
                f"the weight is off by {text}, with D = {D} and d = {d}: means over dimensions "
                "stand where sums belong",
                "sum both over their dimensions",
            )
    if normal and not stories and _near(kl, b0):
        variance = (setting.scale or 1.0) ** 2 * kl / b0 / r
        half = ", or the factor 1/2 of the squared error is missing" if _near(r, 2.0) else ""
        story(
            "weight.recon",
            f"the reconstruction term is {r:.6g} times the declared one: that of variance "
            f"{variance:.6g}{half}, or beta = {beta:.6g} is meant",
            "use the declared density, or declare this variance or this beta",
        )
    elif not stories and _near(kl, b0):
        story(
            "weight.recon",
            f"the reconstruction term is {r:.6g} times the declared one, or beta = {beta:.6g} is "
            "meant",
            "use the declared density, or declare this beta",
        )
    if normal and _near(beta, b0 / 2) and setting.scale is not None and not _near(r, 2.0):
        story(
            "weight.kl",
            "half of the declared weight: a factor 1/2 of the divergence too much, or one of the "
            "squared error missing, or the variance is half of the declared one",
            "check the factors 1/2 of both terms",
        )
    if not stories or all(code == "weight.declared-beta" for code, _, _ in stories):
        story(
            "weight.kl",
            f"the divergence has the weight {kl:.6g} and the reconstruction {r:.6g}",
            f"weigh the divergence by {b0:g}, or declare beta={beta:.6g}",
        )
    seen: set[str] = set()
    first = stories[0]
    others = [t for c, t, _ in stories[1:] if c not in seen]
    sentence = first[1] + tail
    if others:
        sentence += "; or: " + "; or: ".join(others) + ". These are one number, and cannot be told "
        sentence += "apart from outside"
    into.add(
        first[0],
        WRONG,
        beta,
        "the effective beta: the weight of the divergence over that of -log p(x given z)",
        sentence,
        first[2],
    )
