"""Generation of pages from the registry: a page for each claim, an index, and the reference.

`conf.py` calls `write_all`; the generated pages are not under version control.
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

from tables import tables_page

from vaetheory import CLAIMS
from vaetheory._numbers_as_text import distinct_texts, margin
from vaetheory.checking.claim import Claim, Proposition
from vaetheory.figures import registry
from vaetheory.report import read_document
from vaetheory.report._detail import resolution
from vaetheory.report._entries import Entry, entries, ratio
from vaetheory.report._graph import Node, dependency_graph
from vaetheory.report._markup import anchor
from vaetheory.report._notation import unicode
from vaetheory.report.mathematics import lines

#: An explanation of each kind of proposition, for readers who do not know it.
KINDS = {
    "identity": "an identity: its two sides are computed by different methods and agree up to the "
    "computed error",
    "inequality": "an inequality: no instance may violate it by more than the computed error",
    "rate": "a rate: its exponent and coefficient are extrapolated from several scales, each with "
    "an interval",
    "statistical": "a statement about samples, at a stated level that is corrected for the number "
    "of tests",
    "counterexample": "a counterexample: it measures how much the literal reading of the claim "
    "fails",
}

#: Modules of the reference and their titles; all others are private.
MODULES = {
    "vaetheory": "Models, evidences, bounds and verification",
    "vaetheory.likelihoods": "Likelihoods",
    "vaetheory.likelihoods.table": "Tables of log likelihoods for the evidence engine",
    "vaetheory.decoders": "Decoders",
    "vaetheory.geometry": "Geometry",
    "vaetheory.encoders": "Gaussian posteriors",
    "vaetheory.evidence": "Exact log evidence",
    "vaetheory.bounds": "Bounds: the ELBO, stationary posteriors, BILBO and BAGGINS",
    "vaetheory.scores": "Scores, informations, denoisers and natural gradients",
    "vaetheory.optimal_decoder": "The optimal decoder",
    "vaetheory.hessian_estimators": "Estimators of a decoder's Hessian",
    "vaetheory.identifiability": "What densities say about latents and decoders",
    "vaetheory.constant_variance": "What constant variances cost",
    "vaetheory.torch": "PyTorch",
    "vaetheory.jax": "JAX",
    "vaetheory.audit": "Is this loss the ELBO?",
    "vaetheory.flows": "Flows",
    "vaetheory.testing": "Laws for families, decoders and flows of your own",
    "vaetheory.jets": "Taylor series of decoders",
    "vaetheory.stability": "Stable steps",
    "vaetheory.training": "Training",
    "vaetheory.training.pictures": "Pictures of trained VAEs",
    "vaetheory.certify": "Certificates",
    "vaetheory.derivatives": "Derivatives",
    "vaetheory.differences": "Differences of log densities",
    "vaetheory.rounding": "Bounds of rounding",
    "vaetheory.concentration": "How far the mean of a sample may be off",
    "vaetheory.checking": "What a claim is",
    "vaetheory.checking.runner": "Running claims",
    "vaetheory.checking.strategies": "Strategies that draw instances",
    "vaetheory.checking.rates": "Checks of rates",
    "vaetheory.checking.lattice": "Integrals by lattices",
    "vaetheory.checking.scenes": "Models that instances draw",
    "vaetheory.checking.linear_models": "Linear models that instances draw",
    "vaetheory.checking.varying_metric": "Decoders whose metric varies",
    "vaetheory.checking.block_products": "Models of many latents whose evidence is exact",
    "vaetheory.checking.batches": "Batches encoded with shared deviations",
    "vaetheory.checking.decomposition": "The log evidence as ELBO plus divergence",
    "vaetheory.checking.digits": "Images of digits",
    "vaetheory.checking.digit_models": "Models fitted to the digits",
    "vaetheory.report": "Reports",
    "vaetheory.report.text": "Reports as text",
    "vaetheory.report.junit": "Reports as JUnit's XML",
    "vaetheory.report.audit_page": "The HTML page of an audit",
    "vaetheory.report.audit_junit": "An audit as JUnit XML",
    "vaetheory.report.page": "Reports as a page",
    "vaetheory.report.mathematics": "Formulas",
    "vaetheory.figures.registry": "Figures",
}


#: The parts of the book: their titles, what they are, and the numbers of their claims.
PARTS = (
    (
        "The paper",
        "What the abstract of [one paper](https://arxiv.org/abs/1912.10309) says, statement by "
        "statement.",
        range(1, 12),
    ),
    (
        "The field",
        "Theorems of other papers that are used daily, with the conditions under which they hold.",
        range(12, 100),
    ),
    ("The instrument", "What all of it is measured with.", range(1)),
)


def write_all(docs: Path) -> None:
    """Write the generated pages into `docs`, replacing those of an earlier build."""
    for folder in ("claims", "api"):
        shutil.rmtree(docs / folder, ignore_errors=True)
        (docs / folder).mkdir()
    document = read_document(docs / "results.json")
    results = {entry.label: entry for entry in entries(document)}
    settings = (
        f"profile {document['profile']}, seed {document['seed']}, "
        f"vaetheory {document['environment']['vaetheory']}, "
        f"NumPy {document['environment']['numpy']}, Python {document['environment']['python']}"
    )
    for claim in CLAIMS:
        page = claim_page(claim, results, settings, docs)
        (docs / "claims" / f"{claim.label}.md").write_text(page, encoding="utf-8")
    for name in ("overview", *(claim.label for claim in CLAIMS)):
        for path in (docs.parent / "figures").glob(f"{name}.*"):
            shutil.copy(path, docs / "claims")
    index = index_page(results, settings, docs)
    (docs / "claims" / "index.md").write_text(index, encoding="utf-8")
    (docs / "claims" / "pictures.md").write_text(pictures_page(docs), encoding="utf-8")
    (docs / "api" / "tables.md").write_text(tables_page(), encoding="utf-8")
    (docs / "api" / "index.md").write_text(reference_page(), encoding="utf-8")


def plain(text: str) -> str:
    """A text of the registry with Unicode notation and with Markdown's characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|$~^])", r"\\\1", unicode(text))


