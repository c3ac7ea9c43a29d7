"""Hypotheses that several rooms of claim 9 share."""

GAUSSIAN = ("likelihood", r"p(x|z) = \mathcal N(f_\theta(z), \sigma^2 I_D)")
LINEAR = (
    "linear, one latent",
    r"f(z) = wz,\ \sum_n x_n = 0,\ \Sigma = \tfrac1N\sum_n x_n x_n^\top"
    r"\text{ with a greatest eigenvalue } v \text{ that is simple}",
)
FREE = (
    "parameters",
    r"(w, m_1, \dots, m_N, \log s_1, \dots, \log s_N)"
    r"\text{, at the optimum of their mean ELBO}",
)
