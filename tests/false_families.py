"""Families with one thing wrong each.

The name of a class says what is wrong with it. The tables name the laws that must refuse it; no
other law may.
"""

from dataclasses import dataclass, field

import numpy as np
from user_families import Logistic, Weibull, ZeroInflatedPoisson

from vaetheory.likelihoods import Gamma, GaussianMeanScale, Laplace, Poisson, StudentT, VonMises


class ScoreOffByAThousandth(Logistic):
    def _score(self, x, params):
        return 1.001 * super()._score(x, params)


class ScoreOfTheWrongSign(Logistic):
    def _score(self, x, params):
        return -super()._score(x, params)


class ScoreShifted(Logistic):
    def _score(self, x, params):
        return super()._score(x, params) + 1e-3


class ScoreOffForCounts(ZeroInflatedPoisson):
    def _score(self, x, params):
        return super()._score(x, params) * (1 + 1e-3 * (x > 0))


class InformationOffByAThousandth(Logistic):
    def _information(self, x, params):
        return 1.001 * super()._information(x, params)


class InformationOfTheWrongSign(Weibull):
    def observed_information(self, x, params, jacobian):
        return -super().observed_information(x, params, jacobian)


class InformationNotPulledBack(Logistic):
    def observed_information(self, x, params, jacobian):
        matrix = super().observed_information(x, params, np.eye(np.shape(params)[-1]))
        return matrix[..., : jacobian.shape[-1], : jacobian.shape[-1]]


class FisherOff(Logistic):
    def _fisher(self, params):
        return 1.001 * super()._fisher(params)


class FisherOfAnotherShape(Weibull):
    def _fisher(self, params):
        return super()._fisher(params) / self.shape


class FisherSlopeOff(Logistic):
    def _fisher_log_slope(self, params):
        return np.full_like(params, 1e-3)


class BoundTooSmall(Logistic):
    def curvature_bounds(self, x):
        low, high = super().curvature_bounds(x)
        return 0.9 * low, high


class BoundInfinite(Logistic):
    def curvature_bounds(self, x):
        return np.full_like(x, -np.inf), np.zeros_like(x)


class BoundNotANumber(Logistic):
    def curvature_bounds(self, x):
        return np.full_like(x, np.nan), np.zeros_like(x)


class BoundsCrossed(Logistic):
    def curvature_bounds(self, x):
        return super().curvature_bounds(x)[::-1]


class RangeTooSmall(Weibull):
    def curvature_range(self, x, lower, upper):
        low, high = super().curvature_range(x, lower, upper)
        return 0.9 * low, high


class RangeOfTheMiddle(Weibull):
    def curvature_range(self, x, lower, upper):
        middle = -self._information(x, (lower + upper) / 2)
        return middle, middle


class RangeInfinite(Weibull):
    def curvature_range(self, x, lower, upper):
        low, high = super().curvature_range(x, lower, upper)
        return np.full_like(low, -np.inf), high


class Unnormalised(Logistic):
    def _log_prob(self, x, params):
        return super()._log_prob(x, params) + 1e-4

    def _greatest_log_prob(self, x):
        return super()._greatest_log_prob(x) + 1e-4


class GreatestTooSmall(Logistic):
    def _greatest_log_prob(self, x):
        return super()._greatest_log_prob(x) - 1e-4


class GreatestTooLarge(Logistic):
    def _greatest_log_prob(self, x):
        return super()._greatest_log_prob(x) + 1e-3


class SamplesTooWide(Logistic):
    def sample(self, params, rng):
        return params + 1.2 * (super().sample(params, rng) - params)


class SamplesOfAnotherShape(Weibull):
    def sample(self, params, rng):
        scale = np.exp(self._vectors(params))
        return scale * rng.weibull(1.2 * self.shape, scale.shape)


class SamplesWithoutInflation(ZeroInflatedPoisson):
    def sample(self, params, rng):
        return rng.poisson(np.exp(self._vectors(params))).astype(float)


class SamplesOutsideTheSupport(Weibull):
    def sample(self, params, rng):
        return -super().sample(params, rng)


class SamplesOfTheirOwnGenerator(Logistic):
    def sample(self, params, rng):
        return super().sample(params, np.random.default_rng(0))


class SamplesOfNoSeed(Logistic):
    def sample(self, params, rng):
        return super().sample(params, rng) + np.random.default_rng().random(np.shape(params))


class SamplesFlat(Logistic):
    def sample(self, params, rng):
        return super().sample(np.reshape(params, (-1, np.shape(params)[-1])), rng)


