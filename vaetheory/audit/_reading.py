"""What the coefficients of an equation say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vaetheory.audit import _misreadings, _weights
from vaetheory.audit._divergence_reading import divergence
from vaetheory.audit._findings import BOUND, NOTE, WRONG, Findings
from vaetheory.audit._identity import Identity
from vaetheory.audit._reconstruction import DECLARED
from vaetheory.audit._reconstruction_reading import reconstruction
from vaetheory.audit._setting import Reading, Setting, power
from vaetheory.audit._zero_mean import PREFIX


def read(identity: Identity, setting: Setting, into: Findings) -> Reading:
    """Compare an equation with the declared loss, and add what differs to `into`."""
    found = _FORMS.get(identity.form, _as_declared)(identity, setting, into)
    if found.weight_r is None:
        _no_reconstruction(into)
    elif not _capacity(found, identity, into):
        _signs(found, into)
        if identity.form not in ("free bits", "latents", "outputs"):
            _reductions(found, identity, into)
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


def _as_declared(identity: Identity, setting: Setting, into: Findings) -> Reading:
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
    for name in [n for n in made.terms if n.startswith("sampled")]:
        if abs(fits[size][name]) < 1e-9 * abs(fits[size]["KL"]):
            made.terms.pop(name)
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


def _of_parts(identity: Identity, setting: Setting, into: Findings) -> Reading:
    """Weights of each latent, or of each output."""
    latents = identity.form == "latents"
    size = max(identity.fits)
    part = "KL of latent " if latents else "R of output "
    f = identity.fits[size]
    names = [n for n in f.coefficients if n.startswith(part)]
    other = DECLARED if latents else "KL"
    p_part = power(identity.fits, max(names, key=lambda n: abs(f[n])))
    p_other = power(identity.fits, other)
    each = [f[n] * size ** (p_part or 0) for n in names]
    # The weight that most of them have.
    near = [sum(abs(a - b) <= setting.same * abs(a) for b in each) for a in each if a]
    usual = [a for a in each if a][max(range(len(near)), key=near.__getitem__)]
    whole = f[other] * size ** (p_other or 0)
    tiny = 1e-6 * abs(usual)
    odd = [j for j, a in enumerate(each) if abs(a - usual) > tiny]
    missing = [j for j in odd if abs(each[j]) <= tiny]
    what = "latents" if latents else "outputs"
    term = "divergence" if latents else "reconstruction"
    prefix = "kl.latents" if latents else "recon.outputs"
    if missing:
        into.add(
            f"{prefix}-missing",
            WRONG,
            float(len(missing)),
            f"the number of {what}, of {len(each)}, that have the weight 0",
            f"the {term} of {len(missing)} of {len(each)} {what} is not in the loss: numbers "
            f"{_listed(missing)}, counted from 0",
            f"sum the {term} over all {what}",
        )
    if len(missing) < len(odd):
        into.add(
            f"{prefix}-weights",
            WRONG,
            max((each[j] for j in odd), key=abs) / usual,
            "the largest weight of those, over the usual one",
            f"the {term} has other weights at some {what}: "
            + _listed([f"{each[j] / usual:.6g} at number {j}" for j in odd if j not in missing])
            + ", in units of that of the others, counted from 0",
            f"give all {what} one weight",
        )
    terms = {n: f[n] * size ** (p_part or 0) for n in names} | {other: whole}
    if latents:
        return Reading(whole or None, usual, p_other, p_part, None, terms)
    return Reading(usual, whole or None, p_part, p_other, None, terms)


def _listed(parts: Sequence[object]) -> str:
    return ", ".join(map(str, parts[:8])) + (", ..." if len(parts) > 8 else "")


def _capacity(found: Reading, identity: Identity, into: Findings) -> bool:
    """Whether the divergence enters as |KL - C|, or as C - KL where C is far above it."""
    if identity.form == "capacity":
        weight = found.weight_kl or 0.0
        into.add(
            "outside.capacity",
            NOTE,
            identity.amount,
            "the divergence in nats at which the loss is smallest",
            f"the loss has {weight:.6g} |KL - C| with the capacity C = {identity.amount:.6g} nats, "
            "at divergences on both sides of it: this is not the ELBO of the declared model",
            "nothing, if a capacity is meant",
        )
        return True
    r, kl, constant = found.weight_r, found.weight_kl, found.constant
    if identity.form != "declared" or r is None or kl is None or constant is None:
        return False
    if not r > 0 > kl or constant < 1e-6 * -kl:
        return False
    level = constant / -kl
    into.add(
        "outside.capacity",
        NOTE,
        level,
        "nats at which the divergence and the constant cancel",
        f"the loss has {-kl:.6g} ({level:.6g} - KL) wherever it was tried, as of "
        f"{-kl:.6g} |KL - C| with the capacity C = {level:.6g} nats: this is not the ELBO; and if "
        "no capacity is meant, the divergence has the wrong sign",
        "nothing, if a capacity is meant",
    )
    return True


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
    if name in _misreadings.EVERY:
        how = _misreadings.EVERY[name]
        into.add(
            name,
            WRONG,
            identity.residual,
            "the residual of the equation where posterior and prior are read in this way",
            how.sentence,
            how.change,
        )
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
    elif name.startswith("log s^"):
        into.add(
            "kl.guard",
            NOTE,
            identity.amount,
            "the number that is added inside the logarithm",
            f"the logarithm of the divergence has a guard, {name.replace('log ', 'log(')} + "
            f"{identity.amount:g})",
            "take log variances, which need no guard",
        )
    elif name == "zero-mean":
        fits = identity.fits[max(identity.fits)]
        size = max(abs(fits[DECLARED]), abs(fits["KL"]))
        those = [
            n.removeprefix(PREFIX)
            for n, c in fits.coefficients.items()
            if n.startswith(PREFIX) and abs(c) > 1e-8 * size
        ]
        into.add(
            "estimate.zero-mean",
            NOTE,
            float(len(those)),
            "the number of such terms",
            f"the loss has terms whose mean over the noise is 0 ({', '.join(those)}), as control "
            "variates or unequal weights of samples are: the mean is that of the other terms",
            "nothing, if they are meant",
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


#: How each form of an equation is read; the others are R and KL.
_FORMS: dict[str, Callable[[Identity, Setting, Findings], Reading]] = {
    "terms": _of_terms,
    "latents": _of_parts,
    "outputs": _of_parts,
}
