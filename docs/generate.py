"""Pages made from the registry: one a claim, what rests on what, and every public name.

`conf.py` calls `write_all`; nothing that is written here is kept under version control.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from vaetheory import CLAIMS
from vaetheory._numbers_as_text import apart, margin
from vaetheory.checking.claim import Claim, Proposition
from vaetheory.figures import registry
from vaetheory.report import read_document
from vaetheory.report._detail import resolution
from vaetheory.report._entries import Entry, entries, ratio
from vaetheory.report._graph import Node, dependency_graph
from vaetheory.report._markup import anchor
from vaetheory.report._notation import unicode
from vaetheory.report.mathematics import lines

#: What each kind of proposition says, for a reader who meets it for the first time.
KINDS = {
    "identity": "an identity: both sides are computed by routes of their own and agree up to the "
    "computed error",
    "inequality": "an inequality: no instance may miss it by more than the computed error",
    "rate": "a rate: exponent and coefficient are extrapolated from a ladder of scales, each with "
    "an interval",
    "statistical": "a statement about samples, at a stated level that is corrected for the number "
    "of tests",
    "counterexample": "a counterexample: here the literal reading of the claim fails, by this much",
}

#: Modules of the reference, with what they are for; the rest is private.
MODULES = {
    "vaetheory": "Models, evidences, bounds and verification",
    "vaetheory.likelihoods": "Likelihoods",
    "vaetheory.decoders": "Decoders",
    "vaetheory.geometry": "Geometry",
    "vaetheory.bounds.gaussian_elbo": "The ELBO",
    "vaetheory.encoders": "Encoders and posteriors",
    "vaetheory.evidence": "Exact log evidence",
    "vaetheory._quadrature": "Results of quadrature",
    "vaetheory.bounds.stationary": "Stationary posteriors",
    "vaetheory.optimal_decoder": "The optimal decoder",
    "vaetheory.hessian_estimators": "Estimators of a decoder's Hessian",
    "vaetheory.constant_variance": "What constant variances cost",
    "vaetheory.bounds": "Objectives",
    "vaetheory.torch": "PyTorch",
    "vaetheory.flows": "Flows",
    "vaetheory.jets": "Taylor series of decoders",
    "vaetheory.stability": "Stable steps",
    "vaetheory.training": "Training",
    "vaetheory.certify": "Certificates",
    "vaetheory.derivatives": "Derivatives",
    "vaetheory.differences": "Differences of log densities",
    "vaetheory.rounding": "Bounds of rounding",
    "vaetheory.checking.claim": "What a claim is",
    "vaetheory.checking.runner": "Running claims",
    "vaetheory.checking.strategies": "Strategies that draw instances",
    "vaetheory.checking.rates": "Checks of rates",
    "vaetheory.report": "Reports",
    "vaetheory.report.text": "Reports as text",
    "vaetheory.report.junit": "Reports as JUnit's XML",
    "vaetheory.report.page": "Reports as a page",
    "vaetheory.report.mathematics": "Formulas",
    "vaetheory.figures.registry": "Figures",
}


def write_all(docs: Path) -> None:
    """Write the generated pages into `docs`, replacing what an earlier build left."""
    for folder in ("claims", "api"):
        shutil.rmtree(docs / folder, ignore_errors=True)
        (docs / folder).mkdir()
    document = read_document(docs / "results.json")
    found = {entry.label: entry for entry in entries(document)}
    told = (
        f"profile {document['profile']}, seed {document['seed']}, "
        f"vaetheory {document['environment']['vaetheory']}, "
        f"NumPy {document['environment']['numpy']}, Python {document['environment']['python']}"
    )
    for claim in CLAIMS:
        page = claim_page(claim, found, told, docs)
        (docs / "claims" / f"{claim.label}.md").write_text(page, encoding="utf-8")
    for name in ("overview", *(claim.label for claim in CLAIMS)):
        for path in (docs.parent / "figures").glob(f"{name}.*"):
            shutil.copy(path, docs / "claims")
    (docs / "claims" / "index.md").write_text(index_page(found, told, docs), encoding="utf-8")
    (docs / "api" / "index.md").write_text(reference_page(), encoding="utf-8")


def plain(text: str) -> str:
    """Words of the registry: notation in Unicode, what Markdown would read as markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|$~^])", r"\\\1", unicode(text))


