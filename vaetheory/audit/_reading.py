"""What the coefficients of an equation say."""

from __future__ import annotations

from vaetheory.audit import _weights
from vaetheory.audit._divergence_reading import divergence
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity
from vaetheory.audit._reconstruction import DECLARED
from vaetheory.audit._reconstruction_reading import reconstruction
from vaetheory.audit._setting import Reading, Setting, power


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
    p_r, weight_r, names = reconstruction(identity, setting, into)
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
    divergence(made, k, fits[size], setting, tiny, into)
    return made


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
