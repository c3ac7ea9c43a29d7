"""Plugin of pytest: `pytest --vaetheory` tests each proposition of the claims of a test module.

A claim is collected wherever a module of tests has it: as a `Claim`, or within a list or tuple of
claims. Each proposition is one test, which passes if the proposition is confirmed and all its wrong
versions are refuted. A failure shows the shrunk instance and a line of Python that checks it again.
Without the option the plugin does nothing and loads nothing.

The fixture `check_vae` is `vaetheory.testing.check_vae`, which asserts that the loss of a VAE is
its ELBO; it is loaded where a test asks for it.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from vaetheory._profiles import PROFILES

if TYPE_CHECKING:
    from vaetheory.audit import Audit
    from vaetheory.checking.claim import Claim, Proposition
    from vaetheory.checking.runner import Result

_SEEN = pytest.StashKey[set[tuple[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("vaetheory", "theorems about variational auto-encoders")
    group.addoption(
        "--vaetheory",
        action="store_true",
        help="make a test of each proposition of every vaetheory.checking.Claim of a test module",
    )
    group.addoption(
        "--vaetheory-profile",
        choices=list(PROFILES),
        default="quick",
        help="how many instances to draw (quick)",
    )
    group.addoption(
        "--vaetheory-seed", type=int, default=0, metavar="N", help="seed of the instances (0)"
    )


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> list[pytest.Item] | None:
    """Collect the propositions of a claim, or of a list or tuple of claims, that a module has."""
    checking = sys.modules.get("vaetheory.checking.claim")
    if checking is None or not collector.config.getoption("--vaetheory"):
        return None
    claims: list[Any] = [*obj] if isinstance(obj, list | tuple) else [obj]
    if not claims or not all(isinstance(claim, checking.Claim) for claim in claims):
        return None
    seen = collector.stash.setdefault(_SEEN, set())
    items: list[pytest.Item] = []
    for claim in claims:
        for proposition in claim.propositions:
            # A claim may be both a name of its own and an entry of CLAIMS.
            if (key := (claim.label, proposition.label)) not in seen:
                seen.add(key)
                items.append(
                    PropositionItem.from_parent(
                        collector,
                        name=f"{name}[{proposition.label}]",
                        claim=claim,
                        proposition=proposition,
                    )
                )
    return items


@pytest.fixture(scope="session")
def check_vae() -> Callable[..., Audit]:
    """`vaetheory.testing.check_vae`: asserts that the loss of a VAE is the ELBO of its model."""
    from vaetheory.testing import check_vae

    return check_vae


class NotConfirmed(Exception):
    """A proposition that is not confirmed, with its result."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.label}: {result.verdict}: {result.message}")
        self.result = result


class PropositionItem(pytest.Item):
    """The test of one proposition: it is confirmed, and all its wrong versions are refuted."""

    def __init__(self, *, claim: Claim, proposition: Proposition, **more: Any) -> None:
        super().__init__(**more)
        self.claim, self.proposition = claim, proposition
        self.extra_keyword_matches.update((claim.label, proposition.label, proposition.kind))

    def runtest(self) -> None:
        """Check the proposition."""
        from vaetheory.checking.runner import run_proposition

        option = self.config.getoption
        result = run_proposition(
            self.proposition,
            claim=self.claim.label,
            profile=option("--vaetheory-profile"),
            seed=option("--vaetheory-seed"),
        )
        if not result.confirmed:
            raise NotConfirmed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *more: Any) -> Any:
        """Explain a failure: the verdict, the shrunk instance, and how to have it again."""
        if not isinstance(excinfo.value, NotConfirmed):
            return super().repr_failure(excinfo, *more)
        return "\n".join(self._explained(excinfo.value.result))

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where the test is, and its name."""
        return self.path, None, f"{self.name}: {self.proposition.title}"

    def _explained(self, result: Result) -> Iterator[str]:
        from vaetheory.report.text import details, line

        yield line(result)
        yield from details(result)
        for control in result.controls:
            yield f"    wrong version {control.name!r}: refuted: {control.refuted}"
        option = self.config.getoption
        words = ["vaetheory", "verify", str(self.path), self.proposition.label]
        words += ["--profile", option("--vaetheory-profile")]
        words += ["--seed", str(option("--vaetheory-seed"))]
        yield f"    run it again: {shlex.join(words)}"
        if result.instance is not None:
            yield f"    rebuild it:   {self._rebuilt(result.instance)}"

    def _rebuilt(self, instance: object) -> str:
        """A line of Python, valid within the module, that checks this instance again."""
        from vaetheory.checking._rebuilding import rebuilt

        parent = self.getparent(pytest.Module)
        module = parent.obj if parent else None
        try:
            imports, text = rebuilt(instance, vars(module) if module else {})
        except ValueError as error:
            return f"only as above; {error}"
        name = self.name.partition("[")[0]
        held: Any = getattr(module, name, self.claim)
        claim = name if held is self.claim else f"{name}[{list(held).index(self.claim)}]"
        number = self.claim.propositions.index(self.proposition)
        line = f"{claim}.propositions[{number}].check({text})"
        return f"{imports}; {line}" if imports else line