def links(labels: Sequence[str]) -> str:
    """Links to propositions."""
    return ", ".join(f"[{label}](#{anchor(label)})" for label in labels) or "nothing else"


def sections(path: Path) -> dict[str, str]:
    """What stands under each `## heading` of a Markdown file, by heading."""
    if not path.is_file():
        return {}
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading.strip(): body.strip()
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def preface(docs: Path, claim: Claim) -> str:
    """What a claim's derivations say before the first proposition: notation, what is at stake."""
    path = docs / "derivations" / f"{claim.label}.md"
    if not path.is_file():
        return ""
    before = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    return re.sub(r"^# .+$", "", before, flags=re.MULTILINE).strip()


def derivations(docs: Path, claim: Claim) -> dict[str, str]:
    """The derivation of each proposition of a claim that has one, by label."""
    found = sections(docs / "derivations" / f"{claim.label}.md")
    return {heading.split(":")[0].split()[0]: body for heading, body in found.items()}


def corrections(docs: Path, claim: Claim) -> dict[str, str]:
    """The sections of `corrections.md` that speak of a claim, by heading."""
    wanted = claim.number
    return {
        heading: body
        for heading, body in sections(docs / "corrections.md").items()
        if wanted in [int(n) for n in re.findall(r"\b(\d+)[a-z]", heading.split(":")[0])]
    }


def nested(text: str) -> str:
    """Markdown with its headings below those of the page that takes it in."""
    return re.sub(r"^(#{3,4}) ", r"##\1 ", text, flags=re.MULTILINE)


def nodes(claim: Claim | None = None) -> list[Node]:
    """Propositions for a graph: all, or those of a claim, what they use and what uses them."""
    everything = [(c, p) for c in CLAIMS for p in c.propositions]
    chosen = everything
    if claim is not None:
        own = {p.label for p in claim.propositions}
        used = {label for p in claim.propositions for label in p.uses}
        chosen = [(c, p) for c, p in everything if p.label in own | used or own & set(p.uses)]
    return [
        Node(
            label=p.label,
            title=unicode(p.title),
            lane=f"{c.number} {c.label}",
            uses=p.uses,
            href=f"{c.label}.html#{anchor(p.label)}",
            style="good" if claim is None or c is claim else "elsewhere",
        )
        for c, p in chosen
    ]


def graph(claim: Claim | None, title: str) -> str:
    """The graph of what rests on what, as HTML within Markdown."""
    svg = dependency_graph(nodes(claim), title=title)
    return (
        f'<div class="graph" tabindex="0" role="region" aria-label="{title}">{svg}</div>'.replace(
            "\n", " "
        )
    )


def claim_page(claim: Claim, found: dict[str, Entry], told: str, docs: Path) -> str:
    """The page of a claim."""
    written, fails = derivations(docs, claim), corrections(docs, claim)
    against = [p for p in claim.propositions if p.kind == "counterexample"]
    rows = ["| label | what is claimed | last result |", "| --- | --- | --- |"]
    for p in claim.propositions:
        entry = found.get(p.label)
        # A sign and its word are held together by spaces that do not break.
        verdict = f"{'✓' if entry.confirmed else '✗'} {entry.verdict}" if entry else "not run yet"
        rows.append(
            f"| [{p.label}](#{anchor(p.label)}) | {plain(p.title)} *({p.kind})* "
            f"| {verdict.replace(' ', '&nbsp;') if entry else verdict} |"
        )
    out = [
        f"# {claim.number}. {plain(claim.title)}",
        f"`{claim.label}` · source: {plain(claim.source)} ([what that means](../sources.md))",
        "\n".join(rows),
    ]
    out.append(certainty(claim, found, told))
    out.append("[Where it fails](#where-it-fails): what is not true without the hypotheses.")
    if claim.label in registry.FIGURES:
        out.append(figure(claim.label, docs))
    out.append(nested(preface(docs, claim)))
    out.append("## What rests on what")
    out.append(graph(claim, f"What claim {claim.number} rests on, and what rests on it"))
    out.append(
        "An arrow leads from a proposition to one that builds on it; those of other claims are "
        "dashed. [All claims in one picture](index.md)."
    )
    for p in claim.propositions:
        out.append(proposition_section(claim, p, found.get(p.label), written.get(p.label)))
    out.append("## Where it fails")
    if not against and not fails:
        out.append(
            "No counterexample is kept for this claim. Outside the hypotheses that each "
            "proposition names nothing is claimed; its wrong versions show which of its terms are "
            "needed."
        )
    for p in against:
        out.append(f"- {links([p.label])}: {plain(p.title)}.")
    for heading, body in fails.items():
        out += [f"### {heading}", nested(body)]
    return "\n\n".join(out) + "\n"