def links(labels: Sequence[str]) -> str:
    """Links to propositions."""
    return ", ".join(f"[{label}](#{anchor(label)})" for label in labels) or "no other proposition"


def sections(path: Path) -> dict[str, str]:
    """The text under each `## heading` of a Markdown file, by heading."""
    if not path.is_file():
        return {}
    parts = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        heading.strip(): body.strip()
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def preface(docs: Path, claim: Claim) -> str:
    """The text before the first proposition in a claim's derivations, such as notation."""
    path = docs / "derivations" / f"{claim.label}.md"
    if not path.is_file():
        return ""
    before = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    return re.sub(r"^# .+$", "", before, flags=re.MULTILINE).strip()


def derivations(docs: Path, claim: Claim) -> dict[str, str]:
    """The derivations of a claim's propositions, by label."""
    written = sections(docs / "derivations" / f"{claim.label}.md")
    return {heading.split(":")[0].split()[0]: body for heading, body in written.items()}


def corrections(docs: Path, claim: Claim) -> dict[str, str]:
    """The sections of `corrections.md` about a claim, by heading."""
    own = claim.number
    return {
        heading: body
        for heading, body in sections(docs / "corrections.md").items()
        if own in [int(n) for n in re.findall(r"\b(\d+)[a-z]", heading.split(":")[0])]
    }


def nested(text: str) -> str:
    """Markdown with its headings at a lower level, for inclusion in a page."""
    return re.sub(r"^(#{3,4}) ", r"##\1 ", text, flags=re.MULTILINE)


def nodes(claim: Claim | None = None) -> list[Node]:
    """Nodes of a graph: all propositions, or those of a claim, those they use, and their users."""
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
    """The graph of dependencies, as HTML in Markdown."""
    svg = dependency_graph(nodes(claim), title=title)
    return (
        f'<div class="graph" tabindex="0" role="region" aria-label="{title}">{svg}</div>'.replace(
            "\n", " "
        )
    )


