"""Metrics of known curvature, written for autograd."""

import autograd.numpy as anp


def diagonal(*entries):
    return anp.stack(entries, axis=-1)[..., None] * anp.eye(len(entries))


def sphere(z):
    """The unit sphere in polar angles."""
    return diagonal(anp.ones_like(z[..., 0]), anp.sin(z[..., 0]) ** 2)


def stereographic(z):
    """The unit sphere in stereographic coordinates."""
    return 4 * anp.eye(2) / (1 + anp.sum(z**2, axis=-1)[..., None, None]) ** 2


def half_plane(z):
    """The hyperbolic plane, (dx^2 + dy^2) / y^2."""
    return anp.eye(2) / z[..., 1:, None] ** 2


def normal_family(z):
    """Fisher's metric of N(mu, sigma), (dmu^2 + 2 dsigma^2) / sigma^2."""
    return anp.array([[1.0, 0.0], [0.0, 2.0]]) / z[..., 1:, None] ** 2


def cone(z):
    """A cone of half-angle 30 degrees, dr^2 + (r / 2)^2 dphi^2."""
    return diagonal(anp.ones_like(z[..., 0]), z[..., 0] ** 2 / 4)


def three_sphere(z):
    """The unit 3-sphere in polar angles."""
    s, t = anp.sin(z[..., 0]) ** 2, anp.sin(z[..., 1]) ** 2
    return diagonal(anp.ones_like(s), s, s * t)


def tilted(z):
    """A metric without symmetries in three dimensions: A(z)^T A(z) + I."""
    a, b, c = z[..., 0], z[..., 1], z[..., 2]
    rows = [
        anp.stack([a * b, anp.sin(c), a], axis=-1),
        anp.stack([anp.cos(a), b * c, 0 * a + 1], axis=-1),
        anp.stack([c, anp.exp(b / 2), a * a], axis=-1),
    ]
    root = anp.stack(rows, axis=-2)
    return anp.einsum("...ia,...ib->...ab", root, root) + anp.eye(3)