def certainty(claim: Claim, found: dict[str, Entry], told: str) -> str:
    """How sure we are of a claim, at a glance, and of what kind the certainty is."""
    here = [found[p.label] for p in claim.propositions if p.label in found]
    return (
        f"{sum(e.confirmed for e in here)} of {len(claim.propositions)} propositions are confirmed "
        f"and {sum(e.refuted for e in here)} of {sum(len(p.controls) for p in claim.propositions)} "
        f"wrong versions refuted on {sum(e.instances for e in here)} instances ({told}). That is "
        "evidence in floating point with [computed errors](../numerics.md); proofs are the "
        "derivations under *Why*, and [some instances are certified](../certificates.md). "
        f"`vaetheory verify {claim.label}` runs it anew."
    )


def figure(name: str, docs: Path) -> str:
    """A figure with its caption and its numbers, or an honest sentence where it is not drawn."""
    if not (docs.parent / "figures" / f"{name}.png").is_file():
        return f"*The figure is not drawn yet: `vaetheory figures {name}`.*"
    text = registry.caption(name)
    return (
        f":::{{figure}} {name}.png\n:alt: {text}\n\n{plain(text)} "
        f"The plotted numbers: {{download}}`{name}.csv`.\n:::"
    )


def proposition_section(
    claim: Claim, p: Proposition, entry: Entry | None, derivation: str | None
) -> str:
    """What is claimed, when, how sure we are, and why it holds."""
    out = [
        f"({anchor(p.label)})=\n## {p.label}: {plain(p.title)}",
        *[f"```{{math}}\n{tex}\n```" for tex in lines(p.statement)],
        "**It holds if**",
        "\n".join(f"- {plain(name)}: ${tex}$" for name, tex in p.hypotheses),
    ]
    users = [q.label for c in CLAIMS for q in c.propositions if p.label in q.uses]
    out.append(
        f"This is {KINDS[p.kind]}. It rests on {links(p.uses)}; "
        f"on it {'rest' if len(users) > 1 else 'rests'} {links(users)}."
    )
    out.append("**How sure we are**")
    out.append(sureness(p, entry))
    out.append("**Why**")
    out.append(
        nested(derivation)
        if derivation
        else f"*The derivation of {p.label} is not written down here yet; what is checked is the "
        f"statement above, by `vaetheory verify {p.label}`.*"
    )
    return "\n\n".join(out)


def sureness(p: Proposition, entry: Entry | None) -> str:
    """The last result, and what became of the wrong versions."""
    if entry is None:
        names = "; ".join(plain(c.name) for c in p.controls)
        return f"Not in the last results. Wrong versions that must be refuted: {names}."
    allowed = " + ".join(f"{name.replace('_', ' ')} {v:.1e}" for name, v in entry.terms.items())
    if not allowed and not entry.bound:
        allowed = "what is compared is exact"
    residual, bound = apart(entry.residual, entry.bound, digits=2)
    out = [
        f"**{entry.verdict}** on {entry.instances} instances. On the worst of them the residual "
        f"was {residual}, where the computed errors allow {bound} ({plain(allowed)}): a margin of "
        f"{margin(entry.margin)}, refuted above 1. The check is sharp enough to decide: "
        f"{resolution(p.resolution)}."
    ]
    out += [f"Found: {plain(finding)}" for finding in entry.findings]
    rows = ["| wrong version | refuted | residual over bound |", "| --- | --- | --- |"]
    for control in entry.controls:
        times = ratio(control.residual, control.bound)
        told = "yes" if control.refuted else "**no**"
        rows.append(f"| {plain(control.name)} | {told} | {times:.1e} |")
    out.append("The same check of wrong versions; each is refuted above 1, the further the surer.")
    return "\n\n".join([*out, "\n".join(rows)])