def claim_page(claim: Claim, results: dict[str, Entry], settings: str, docs: Path) -> str:
    """The page of a claim."""
    written, fails = derivations(docs, claim), corrections(docs, claim)
    against = [p for p in claim.propositions if p.kind == "counterexample"]
    rows = ["| label | what is claimed | last result |", "| --- | --- | --- |"]
    for p in claim.propositions:
        entry = results.get(p.label)
        # No-break spaces keep a sign and its word together.
        verdict = f"{'✓' if entry.confirmed else '✗'} {entry.verdict}" if entry else "not run yet"
        rows.append(
            f"| [{p.label}](#{anchor(p.label)}) | {plain(p.title)} *({p.kind})* "
            f"| {verdict.replace(' ', '&nbsp;') if entry else verdict} |"
        )
    parts = [
        f"# {claim.number}. {plain(claim.title)}",
        f"`{claim.label}` · source: {plain(claim.source)} ([what that means](../sources.md))",
    ]
    drawn, notation = claim.label in registry.FIGURES, nested(preface(docs, claim))
    parts.append(summary(claim, drawn=drawn, notation=bool(notation)))
    parts += ["## What is claimed", "\n".join(rows)]
    parts += ["## The last run", certainty(claim, results, settings)]
    if drawn:
        parts += ["## Picture", figure(claim.label, docs)]
    if notation:
        parts += ["## Setting", notation]
    parts.append("## Dependencies")
    parts.append(graph(claim, f"Dependencies of claim {claim.number}"))
    parts.append(
        "An arrow leads from a proposition to one that builds on it; propositions of other claims "
        "are dashed. [All claims in one picture](index.md)."
    )
    for p in claim.propositions:
        parts.append(proposition_section(claim, p, results.get(p.label), written.get(p.label)))
    parts.append("## Where it fails")
    if not against and not fails:
        parts.append(
            "This claim has no counterexample. A proposition claims nothing outside its "
            "hypotheses; its wrong versions show which of its terms are necessary."
        )
    for p in against:
        parts.append(f"- {links([p.label])}: {plain(p.title)}.")
    for heading, body in fails.items():
        parts += [f"### {heading}", nested(body)]
    return "\n\n".join(parts) + "\n"


def summary(claim: Claim, *, drawn: bool, notation: bool) -> str:
    """What stands on the page of a claim, with links to its parts."""
    against = [p.label for p in claim.propositions if p.kind == "counterexample"]
    controls = sum(len(p.controls) for p in claim.propositions)
    told = [
        f"- [Propositions](#what-is-claimed): {len(claim.propositions)}. Each has a section with "
        "its statement, its conditions, its derivation and the last result. The check must also "
        f"refute its wrong versions, {controls} in all ([the last run](#the-last-run))."
    ]
    if drawn:
        told.append(f"- [Picture](#picture): {plain(registry.caption(claim.label))}")
    if notation:
        told.append("- [Setting](#setting): what the symbols mean.")
    told.append("- [Dependencies](#dependencies): which proposition builds on which.")
    told.append(
        "- [Where it fails](#where-it-fails): what is false without the conditions"
        + (f"; counterexamples: {links(against)}." if against else ".")
    )
    return "\n".join([f"**In short.** {plain(claim.says)}", "", *told])


def certainty(claim: Claim, results: dict[str, Entry], settings: str) -> str:
    """How sure we are of a claim, and of what kind the evidence is."""
    here = [results[p.label] for p in claim.propositions if p.label in results]
    return (
        f"{sum(e.confirmed for e in here)} of {len(claim.propositions)} propositions are confirmed "
        f"and {sum(e.refuted for e in here)} of {sum(len(p.controls) for p in claim.propositions)} "
        f"wrong versions refuted on {sum(e.instances for e in here)} instances ({settings}). This "
        "is evidence in floating point with [computed errors](../numerics.md). The proofs are the "
        "derivations under *Why*, and [some instances are certified](../certificates.md). "
        f"`vaetheory verify {claim.label}` repeats the run."
    )


