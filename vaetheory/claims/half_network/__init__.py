"""Claim 11: VAEs with half the outputs. What is checked here is the experiment's machinery.

What the experiment found is in docs/half-network.md; its quick version is 11-digits.
"""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.half_network import adam, measures, training
from vaetheory.claims.half_network.scenes import tiny_runs

_HALF = (
    "half-network",
    r"\text{the encoder gives } m(x) \text{ only, } s = 1;\ \text{the decoder gives } f(z)"
    r"\text{ only; objective BILBO + BAGGINS}",
)
_ENDS = (
    "ends in units of the data",
    r"\text{the encoder sees } (x - \bar x)/u,\ f = \bar x + u\,\tilde f,"
    r"\ \bar x, u \text{ mean and deviation of the training data}",
)
_TINY = (
    "small runs",
    r"\text{eight data in two or three dimensions, one hidden layer of three units}",
)
_ADAM = ("Adam", r"\text{updates that depend on the parameters' gradient only}")

CLAIM = Claim(
    number=11,
    label="half-network",
    title="VAEs with half the outputs, on real data",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="11a",
            title="The half-network has half the outputs of an ordinary VAE",
            statement=(
                r"d + D = \tfrac12(2d + 2D);\quad"
                r"\text{parameters saved: } (H + 1)d + (H' + 1)D"
            ),
            hypotheses=(_HALF, ("the same hidden layers", r"H, H' \text{ their last widths}")),
            kind="identity",
            instances=training.shapes(),
            check=training.outputs_counted,
            controls=(
                Control("half the parameters", partial(training.outputs_counted, parameters=True)),
                Control(
                    "learned posterior variances and one sigma",
                    partial(training.outputs_counted, half="one-sigma"),
                ),
                Control("a third", partial(training.outputs_counted, factor=1 / 3)),
            ),
        ),
        Proposition(
            label="11b",
            title="Networks are trained by the gradient of the library's own objectives",
            statement=(
                r"\nabla_\theta\big(\mathrm{term}"
                r" - \tfrac12\sum_j\log(1 + \mathbb E_B[m_j^2]/s_j^2)\big)"
                r"\text{ by hand} = \text{the same by automatic differentiation of } "
                r"\mathrm{BILBO},\ \mathrm{BAGGINS}"
            ),
            hypotheses=(_TINY, ("each of the six objectives", r"\text{(a) to (f)}")),
            kind="identity",
            instances=tiny_runs(),
            check=training.gradient_by_hand,
            controls=(
                Control(
                    "twice the information term",
                    partial(training.gradient_by_hand, information=2.0),
                ),
                Control("other noise", partial(training.gradient_by_hand, noise=0.5)),
                Control(
                    "the last parameter's slope doubled",
                    partial(training.gradient_by_hand, last=2.0),
                ),
            ),
            uses=("6a", "10a"),
        ),
        Proposition(
            label="11b-step",
            title="Steps of training are Adam's, with both bias corrections",
            statement=(
                r"\theta_t = \theta_{t-1} - \alpha\,\frac{m_t/(1-\beta_1^t)}"
                r"{\sqrt{v_t/(1-\beta_2^t)} + \epsilon},\quad "
                r"m_t = \beta_1 m_{t-1} + (1-\beta_1)g_t,\ "
                r"v_t = \beta_2 v_{t-1} + (1-\beta_2)g_t^2;"
                r"\quad |\theta_1 - \theta_0| = \alpha \text{ but for } \epsilon"
            ),
            hypotheses=(_ADAM,),
            kind="identity",
            instances=adam.descents(),
            check=adam.steps_are_adams,
            controls=(
                Control("no correction of m", partial(adam.steps_are_adams, first=False)),
                Control("no correction of v", partial(adam.steps_are_adams, second=False)),
                Control("epsilon under the root", partial(adam.steps_are_adams, rooted=True)),
                Control("0.9 for 0.999", partial(adam.steps_are_adams, slow=0.9)),
            ),
            uses=("11b",),
        ),
        Proposition(
            label="11c",
            title="Trained on 2^k x the half-network takes the same path, bit for bit",
            statement=(
                r"\theta_t(2^k x) = \theta_t(x) \text{ for every step } t,\quad"
                r"\mathrm{ELBO}(2^k x) = \mathrm{ELBO}(x) - Dk\log 2"
            ),
            hypotheses=(
                ("variances of the batch", r"\text{BAGGINS or the profile likelihood}"),
                _ENDS,
                _ADAM,
                _TINY,
            ),
            kind="identity",
            instances=training.scaled_runs(),
            check=training.scale_equivariance,
            controls=(
                Control(
                    "one learned sigma",
                    partial(training.scale_equivariance, objective="one-sigma"),
                ),
                Control(
                    "BILBO with one learned sigma",
                    partial(training.scale_equivariance, objective="bilbo"),
                ),
                Control(
                    "variances learned for each datum",
                    partial(training.scale_equivariance, objective="ordinary"),
                ),
                Control("plain ends", partial(training.scale_equivariance, units="plain")),
                Control(
                    "an ELBO that does not move",
                    partial(training.scale_equivariance, shift=0.0),
                ),
            ),
            uses=("10c",),
            figure="half-network",
        ),
        Proposition(
            label="11c-step",
            title="For any factor the gradient is the same up to rounding",
            statement=(r"\nabla_\theta L(cx) = \nabla_\theta L(x),\quad L(cx) = L(x) + D\log c"),
            hypotheses=(
                ("variances of the batch", r"\text{BAGGINS or the profile likelihood}"),
                _ENDS,
                _TINY,
            ),
            kind="identity",
            instances=training.scaled_steps(),
            check=training.scaled_gradient,
            controls=(
                Control(
                    "one learned sigma",
                    partial(training.scaled_gradient, objective="one-sigma"),
                ),
                Control(
                    "variances learned for each datum",
                    partial(training.scaled_gradient, objective="ordinary"),
                ),
                Control("plain ends", partial(training.scaled_gradient, units="plain")),
            ),
            uses=("10c",),
        ),
        Proposition(
            label="11d",
            title="Exact evidence, importance-weighted bound, ELBO: in this order, datum by datum",
            statement=(
                r"\mathrm{ELBO}(x) \le \tfrac1R\sum_r\log\tfrac1K\sum_k w_{rk} \le \log p(x)"
                r"\text{ for every held-out datum, within Markov's bounds, each exceeded with}"
                r"\text{ probability} \le 10^{-9}"
            ),
            hypotheses=(
                ("a trained network", r"d = 2,\ \text{fixed variances of the likelihood}"),
                ("draws", r"K = 500,\ R = 10,\ z_{rk} \sim q(z|x)"),
            ),
            kind="statistical",
            instances=measures.held_out(),
            check=measures.bounds_in_order,
            controls=(
                Control("the other order", partial(measures.bounds_in_order, order=-1.0)),
                Control("half a log 2 pi too many", partial(measures.bounds_in_order, shift=0.919)),
                Control(
                    "an ELBO without its rate of some nats",
                    partial(measures.bounds_in_order, excess=4.0),
                ),
            ),
            uses=("3a", "6b"),
            resolution=0.05,
            examples=2,
        ),
        Proposition(
            label="11e",
            title="The density that is measured is fixed by the training data",
            statement=(
                r"p(x) = \mathbb E_{\mathcal N(0, \mathrm{diag}\,v)}\mathcal N(x; f(z), "
                r"\mathrm{diag}\,\sigma^2),\quad v_j = 1 + \mathbb E_{\mathrm{train}}[m_j^2],\quad"
                r"\sigma_i^2 = r_i + e^{-2h}\mathrm{Var}_{\mathrm{train}}[x_i]"
            ),
            hypotheses=(_HALF, _TINY),
            kind="identity",
            instances=tiny_runs(("half",)),
            check=training.held_out_density,
            controls=(
                Control(
                    "sigma from the held-out data",
                    partial(training.held_out_density, fixed_by="validation"),
                ),
                Control(
                    "the prior from the held-out data",
                    partial(training.held_out_density, moments="validation"),
                ),
            ),
            uses=("6a", "10a"),
        ),
        Proposition(
            label="11f",
            title="A run that is killed and resumed is the run that was not, bit for bit",
            statement=r"\theta_T(\text{resumed at } t) = \theta_T(\text{unbroken})",
            hypotheses=(
                ("the checkpoint", r"\text{parameters, Adam's moments and count, the generator}"),
                _TINY,
            ),
            kind="identity",
            instances=training.broken_runs(),
            check=training.resumed_run,
            controls=(
                Control("the generator begun anew", partial(training.resumed_run, forget="rng")),
                Control(
                    "Adam's moments forgotten", partial(training.resumed_run, forget="moments")
                ),
                Control("Adam's count forgotten", partial(training.resumed_run, forget="steps")),
            ),
        ),
        Proposition(
            label="11g",
            title="The interval of paired differences covers with its stated probability",
            statement=(
                r"P\big(|\bar\delta - \mathbb E\delta| \le t_{n-1}(0.975)\,s_\delta/\sqrt n\big)"
                r" = 0.95,\quad \delta = a - b \text{ paired by seed}"
            ),
            hypotheses=(("normal differences", r"\text{independent over the seeds}"),),
            kind="identity",
            instances=measures.intervals(),
            check=measures.paired_coverage,
            controls=(
                Control("unpaired", partial(measures.paired_coverage, paired=False)),
                Control("a variance over n", partial(measures.paired_coverage, ddof=0)),
            ),
        ),
        Proposition(
            label="11-digits",
            title="Quick version: on digits the half-network is ahead of one learned sigma",
            statement=(
                r"\mathbb E[\mathrm{ELBO}_{\mathrm{half}}"
                r" - \mathrm{ELBO}_{\mathrm{one\ sigma}}] > 0"
                r"\text{ over seeds, beyond its 95\,\% interval}"
            ),
            hypotheses=(
                ("the data", r"\text{every third digit, dequantised; held-out part}"),
                ("the runs", r"\text{four seeds, 32 hidden units, 30 epochs}"),
            ),
            kind="inequality",
            instances=st.just(measures.QuickExperiment(4)),
            check=measures.half_beats_one_sigma,
            controls=(
                Control("behind", partial(measures.half_beats_one_sigma, sign=-1.0)),
                Control(
                    "ahead by a hundred nats",
                    partial(measures.half_beats_one_sigma, handicap=100.0),
                ),
            ),
            uses=("11e", "11g"),
            figure="half-network",
            resolution=0.09,
            examples=1,
        ),
    ),
)
