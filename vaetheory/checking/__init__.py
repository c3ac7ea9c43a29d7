"""What a claim is written with: propositions, comparisons, strategies and the runner.

Nothing here knows the claims of `vaetheory.claims`; a claim of your own needs only this package.
"""

from vaetheory.checking._once import once
from vaetheory.checking._together import together
from vaetheory.checking.claim import Claim, Control, Proposition, wrong
from vaetheory.checking.comparison import Comparison

__all__ = ["Claim", "Comparison", "Control", "Proposition", "once", "together", "wrong"]