class SamplesOneForAll(Logistic):
    def sample(self, params, rng):
        params = self._vectors(params)
        return params + super().sample(np.zeros(params.shape[-1]), rng)


class SupportNotChecked(Weibull):
    def check_data(self, x):
        array = np.array(x, dtype=float)
        if not np.isfinite(array).all():
            raise ValueError("x: expected finite numbers")
        return array

    def _log_prob(self, x, params):
        return super()._log_prob(np.abs(x), params)

    def _greatest_log_prob(self, x):
        return super()._greatest_log_prob(np.maximum(np.abs(x), 1e-300))


class NaNParamsAccepted(Logistic):
    def score(self, x, params):
        return self._score(self.check_data(x), np.asarray(params, dtype=float))


class InputsChanged(Logistic):
    def _log_prob(self, x, params):
        params += 1.0
        return super()._log_prob(x, params - 1.0)


class ResultsInSinglePrecision(Logistic):
    def _score(self, x, params):
        return super()._score(x, params).astype(np.float32)


class OneShapeForAll(Logistic):
    def _summed(self, x, params):
        return np.asarray(super()._summed(x, params)).ravel()


class BatchMixed(Logistic):
    def _log_prob(self, x, params):
        middle = params.reshape(-1, params.shape[-1]).mean(axis=0)
        return super()._log_prob(x, np.broadcast_to(middle, params.shape))


class EqualToItselfOnly(Logistic):
    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


@dataclass(frozen=True)
class HashedByIdentity(Logistic):
    def __hash__(self):
        return id(self)


@dataclass(frozen=True)
class HoldingALambda(Logistic):
    power: object = field(default_factory=lambda: lambda x: x, compare=False)


class ConcaveInName(StudentT):
    concave = True


class NaturalInName(Weibull):
    natural = True


class WithoutAMetricInName(Logistic):
    no_metric = "Own: E[score] = 0 fails, it is said"


class MetricDespiteNone(Laplace):
    def fisher_information(self, params):
        return np.asarray(params)[..., None] * 0 + np.eye(np.shape(params)[-1])


class LimitOff(Logistic):
    def _limit(self, x, params):
        return np.zeros(np.broadcast_shapes(x.shape, params.shape))


class ReductionOff(Poisson):
    def reduced(self, x):
        return self, x, np.full(x.shape[:-1], 1e-6)


class ImmersionOff(Poisson):
    def immersed_jacobian(self, params, jacobian):
        return 1.001 * super().immersed_jacobian(params, jacobian)


class MeanOff(Gamma):
    def mean(self, params):
        return 1.001 * super().mean(params)

    def _divergence(self, params, other):
        return Gamma(self.shape)._divergence(params, other)


class DivergenceOff(Gamma):
    def _divergence(self, params, other):
        return 1.001 * super()._divergence(params, other)


class FitOff(Poisson):
    def fit(self, x, log_weights):
        return super().fit(x, log_weights) + 1e-3


class FitOfAnAngleOff(VonMises):
    def fit(self, x, log_weights):
        return super().fit(x, log_weights) + 1e-3


class StatisticsOff(Gamma):
    def log_base(self, x):
        return super().log_base(x) + 1e-6

    def log_prob(self, x, params):
        return Gamma(self.shape).log_prob(x, params)


class ScaleScoreShifted(GaussianMeanScale):
    def score(self, x, params):
        shift = np.repeat([0.0, 1.0], np.shape(x)[-1])
        return super().score(x, params) + shift


class CrossTermHalved(GaussianMeanScale):
    def observed_information(self, x, params, jacobian):
        whole = super().observed_information(x, params, jacobian)
        x, params = self._pair(x, params)
        residual, of_mean, of_log = self._slopes(x, params, jacobian)
        mixed = np.swapaxes(of_mean, -1, -2) @ (residual[..., None] * of_log)
        return whole - mixed - np.swapaxes(mixed, -1, -2)


class IndefiniteForm(GaussianMeanScale):
    def definite_information(self, x, params, jacobian):
        return self.observed_information(x, params, jacobian)


class OneForTheLogScale(GaussianMeanScale):
    def fisher_information(self, params):
        whole = super().fisher_information(params)
        size = whole.shape[-1] // 2
        return whole - np.diag(np.repeat([0.0, 1.0], size))


class GreatestAboveTheFloor(GaussianMeanScale):
    def greatest_log_prob(self, x):
        return super().greatest_log_prob(x) - np.log(2.0)


