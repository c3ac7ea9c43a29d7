"""Laws that a likelihood, a decoder or a flow must keep, for those of your own too.

Each law has a name and says what was expected and what came when it fails. `check_likelihood`,
`check_decoder` and `check_flow` run all laws of an instance; `parametrize_with_checks` makes each a
test of pytest's.
"""

from vaetheory.testing.checks import (
    check_decoder,
    check_flow,
    check_likelihood,
    parametrize_with_checks,
)
from vaetheory.testing.laws import LawError, Outcome

__all__ = [
    "LawError",
    "Outcome",
    "check_decoder",
    "check_flow",
    "check_likelihood",
    "parametrize_with_checks",
]
