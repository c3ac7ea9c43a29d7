"""The greatest value of a sum of likelihoods over their parameters, from below and from above."""
