"""What the coefficients of a reconstruction term say."""

from __future__ import annotations

from vaetheory.audit._divergence import CLOSED, RARE
from vaetheory.audit._findings import BOUND, WRONG, Findings
from vaetheory.audit._fit import Fit
from vaetheory.audit._identity import Identity
from vaetheory.audit._reconstruction import DECLARED
from vaetheory.audit._setting import Setting, power


def reconstruction(
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
    if name.endswith("of other targets"):
        return p, _other_targets(name, c, into), columns
    if name == "squared error" and setting.family == "normal":
        into.add(
            "recon.scale-unused",
            WRONG,
            weight,
            f"the coefficient of {lead} an example",
            f"the reconstruction term is {weight:.6g} {lead}: the deviation of the declared "
            "likelihood is not used",
            "use the declared density, with its deviation, or declare the one of the loss",
        )
        return p, 2 * weight, columns
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
            f"the reconstruction term is {weight:.6g} {lead} ({name}), and a density of the family "
            f"{setting.family} was declared",
            "use the declared density, or declare the one of the loss",
        ),
    )
    into.add(code, WRONG, weight, f"the coefficient of {lead} an example", sentence, change)
    # In units in which the most usual form has weight 1.
    return p, 2 * weight if "squared" in name and "^2" in lead else weight, columns


def _other_targets(name: str, c: dict[str, float], into: Findings) -> float:
    """The weight of an error of targets a x + b, which are named."""
    if name.startswith("bernoulli"):
        weight = c.get("-log p", 0.0) + c.get("-log(1-p)", 0.0)
        a, b = c.get("-x log p", 0.0) / weight, c.get("-log p", 0.0) / weight
    else:
        square = c.get("f^2/s^2", 0.0)
        weight = 2 * square
        a, b = -c.get("x f/s^2", 0.0) / weight, -c.get("f/s^2", 0.0) / weight
    into.add(
        "recon.targets",
        WRONG,
        a,
        "a, where the decoder's output is compared with a x + b",
        f"the decoder's output is compared with {a:.6g} x {b:+.6g}, and not with the data x that "
        "loss(x) was given",
        "compare with the data, or give the data as the decoder sees them",
    )
    return weight


def _columns_of(f: Fit) -> list[str]:
    return [n for n in f.coefficients if n not in (*CLOSED, *RARE, "1")]


def _own_family(name: str, c: dict[str, float], setting: Setting, into: Findings) -> float | None:
    """The weight of a term of the declared family, whose parts may not belong together."""
    if name == "normal":
        return _normal(c, setting, into)
    if name == "bernoulli":
        a, b = c.get("-x log p", 0.0), c.get("-(1-x) log(1-p)", 0.0)
        if abs(a - b) > setting.same * max(abs(a), abs(b)):
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
        if weight and log is not None and abs(log / weight - 1) > setting.same:
            _log_scale(log / weight, 1.0, "log b", into)
        return weight
    if name == "poisson":
        weight, log = c.get("rate - x log rate", 0.0), c.get("log x!", 0.0)
        if weight and abs(log / weight - 1) > setting.same:
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
    tiny = setting.same * largest
    weight = 2 * square
    scales: tuple[float, ...] = (1.0,)
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
        if all(abs(found - right) > setting.same for right in scales):
            _log_scale(found, 1.0, "log s", into)
    return weight
