"""Training objectives computed from a batch.

Written with `autograd.numpy`, so that they can be trained with; what is checked is the values.
"""

from vaetheory.objectives.baggins import (
    BoundedLikelihood,
    ProfileLikelihood,
    baggins,
    profile_likelihood,
)
from vaetheory.objectives.bilbo import FORMS, BatchBound, bilbo

__all__ = [
    "FORMS",
    "BatchBound",
    "BoundedLikelihood",
    "ProfileLikelihood",
    "baggins",
    "bilbo",
    "profile_likelihood",
]