def index_page(found: dict[str, Entry], told: str, docs: Path) -> str:
    """All claims, and what rests on what."""
    total = sum(len(c.propositions) for c in CLAIMS)
    good = sum(e.confirmed for e in found.values())
    out = [
        "# Claims",
        f"{len(CLAIMS)} claims in {total} propositions. In the last results {good} of {len(found)} "
        f"are confirmed and {sum(e.refuted for e in found.values())} of "
        f"{sum(len(e.controls) for e in found.values())} wrong versions refuted ({told}).",
    ]
    rows = ["| claim | counterexamples |", "| --- | --- |"]
    for claim in CLAIMS:
        against = [p.label for p in claim.propositions if p.kind == "counterexample"]
        rows.append(
            f"| [{claim.number}. {plain(claim.title)}]({claim.label}.md), "
            f"{len(claim.propositions)} propositions | {links(against) if against else ''} |"
        )
    out.append("\n".join(rows))
    out.append(figure("overview", docs))
    out.append("## What rests on what")
    out.append(graph(None, "Which proposition rests on which"))
    out.append("An arrow leads from a proposition to one that builds on it. Each is a link.")
    rows = ["| proposition | rests on |", "| --- | --- |"]
    for claim in CLAIMS:
        rows += [f"| {links([p.label])} | {links(p.uses)} |" for p in claim.propositions]
    table = "\n".join(rows)
    out.append(f"<details><summary>The same as a table</summary>\n\n{table}\n\n</details>")
    pages = "\n".join(claim.label for claim in CLAIMS)
    if (docs / "metrics.md").is_file():
        out.insert(2, "[How each family's metric is derived](../metrics.md).")
        pages += "\n../metrics"
    out.append(f"```{{toctree}}\n:hidden:\n\n{pages}\n```")
    return "\n\n".join(out) + "\n"


def public(module: ModuleType) -> list[str]:
    """The classes and functions of a module's own that have no underscore."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    kept = [
        name
        for name in names
        if inspect.isclass(getattr(module, name)) or inspect.isroutine(getattr(module, name))
    ]
    return sorted(kept, key=lambda name: (not inspect.isclass(getattr(module, name)), name))


def missing_frameworks() -> list[str]:
    """Frameworks that are not here, of which the reference has the bridges all the same."""
    return [name for name in ("torch",) if find_spec(name) is None]


def imported(name: str) -> ModuleType:
    """A module, with stand-ins for the frameworks that are missing."""
    missing = missing_frameworks()
    if name.rpartition(".")[2] not in missing:
        return import_module(name)
    from sphinx.ext.autodoc.mock import mock

    with mock(missing):
        return import_module(name)


def reference_page() -> str:
    """Every public name, by module; a name stands where it is meant to be imported from."""
    out = ["# Reference", "Errors are `ValueError`s that say what was expected and what came."]
    seen: set[int] = set()
    for name, title in MODULES.items():
        module = imported(name)
        fresh = [n for n in public(module) if id(getattr(module, n)) not in seen]
        seen |= {id(getattr(module, n)) for n in fresh}
        if not fresh:
            continue
        listed = "\n".join(f"   {n}" for n in fresh)
        out += [
            f"## {title}",
            f"`{name}`",
            f"```{{eval-rst}}\n.. currentmodule:: {name}\n\n.. autosummary::\n   :toctree: .\n"
            f"   :nosignatures:\n\n{listed}\n```",
        ]
    return "\n\n".join(out) + "\n"
