"""The self-contained HTML page of the audit of a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vaetheory import __version__
from vaetheory._environment import environment
from vaetheory.audit import Audit, Finding
from vaetheory.report import _plots
from vaetheory.report._frame import frame, plain_table, tiles
from vaetheory.report._markup import Markup, anchor, element, joined

#: The sign and the class of each status.
_SIGNS = {"is": ("✓", "good"), "is not": ("✗", "bad"), "undecided": ("?", "open")}
_HEADINGS = {
    "wrong": ("Wrong", "bad"),
    "bound": ("Harmless for training, but no bound", "open"),
    "note": ("Notes", "of"),
}
#: Below this share of its spread what is left of a loss is rounding, in float64.
_ROUNDING = 1e-9
#: The least share that is drawn.
_LEAST = 1e-17
_TERMS = """\
The terms of which the loss is made, with their weights, without the reduction over the batch. R is
the declared -log p(x given z), KL the declared divergence, both in nats an example. The terms
"sampled z" and "sampled e" have the mean 0. Otherwise m and v are means and log variances of the
posterior in units of the prior, z the latents, e the noise."""


def audit_page(result: Audit, *, title: str = "Audit of a loss") -> str:
    """The page of an audit: verdict, findings, coefficients, and pictures.

    The page makes no network requests, and its content security policy forbids them. All text is
    escaped.

    Parameters
    ----------
    result : Audit
    title : str

    Returns
    -------
    str
        HTML.

    Examples
    --------
    >>> html = audit_page(Audit("is", (), {"R": 1.0, "KL": 1.0}, 2e-14, 1.0, {}))
    >>> html.startswith("<!doctype html>"), "This is the ELBO of the declared model" in html
    (True, True)
    """
    sign, kind = _SIGNS[result.status]
    banner = element("p", f"{sign} {_capital(result.verdict)}", class_=f"banner {kind}")
    parts = [("findings", "Findings", _findings(result.findings))]
    if result.coefficients:
        parts.append(("coefficients", "The terms of the loss", _coefficients(result)))
    if pictures := _pictures(result):
        parts.append(("pictures", "Pictures", pictures))
    if evidence := _evidence(result.facts.get("evidence")):
        parts.append(("evidence", "Against the exact evidence", evidence))
    parts.append(("facts", "What else was measured", _facts(result.facts)))
    versions = plain_table("What the results depend on.", environment().items())
    parts.append(("environment", "Environment", versions))
    numbers = {
        "residual of the fit": f"{result.residual:.1e}",
        "effective beta": "not known" if result.beta is None else f"{result.beta:.10g}",
        "findings": ", ".join(_counted(result.findings)) or "none",
    }
    return frame(
        title, [banner, tiles(numbers.items())], parts, first="findings", version=__version__
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _counted(findings: Sequence[Finding]) -> Iterable[str]:
    for severity in _HEADINGS:
        count = sum(f.severity == severity for f in findings)
        if count:
            yield f"{count} {severity}"


def _findings(findings: Sequence[Finding]) -> Markup:
    """The findings by severity."""
    if not findings:
        return element("p", "None.")
    parts = []
    for severity, (heading, kind) in _HEADINGS.items():
        those = [f for f in findings if f.severity == severity]
        if those:
            parts += [element("h3", heading, class_=kind), *map(_finding, those)]
    return joined(*parts)


def _finding(finding: Finding) -> Markup:
    return element(
        "article",
        element("h4", finding.code, class_="label"),
        element("p", f"{_capital(finding.sentence)}."),
        element(
            "dl",
            *[
                element("div", element("dt", name), element("dd", value))
                for name, value in (
                    ("number", f"{finding.number:.10g}"),
                    ("what it is", finding.meaning),
                    ("what to change", finding.change),
                )
            ],
            class_="facts",
        ),
        id=anchor(finding.code),
    )


def _coefficients(result: Audit) -> Markup:
    rows = [(name, f"{value:.10g}") for name, value in result.coefficients.items()]
    exact = (
        f"Their sum is the loss, to {result.residual:.1e} of its spread over all parameters, data "
        "and noise that were tried."
    )
    return joined(element("p", f"{_TERMS} {exact}"), plain_table("Weights", rows))


def _pictures(result: Audit) -> Markup | None:
    """The residual of the fit, the effective beta by batch size, and the gap of each datum."""
    sizes = result.facts.get("by batch size") or ()
    evidence = result.facts.get("evidence")
    made = [_residuals(sizes), _betas(sizes), _gaps(evidence)]
    drawn = [picture for picture in made if picture is not None]
    return joined(*drawn) if drawn else None


def _figure(picture: Markup, caption: str) -> Markup:
    return element("figure", picture, element("figcaption", caption))


def _residuals(sizes: Sequence[Mapping[str, Any]]) -> Markup | None:
    shares: list[float] = []
    for at in sizes:
        losses = np.asarray(at["losses"], dtype=np.float64)
        spread = float(np.linalg.norm(losses - losses.mean())) if len(losses) else 0.0
        if spread > 0:
            shares += [abs(left) / spread for left in at["unexplained"]]
    if not shares or not np.isfinite(shares).all():
        return None
    picture = _plots.points(
        f"what is not explained, at most {max(shares):.1e} of the spread",
        list(range(1, len(shares) + 1)),
        [max(share, _LEAST) for share in shares],
        names=("evaluation of the loss", "not explained"),
        ticks=[1, len(shares)],
        log_y=True,
        y_range=(_LEAST, max(1e-6, *shares)),
        line=_ROUNDING,
    )
    return _figure(
        picture,
        "Residual of the fit: what the terms leave of each loss, as a share of the spread of the "
        "losses. Each point has parameters, data and noise of its own. Below the line it is "
        "rounding.",
    )


def _betas(sizes: Sequence[Mapping[str, Any]]) -> Markup | None:
    known = [(at["batch"], at["beta"]) for at in sizes if at["beta"] is not None]
    if not known:
        return None
    betas = [1.25 * beta for _, beta in known]
    picture = _plots.points(
        "effective beta: " + ", ".join(f"{beta:.6g} at batch size {size}" for size, beta in known),
        [size for size, _ in known],
        [beta for _, beta in known],
        names=("size of the batch", "effective beta"),
        ticks=[size for size, _ in known],
        y_range=(min(0.0, *betas), max(0.0, *betas)),
    )
    return _figure(
        picture,
        "Effective beta by batch size. It is the same at all sizes unless one term is summed over "
        "the batch and the other one averaged.",
    )


def _gaps(evidence: Any) -> Markup | None:
    gaps = evidence.get("gap_per_datum") if isinstance(evidence, Mapping) else None
    if not gaps or not np.isfinite(gaps).all():
        return None
    shown = ", ".join(f"{gap:.3g}" for gap in gaps)
    return _figure(
        _plots.bars(f"gaps of the data: {shown} nats", gaps, names=("datum", "gap in nats")),
        "Gap of each datum: the exact log evidence minus the ELBO of the encoder, in nats.",
    )


def _evidence(evidence: Any) -> Markup | None:
    """The split of the gap, with what was assumed."""
    if not isinstance(evidence, Mapping):
        return None
    if "negative_log_evidence" not in evidence:
        return element("p", f"Not computed: {evidence['not computed']}.")
    rows = [("-log p(x)", _with_error(evidence, "negative_log_evidence"))]
    if "loss" in evidence:
        rows.append(("the declared loss", _with_error(evidence, "loss")))
    for part in evidence.get("gap", ()):
        nats = f"{part['nats']:.4g} (error {part['error']:.1g}): {part['why']}"
        rows.append((part["name"], nats))
    made = [plain_table("Means over the data, in nats an example; errors are estimates.", rows)]
    if evidence.get("gains"):
        gains = [(g["change"], f"{g['text']} ({g['proposition']})") for g in evidence["gains"]]
        title = "What would gain how much with the decoder as it is, in nats an example."
        made.append(plain_table(title, gains))
    if "not computed" in evidence:
        made.append(element("p", f"Not computed: {evidence['not computed']}."))
    if "assumed" in evidence:
        made.append(element("p", f"It is assumed that {evidence['assumed']}."))
    return joined(*made)


def _with_error(evidence: Mapping[str, Any], name: str) -> str:
    return f"{evidence[name]:.10g} (error {evidence[f'{name}_error']:.1g})"


def _facts(facts: Mapping[str, Any]) -> Markup:
    """The facts that have no section of their own."""
    shown = {n: v for n, v in facts.items() if n not in ("by batch size", "evidence")}
    return plain_table("The facts of the audit; the JSON file has all of them.", shown.items())