def figure(name: str, docs: Path) -> str:
    """A figure with its caption and its numbers, or a sentence that says that it is missing."""
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
    """The statement of a proposition, its hypotheses, the last result and the derivation."""
    parts = [
        f"({anchor(p.label)})=\n## {p.label}: {plain(p.title)}",
        *[f"```{{math}}\n{tex}\n```" for tex in lines(p.statement)],
        "**It holds if**",
        "\n".join(f"- {plain(name)}: ${tex}$" for name, tex in p.hypotheses),
    ]
    users = [q.label for c in CLAIMS for q in c.propositions if p.label in q.uses]
    used_by = f"{links(users)} {'use' if len(users) > 1 else 'uses'} it" if users else (
        "no other proposition uses it"
    )  # fmt: skip
    parts.append(f"This is {KINDS[p.kind]}. It uses {links(p.uses)}; {used_by}.")
    parts.append("**How sure we are**")
    parts.append(sureness(p, entry))
    parts.append("**Why**")
    parts.append(
        nested(derivation)
        if derivation
        else f"*The derivation of {p.label} is not written yet; "
        f"`vaetheory verify {p.label}` checks the statement above.*"
    )
    return "\n\n".join(parts)


def sureness(p: Proposition, entry: Entry | None) -> str:
    """The last result of a proposition and of its wrong versions."""
    if entry is None:
        names = "; ".join(plain(c.name) for c in p.controls)
        return f"Not in the last results. Wrong versions that must be refuted: {names}."
    allowed = " + ".join(f"{name.replace('_', ' ')} {v:.1e}" for name, v in entry.terms.items())
    if not allowed and not entry.bound:
        allowed = "what is compared is exact"
    residual, bound = distinct_texts(entry.residual, entry.bound, digits=2)
    parts = [
        f"**{entry.verdict}** on {entry.instances} instances. On the worst of them the residual "
        f"was {residual}, and the computed errors allow {bound} ({plain(allowed)}): a margin of "
        f"{margin(entry.margin)}, where a margin above 1 would refute it. The check is sharp "
        f"enough to decide: {resolution(p.resolution)}."
    ]
    parts += [f"Finding: {plain(finding)}" for finding in entry.findings]
    rows = ["| wrong version | refuted | residual over bound |", "| --- | --- | --- |"]
    for control in entry.controls:
        times = ratio(control.residual, control.bound)
        refuted = "yes" if control.refuted else "**no**"
        rows.append(f"| {plain(control.name)} | {refuted} | {times:.1e} |")
    parts.append(
        "The same check was run on wrong versions. A version is refuted if its residual over bound "
        "is above 1; the larger it is, the clearer the refutation."
    )
    return "\n\n".join([*parts, "\n".join(rows)])


def part_of(claim: Claim) -> str:
    """The title of the part of the book in which a claim stands."""
    return next(title for title, _, numbers in PARTS if claim.number in numbers)


def contents() -> str:
    """Links to the parts of the book, as they stand on a page with all of them."""
    titles = [title.lower() for title, _, _ in PARTS]
    return "Go to " + ", ".join(f"[{title}](#{title.replace(' ', '-')})" for title in titles)


def pictures_page(docs: Path) -> str:
    """The page with the figure of each claim, and the sentence that it shows."""
    parts = [
        "# Pictures",
        "One figure for each claim. A figure leads to its full size, and its title to the page of "
        "the claim. `vaetheory figures` draws them again and writes their numbers.",
        f"{contents()}.",
    ]
    for title, _, _ in PARTS:
        cards = [
            f":::{{container}} door\n"
            f"**[{claim.number}. {plain(claim.title)}]({claim.label}.md)**\n\n"
            f"{plain(claim.says)}\n\n"
            f"![{registry.caption(claim.label)}]({claim.label}.png)\n:::"
            for claim in CLAIMS
            if part_of(claim) == title and (docs / "claims" / f"{claim.label}.png").is_file()
        ]
        if cards:
            inside = "\n\n".join(cards)
            parts += [f"## {title}", f"::::{{container}} doors\n{inside}\n::::"]
    return "\n\n".join(parts) + "\n"