class SamplesOfTheVariance(GaussianMeanScale):
    def sample(self, params, rng):
        params = np.array(params, dtype=np.float64)
        size = params.shape[-1] // 2
        params[..., size:] = np.maximum(2 * params[..., size:], np.log(self.least_scale))
        return super().sample(params, rng)


class SquareWithoutTheMean(GaussianMeanScale):
    def mean(self, params):
        mean, log_scale = np.split(params, 2, axis=-1)
        return np.concatenate([mean, np.exp(2 * log_scale)], axis=-1)


class FitOfOneFewer(GaussianMeanScale):
    def fit(self, x, log_weights):
        fitted = super().fit(x, log_weights)
        fitted[..., x.shape[-1] :] += 0.5 * np.log(len(x) / (len(x) - 1))
        return fitted


FALSE_FAMILIES = [
    (ScoreOffByAThousandth(0.5), {"score"}),
    (ScoreOfTheWrongSign(0.5), {"score"}),
    (ScoreShifted(0.5), {"score"}),
    (ScoreOffForCounts(0.3), {"score"}),
    (InformationOffByAThousandth(0.5), {"observed_information"}),
    (InformationOfTheWrongSign(1.7), {"observed_information"}),
    (InformationNotPulledBack(0.5), {"observed_information"}),
    (FisherOff(0.5), {"fisher_information"}),
    (FisherOfAnotherShape(1.7), {"fisher_information"}),
    (FisherSlopeOff(0.5), {"fisher_diagonal"}),
    (BoundTooSmall(0.5), {"curvature_bounds"}),
    (BoundInfinite(0.5), {"curvature_bounds"}),
    (BoundNotANumber(0.5), {"curvature_bounds"}),
    (BoundsCrossed(0.5), {"curvature_bounds"}),
    (RangeTooSmall(1.7), {"curvature_bounds"}),
    (RangeOfTheMiddle(1.7), {"curvature_bounds"}),
    (RangeInfinite(1.7), {"curvature_bounds"}),
    (Unnormalised(0.5), {"density"}),
    (GreatestTooSmall(0.5), {"greatest_log_prob"}),
    (GreatestTooLarge(0.5), {"greatest_log_prob"}),
    (SamplesTooWide(0.5), {"samples"}),
    (SamplesOfAnotherShape(1.7), {"samples"}),
    (SamplesWithoutInflation(0.3), {"samples"}),
    (SamplesOutsideTheSupport(1.7), {"draws"}),
    (SamplesOfTheirOwnGenerator(0.5), {"draws"}),
    (SamplesOfNoSeed(0.5), {"draws"}),
    (SamplesFlat(0.5), {"draws"}),
    (SamplesOneForAll(0.5), {"samples"}),
    (SupportNotChecked(1.7), {"support"}),
    (NaNParamsAccepted(0.5), {"missing_values"}),
    (InputsChanged(0.5), {"inputs"}),
    (ResultsInSinglePrecision(0.5), {"types"}),
    (OneShapeForAll(0.5), {"shapes"}),
    (BatchMixed(0.5), {"rows"}),
    (EqualToItselfOnly(0.5), {"equality"}),
    (HashedByIdentity(0.5), {"equality"}),
    (HoldingALambda(0.5), {"pickling"}),
    (ConcaveInName(3.0, 0.5), {"concave"}),
    (NaturalInName(1.7), {"natural"}),
    (WithoutAMetricInName(0.5), {"no_metric", "expected_score"}),
    (MetricDespiteNone(0.5), {"no_metric"}),
    (LimitOff(0.5), {"limits"}),
    (ReductionOff(), {"reduced"}),
    (ImmersionOff(), {"immersion"}),
    (MeanOff(2.0), {"mean"}),
    (DivergenceOff(2.0), {"divergence"}),
    (FitOff(), {"fit"}),
    (FitOfAnAngleOff(2.0), {"fit"}),
    (StatisticsOff(2.0), {"statistics"}),
    (ScaleScoreShifted(1e-3), {"score"}),
    (CrossTermHalved(1e-3), {"observed_information"}),
    (IndefiniteForm(1e-3), {"definite_information"}),
    (OneForTheLogScale(1e-3), {"fisher_information"}),
    (GreatestAboveTheFloor(1e-3), {"greatest_log_prob"}),
    (SamplesOfTheVariance(1e-3), {"samples"}),
    (SquareWithoutTheMean(1e-3), {"mean"}),
    (FitOfOneFewer(1e-3), {"fit"}),
]
