"""Training objectives that are computed from a batch.

They are written with `autograd.numpy`, so that models can be trained with them; the checks of
inputs look at the plain values.
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