def index_page(results: dict[str, Entry], settings: str, docs: Path) -> str:
    """The page with all claims and their dependencies."""
    total = sum(len(c.propositions) for c in CLAIMS)
    good = sum(e.confirmed for e in results.values())
    parts = [
        "# Claims",
        f"{len(CLAIMS)} claims with {total} propositions. In the last results {good} of "
        f"{len(results)} are confirmed and {sum(e.refuted for e in results.values())} of "
        f"{sum(len(e.controls) for e in results.values())} wrong versions refuted ({settings}).",
        f"{contents()}, [how they depend on each other](#dependencies), "
        "[the picture of each](pictures.md), [the metric of each family](../metrics.md).",
    ]
    for title, what, _ in PARTS:
        rows = ["| claim | what it says | counterexamples |", "| --- | --- | --- |"]
        for claim in (c for c in CLAIMS if part_of(c) == title):
            against = [p.label for p in claim.propositions if p.kind == "counterexample"]
            rows.append(
                f"| [{claim.number}. {plain(claim.title)}]({claim.label}.md), "
                f"{len(claim.propositions)} propositions | {plain(claim.says)} "
                f"| {links(against) if against else ''} |"
            )
        parts += [f"## {title}", what, "\n".join(rows)]
    parts.append(figure("overview", docs))
    parts.append("## Dependencies")
    parts.append(graph(None, "Dependencies between propositions"))
    parts.append("An arrow leads from a proposition to one that builds on it. Labels are links.")
    rows = ["| proposition | uses |", "| --- | --- |"]
    for claim in CLAIMS:
        rows += [f"| {links([p.label])} | {links(p.uses)} |" for p in claim.propositions]
    table = "\n".join(rows)
    parts.append(f"<details><summary>The same as a table</summary>\n\n{table}\n\n</details>")
    metrics = (docs / "metrics.md").is_file()
    for title, _, _ in PARTS:
        pages = "\n".join(claim.label for claim in CLAIMS if part_of(claim) == title)
        pages += "\n../metrics\npictures" if metrics and title == PARTS[0][0] else ""
        parts.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```")
    return "\n\n".join(parts) + "\n"


def public(module: ModuleType) -> list[str]:
    """The public classes and functions that a module defines or lists in `__all__`."""
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
    return [name for name in ("torch", "jax") if find_spec(name) is None]


def imported(name: str) -> ModuleType:
    """A module, with stand-ins for the frameworks that are missing."""
    missing = missing_frameworks()
    if name.rpartition(".")[2] not in missing:
        return import_module(name)
    from sphinx.ext.autodoc.mock import mock

    with mock(missing):
        return import_module(name)


def reference_page() -> str:
    """Every public name, under the module from which it should be imported."""
    parts = [
        "# Reference",
        "Every public name, under the module from which it is imported. [What computes "
        "what](../functions.md) lists the functions by question. If an argument is not right, a "
        "`ValueError` says what was expected and what came.",
    ]
    seen: set[int] = set()
    for name, title in MODULES.items():
        module = imported(name)
        fresh = []
        for n in public(module):
            # Of two names of one thing the first is shown.
            if id(getattr(module, n)) not in seen:
                fresh.append(n)
                seen.add(id(getattr(module, n)))
        if not fresh:
            continue
        listed = "\n".join(f"   {n}" for n in fresh)
        parts += [
            f"## {title}",
            f"`{name}`",
            f"```{{eval-rst}}\n.. currentmodule:: {name}\n\n.. autosummary::\n   :toctree: .\n"
            f"   :nosignatures:\n\n{listed}\n```",
        ]
    return "\n\n".join(parts) + "\n"
