"""Training objectives computed from a batch.

Written with `autograd.numpy`, so that they can be trained with; what is checked is the values.
"""

from vaetheory.bounds.batch_information import FORMS, BatchBound, bilbo
from vaetheory.bounds.bounded_likelihood import (
    BoundedLikelihood,
    ProfileLikelihood,
    baggins,
    profile_likelihood,
)

__all__ = [
    "FORMS",
    "BatchBound",
    "BoundedLikelihood",
    "ProfileLikelihood",
    "baggins",
    "bilbo",
    "profile_likelihood",
]
