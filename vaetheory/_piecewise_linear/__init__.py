"""Exact evidences of piecewise linear decoders with Gaussian noise, as sums over their pieces.

On each piece of the latent space, an interval or a convex polygon, the decoder is affine and the
log joint is quadratic, so that the piece's share of the evidence is the mass of a Gaussian on it.
"""
