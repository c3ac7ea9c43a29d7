"""Lower bounds of the log evidence, and training objectives that are computed from a batch.

Quadrature gives the ELBO of any Gaussian posterior, and the posteriors at which it is stationary.
BILBO, BAGGINS and the profile likelihood are written with `autograd.numpy`, so that models can be
trained with them; the checks of inputs look at the plain values.
"""

from vaetheory.bounds.batch_information import FORMS, BatchBound, bilbo
from vaetheory.bounds.bounded_likelihood import (
    BoundedLikelihood,
    ProfileLikelihood,
    baggins,
    profile_likelihood,
)
from vaetheory.bounds.gaussian_elbo import elbo, second_order_elbo
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior

__all__ = [
    "FORMS",
    "BatchBound",
    "BoundedLikelihood",
    "ProfileLikelihood",
    "StationaryPosterior",
    "baggins",
    "bilbo",
    "elbo",
    "profile_likelihood",
    "second_order_elbo",
    "stationary_posterior",
]
