"""Tables of families, decoders, objectives and words, written from the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from vaetheory import decoders, likelihoods
from vaetheory._quadrature import result
from vaetheory.audit import _findings
from vaetheory.audit import _result as audits
from vaetheory.bounds import bracket
from vaetheory.checking import runner
from vaetheory.likelihoods import Likelihood
from vaetheory.training import OBJECTIVES, Objective

#: What each word of a result means, by where it comes from. A word that is missing is an error.
VERDICTS = {
    "confirmed": "on every instance drawn the residual is within the computed bound, every bound "
    "is small enough to decide, and every wrong version was refuted",
    "refuted": "on some instance, which is shown, the residual exceeds the bound",
    "inconclusive": "a bound is too loose, a number is not finite, or the check failed; no pass",
    "control survived": "the proposition held, but so did a wrong version of it: no pass",
}
INTEGRALS = {
    "reached": "the error is within the tolerance that was asked for",
    "not reached": "it is not, although the budget was not spent; the error figure says what is",
    "gave up": "the budget of evaluations was spent first, or the datum is too far out; the error "
    "figure says what was reached",
}
BRACKETS = {
    "bracketed": "both bounds hold at the stated confidence",
    "bounded below": "only the lower bound is known",
    "estimated": "a value whose error is itself an estimate, perhaps with a lower bound",
    "unresolved": "a check failed or the tolerance was not reached; `diagnostics` says which",
}
AUDITS = {
    "is": "the loss is the ELBO of the declared model, up to a constant that is named",
    "is not": "it is another objective; the findings name the terms that differ",
    "undecided": "it cannot be decided, and the verdict says why",
}
SEVERITIES = {
    "wrong": "what is minimised, sampled or reported is not what was declared",
    "bound": "harmless for training, but the value is no bound of the log evidence",
    "note": "worth knowing",
}

POSTERIORS = {
    "learned": "learned for each datum",
    "constant": "learned, the same for all data",
    "unit": "1",
}
NOISE = {
    "learned": "the decoder's outputs",
    "one": "one number, learned",
    "profile": "the mean squared residuals of the batch",
    "baggins": "of the batch, bounded (BAGGINS)",
}


def tables_page() -> str:
    """The page with all tables."""
    parts = [
        "# Tables: families, decoders, objectives, words",
        "These tables are written from the code when the pages are built. "
        "[The glossary](../glossary.md) explains the terms. Go to "
        "[families](#families-of-likelihoods), [decoders](#decoders), "
        "[objectives](#training-objectives), [words](#words).",
        "## Families of likelihoods",
        "The decoder returns the *parameter*, one number for each data dimension unless the "
        "table says otherwise. *Metric* says whether the family has a Fisher information, and so "
        "a geometry ([derived here](../metrics.md)).",
        families(),
        "The last column says how `log_evidence` works. [Quadrature](../evidence.md) bounds the "
        "mass of each cell by tangents; where the log density is not concave in the parameter, it "
        "needs the greatest second derivative as well, which the family states. "
        "[A finite sum](../piecewise-linear.md) is used for networks of ReLUs with one or two "
        "latents. A family whose support moves with the parameter has no exact evidence. Beyond "
        "four latents there are [brackets](../high-dimensions.md) and "
        "[estimates](../evidence-estimates.md).",
        "## Decoders",
        "Any function written with `autograd.numpy` is a decoder as well, and so are modules of "
        "[PyTorch](../pytorch.md) and [JAX](../flax.md). "
        "[Networks of scikit-learn](../scikit-learn.md) are decoders by `from_mlp`.",
        decoder_classes(),
        "## Training objectives",
        "Those that [the experiment](../half-network.md) compares: "
        "`vaetheory experiment half-network`. The last column has the numbers of outputs of "
        "encoder and decoder.",
        objectives(),
        "## Words",
        "Of a proposition, printed by `vaetheory verify` ([more](../numerics.md)):",
        words("verdict", runner.VERDICTS, VERDICTS),
        "Of an evidence by quadrature, `log_evidence(...).status`:",
        words("status", (result.REACHED, result.NOT_REACHED, result.GAVE_UP), INTEGRALS),
        "Of an evidence by sampling, `evidence_bracket(...).status` and "
        "`evidence_estimate(...).status`:",
        words("status", bracket.STATUSES, BRACKETS),
        "Of a loss, `audit(...).status`, and the severity of each finding ([more](../audit.md)):",
        words("status", (audits.IS, audits.IS_NOT, audits.UNDECIDED), AUDITS),
        words("severity", _findings.SEVERITIES, SEVERITIES),
    ]
    return "\n\n".join(parts) + "\n"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def families() -> str:
    """The families of likelihoods: what data they take, and what their decoder returns."""
    own = [likelihoods.__dict__[name] for name in likelihoods.__all__]
    rows = [
        (
            linked("vaetheory.likelihoods", family.__name__),
            family.support.value if family.support else "",
            family.parameter
            + (f" ({family.params_each} numbers)" if family.params_each > 1 else ""),
            "no" if family.no_metric else "yes",
            road(family),
        )
        for family in own
        if inspect.isclass(family)
        and issubclass(family, Likelihood)
        and not inspect.isabstract(family)
    ]
    return table(("family", "data", "parameter", "metric", "exact evidence"), rows)


def road(family: type[Likelihood]) -> str:
    """How the evidence of a family is computed."""
    if not family.fixed_support:
        return "none"
    if family.gaussian:
        return "quadrature, or a finite sum"
    if family.concave:
        return "quadrature"
    return "quadrature, with second derivatives"


def decoder_classes() -> str:
    """The decoders, with the first sentence of what their docstrings say."""
    rows = []
    for name in decoders.__all__:
        made = decoders.__dict__[name]
        told = (inspect.getdoc(made) or "").splitlines()[0]
        if inspect.isclass(made) and issubclass(made, decoders.Decoder) and name != "Decoder":
            rows.append((linked("vaetheory.decoders", name), escaped(told)))
    return table(("decoder", "what it is"), rows)


def objectives() -> str:
    """The training objectives, by their parts."""
    rows = [
        (
            f"`{name}`",
            escaped(objective.title),
            POSTERIORS[objective.posterior],
            "floating" if objective.floating else "N(0, I)",
            NOISE[objective.likelihood],
            outputs(objective),
        )
        for name, objective in OBJECTIVES.items()
    ]
    header = ("name", "objective", "posterior variances", "prior", "noise variance", "outputs")
    return table(header, rows)


def outputs(objective: Objective) -> str:
    """The numbers of outputs of encoder and decoder."""
    encoder, decoder = objective.outputs(latent_dim=1, data_dim=1)
    return f"{encoder}d, {decoder}D".replace("1d", "d").replace("1D", "D")


def words(title: str, known: Iterable[str], meaning: dict[str, str]) -> str:
    """A table of the words that a result may have."""
    return table((title, "meaning"), [(f"`{word}`", meaning[word]) for word in known])


def linked(module: str, name: str) -> str:
    """A link to a name of the reference."""
    return f"[{name}]({module}.{name}.rst)"


def escaped(text: str) -> str:
    """A sentence of a docstring, with Markdown's characters escaped."""
    return re.sub(r"([*_|<>\[\]^$])", r"\\\1", text.replace("`", ""))
