"""The list of `mutants.py`: formulas of the library, each with one thing changed.

Each old text stands exactly once in its file, which a test of the suite demands: who changes such a
line changes it here as well.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A formula with one thing changed.

    Attributes
    ----------
    name : str
        What is wrong, in a few words.
    file : str
        Within the package.
    old, new : str
        The text, which stands once in the file, and what takes its place.
    refuted_by : tuple of str
        Propositions that must be refuted, one of them at least.
    equivalent : str
        Why nothing can refute it, where that is so.
    """

    name: str
    file: str
    old: str
    new: str
    refuted_by: tuple[str, ...]
    equivalent: str = ""


def _all_of(file: str, *rows: tuple[str, str, str, str] | tuple[str, str, str, str, str]) -> list[Mutant]:
    """Mutants of one file: name, old text, new text, labels apart from each other by spaces."""
    return [Mutant(r[0], file, r[1], r[2], tuple(r[3].split()), *r[4:]) for r in rows]


MUTANTS: tuple[Mutant, ...] = (
    *_all_of(
        "elbo.py",
        ("ELBO: error without its quadrature part", "error = expected.error + _rounding(",
         "error = 0 * expected.error + _rounding(", "0d-elbo"),
        ("ELBO: error without its rounding part",
         "expected.error + _rounding(model, data, loc, cov) + gamma(10 * d) * condition",
         "expected.error", "0d-rounding"),
        ("ELBO: error without the integrand's rounding", "_rounding(model, data, loc, cov) +",
         "0 *", "0d-rounding"),
        ("ELBO: error without the divergence's rounding", "+ gamma(10 * d) * condition", "", "0d-rounding"),
        ("ELBO: rounding without the score's part",
         "return gamma(8) * (carried @ weights) + gamma(8 + model.data_dim)",
         "return gamma(8 + model.data_dim)", "0d-rounding"),
        ("ELBO: the KL added", "value = expected.value - divergence",
         "value = expected.value + divergence", "3a 3c 0d-rounding"),
        ("second-order ELBO: no half before the trace", "- 0.5 * trace", "- trace", "3e"),
        ("second-order ELBO: no entropy of half the dimension", "+ gaussians.entropy(cov)",
         "+ 0.5 * gaussians.log_det(cov)", "3e"),
    ),
    *_all_of(
        "quadrature/gaussian.py",
        ("Gaussian expectation: no difference", "known + lattice.SPARSE * outside) + rounding",
         "lattice.SPARSE * outside) + rounding", "0d 0d-elbo"),
        ("Gaussian expectation: no rounding", "known + lattice.SPARSE * outside) + rounding",
         "known + lattice.SPARSE * outside)", "0d 0d-elbo 0d-rounding"),
        ("Gaussian expectation: nothing outside the core", "known + lattice.SPARSE * outside) + rounding",
         "known) + rounding", "0d"),
        ("Gaussian expectation: the spread itself", "_SAFETY = 20.0", "_SAFETY = 0.2", "0d 0d-elbo"),
    ),
    *_all_of(
        "quadrature/engine.py",
        ("engine: dropped mass forgotten", "np.log1p(np.where(np.isfinite(off + missing), off + missing, 0.0))",
         "np.log1p(np.where(np.isfinite(off), off, 0.0))", "0a 0b 0b-space"),
        ("engine: mass dropped by the lattices forgotten", "scan.dropped += np.where(done, dropped, 0.0)",
         "pass", "0b 0b-space"),
        ("engine: what the search dropped forgotten", "missing = scan.dropped * np.exp(",
         "missing = 0 * scan.dropped * np.exp(", "0a 0b 0b-space"),
        ("engine: no quadrature error", "np.maximum(sums.error / total, _CLAIMED * goal)",
         "0 * sums.error", "0a 0b 0b-space"),
        ("engine: no least error", "np.maximum(sums.error / total, _CLAIMED * goal)",
         "sums.error / total", "0a 0b 0b-space"),
        ("engine: no rounding of sums", "+ sums.rounding / total + noise", "+ noise", "0a-rounding 0a"),
        ("engine: no rounding noise", "+ sums.rounding / total + noise", "+ sums.rounding / total", "0a-rounding 0a"),
        ("engine: no rounding of the value", "error = np.maximum(high, low) + ULP * np.abs(value)",
         "error = np.maximum(high, low)", "0a-rounding 0a"),
        ("engine: the offset's rounding forgotten", "error=out.error + ULP * np.abs(offset)",
         "error=out.error", "0a"),
        ("engine: evidence without its shift", "value = sums.shift + np.log(total)",
         "value = sums.shift + np.log(total) + 1e-9", "0a 0a-rounding"),
    ),
    *_all_of(
        "quadrature/broad.py",
        ("broad: outlying mass forgotten", "dropped[which] = outside", "dropped[which] = 0 * outside", "0a"),
        ("broad: hidden mass forgotten", "dropped[here] = several * (dropped[here] + hidden)",
         "dropped[here] = several * dropped[here]", "0a"),
        ("broad: hidden mass forgotten throughout", "hidden, cells = _hidden(_some(table, here), grid, d, int(count), found[here])",
         "hidden, cells = np.zeros(len(here)), 0", "0a"),
        ("broad: more credit where uneven", "np.where(grid.curve > _UNEVEN * grid.reach, min(finer, 1.0), finer)",
         "np.where(grid.curve > _UNEVEN * grid.reach, 9 * finer, 9 * finer)", "0a"),
    ),
    *_all_of(
        "quadrature/shifted.py",
        ("lattices: a third of the safety", "SAFETY = {1: 6.0, 2: 10.0, 3: 9.0, 4: 6.0}",
         "SAFETY = {1: 2.0, 2: 3.3, 3: 3.0, 4: 2.0}", "0c"),
        ("lattices: no spread on a line", "part.error[:, 0] = SAFETY[d] * np.ptp(totals.value, axis=-1)",
         "part.error[:, 0] = 0.0", "0c 0a"),
        ("lattices: no rounding", "part.rounding[:] = part.value * (lost",
         "part.rounding[:] = 0 * part.value * (lost", "0a"),
        ("lattices: a moment's spread forgotten", "SAFETY[d] * np.ptp(totals.moment, axis=-1)",
         "0 * np.ptp(totals.moment, axis=-1)", "0e"),
    ),
    *_all_of(
        "quadrature/lattice.py",
        ("lattices: what is outside the core forgotten", "return sums.mean(axis=-1), spread + SPARSE * outside",
         "return sums.mean(axis=-1), spread", "0b 0c"),
        ("lattices: no spread", "spread = SAFETY[self.nodes.shape[1]] *", "spread = 0 *", "0c"),
    ),
    *_all_of(
        "quadrature/rules.py",
        ("cells: no estimate", "return values @ self.weights, error", "return values @ self.weights, 0 * error", "0a 0b"),
        ("cells: the spectrum forgotten", "error[..., axis] = (off + unlike[axis]) @ weights",
         "error[..., axis] = unlike[axis] @ weights", "0a 0b"),
        ("cells: what interpolation misses forgotten", "error[..., axis] = (off + unlike[axis]) @ weights",
         "error[..., axis] = off @ weights", "0a-kink"),
        ("cells: spectrum trusted to go on", "_POWER = {1: 0.75, 2: 1.0, 3: 1.5, 4: 1.5}",
         "_POWER = {1: 6.0, 2: 6.0, 3: 6.0, 4: 6.0}", "0a-kink 0a 0b"),
    ),
    *_all_of(
        "quadrature/whitened.py",
        ("frames: what the grid has seen forgotten", "found &= ~_hidden(scan, slots, found, min(rtol, scan.rtol))",
         "pass", "0b"),
    ),
    *_all_of(
        "quadrature/exclusion.py",
        ("frames: dropped parts not counted", "scan.account(dropped, pairs, look.upper, ~look.alive)", "pass", "0b"),
    ),
    *_all_of(
        "quadrature/variation.py",
        ("cells: variation without safety", "SAFETY = 1.5", "SAFETY = 0.5", "0a 0b"),
        ("cells: curvature without safety", "SAFETY_CURVE = 3.0", "SAFETY_CURVE = 0.3", "0a 0b"),
    ),
    *_all_of(
        "quadrature/outskirts.py",
        ("outskirts: the tail beyond the ball forgotten", "mass: Array = np.exp(np.minimum(table.peak + tail - level, 700.0))",
         "mass: Array = 0 * np.exp(np.minimum(table.peak + tail - level, 700.0))", "0a"),
        ("outskirts: log volume of half the width", "constant = 0.5 * boxes.centre.shape[1] * LOG_2PI",
         "constant = 40.0", "0a"),
    ),
    *_all_of(
        "likelihoods/negative_binomial.py",
        ("negative binomial: curvature bound too small", "return -(x + self.shape) / 4, np.zeros_like(x)",
         "return -(x + self.shape) / 16, np.zeros_like(x)", "0g"),
    ),
    *_all_of(
        "likelihoods/student_t.py",
        ("Student t: curvature bound too small", "return -greatest, greatest / 8", "return -greatest, greatest / 12", "0g"),
    ),
    *_all_of(
        "likelihoods/von_mises.py",
        ("von Mises: curvature bound too small",
         "np.full_like(x, -self.concentration), np.full_like(x, self.concentration)",
         "np.full_like(x, -self.concentration), np.full_like(x, self.concentration / 2)", "0g"),
    ),
    *_all_of(
        "likelihoods/beta.py",
        ("Beta: curvature bound too small", "c * (tilt + _DIP) + 0.5", "c * tilt / 2 + 0.5", "0g"),
        ("Beta: lower curvature bound too small", "return -c * (tilt + 0.25) - 0.5625", "return -c * (tilt + 0.125)", "0g"),
        ("Beta: KL without its poles", "out = out + np.expm1(shift)", "pass", "7a-divergence"),
        ("Beta: KL without the means' difference", "(away + self._mean_shift(params) * change)", "away", "7a-divergence"),
    ),
    *_all_of(
        "optimal_decoder.py",
        ("f*: second derivative without the precision", "s[..., None, :] - self._precision", "s[..., None, :]", "2b-varying"),
        ("f*: third derivative without a pairing", '("mni,mjk->mnijk", "mnj,mik->mnijk", "mnk,mij->mnijk")',
         '("mni,mjk->mnijk", "mnj,mik->mnijk")', "2b"),
        ("f*: covariance about the heaviest datum", "- mean[:, :, None] * mean[:, None, :]", "", "1b"),
    ),
    *_all_of(
        "constant_variance.py",
        ("penalty: second order doubled", "second_order=0.25 *", "second_order=0.5 *", "5b"),
        ("penalty: Specht bound halved", "specht = 0.5 * d * log_specht_ratio", "specht = 0.25 * d * log_specht_ratio", "5c"),
        ("penalty: no half", "value = 0.5 * (each @ w)", "value = each @ w", "5a"),
        ("penalty: its error forgotten",
         "error = 0.5 * (np.where(near, slope, apart) @ w) + gamma(8 + 2 * d + count) * value",
         "error = 0 * value", "0f-penalty"),
        ("penalty: the chord too low", "np.fmin(specht, 0.5 * d * chord)", "np.fmin(specht, 0.4 * d * chord)", "5c"),
        ("exact penalty: its error forgotten", "error=float((free.error + shared.error).mean())", "error=0.0", "5e"),
    ),
    *_all_of(
        "hessian_estimators.py",
        ("standard error with ddof 0", ".std(axis=axis, ddof=1)", ".std(axis=axis, ddof=0)", "0h"),
        ("standard error without the root of n", '"deviations") / np.sqrt(count), count)',
         '"deviations") / count, count)', "0h"),
        ("Stein's estimate without the precision", "score[..., None, :] - precision", "score[..., None, :]", "4b"),
        ("Price's estimate not symmetrised", "_mean((draws + np.swapaxes(draws, -1, -2)) / 2, axis=-3)",
         "_mean(draws, axis=-3)", "4b-variances"),
        ("the Jacobian's norm without the scale", "moved = (points - at[..., None, :]) / s",
         "moved = points - at[..., None, :]", "4c"),
    ),
    *_all_of(
        "objectives/bilbo.py",
        ("BILBO: optimism of the full form doubled", "+ ((leverage**2).sum() - squared / size) / 4",
         "+ ((leverage**2).sum() - squared / size) / 2", "6f"),
        ("BILBO: all of the optimism of the full form doubled", "return leverage.sum() / (2 * size) + (",
         "return leverage.sum() / size + 2 * (", "6f"),
        ("BILBO: gradient of the optimism doubled", "return turned - found.project(turned)",
         "return 2 * (turned - found.project(turned))", "6a-gradient"),
        ("BILBO: gradient of log det doubled", "spread @ inverse_root.T / root,", "2 * spread @ inverse_root.T / root,", "6a-gradient"),
        ("BILBO: optimism of the diagonal form doubled", "axis=0)) / 4\n", "axis=0)) / 2\n", "6f"),
        ("BILBO: the bias of a centred moment forgotten", "anp.sum(square) / 2 if centred", "0.0 if centred", "6f"),
        ("BILBO: the prior without the posterior's variance", "variance = anp.mean(away**2, axis=0) + deviations**2",
         "variance = anp.mean(away**2, axis=0) + 0.99 * deviations**2", "6a 6f"),
    ),
    *_all_of(
        "objectives/baggins.py",
        ("BAGGINS: weights ignored", "square = anp.dot(weights, array**2)", "square = anp.mean(array**2, axis=0)", "10a-weighted"),
        ("BAGGINS: weights ignored in the mean", "return scaled - anp.dot(weights, scaled), power",
         "return scaled - anp.mean(scaled, axis=0), power", "10a-weighted"),
        ("BAGGINS: h for 2 h", "* _LOG2 - presumed))", "* _LOG2 - presumed / 2))", "10a"),
        ("BAGGINS: information doubled", "found = 0.5 * (anp.log(spread) - anp.log(variance))",
         "found = 1.0 * (anp.log(spread) - anp.log(variance))", "10b"),
        ("BAGGINS: a nat too many", "value = -0.5 * dim * (1 + LOG_2PI)", "value = -0.5 * dim * LOG_2PI", "10a"),
    ),
    *_all_of(
        "geometry/information.py",
        ("immersion: Fisher slope not halved", "bend = 0.5 * likelihood.fisher_log_slope",
         "bend = 1.0 * likelihood.fisher_log_slope", "7b-curvature"),
        ("immersion: ambient curvature 1", "return 0.25 if isinstance", "return 1.0 if isinstance", "7b-curvature"),
        ("immersion: a categorical's bend not halved", "rows = hessian + 0.5 * centred", "rows = hessian + centred", "7b-curvature"),
        ("immersion: root of the Fisher information forgotten", "return np.sqrt(likelihood.fisher_diagonal(params))[..., None] * jacobian",
         "return likelihood.fisher_diagonal(params)[..., None] * jacobian", "7b-curvature"),
    ),
    *_all_of(
        "geometry/metric.py",
        ("curvature: a sign in the product", "return linear + (product - np.swapaxes(product, -1, -2))",
         "return linear - (product - np.swapaxes(product, -1, -2))", "7b-curvature"),
        ("curvature: the product forgotten", "return linear + (product - np.swapaxes(product, -1, -2))",
         "return linear", "7b-curvature"),
        ("curvature: linear part not halved", "linear = 0.5 * (ad_bc + bc_ad)", "linear = ad_bc + bc_ad", "7b-curvature"),
        ("curvature: a sign in Gauss's equation", "out = out + (product - np.swapaxes(product, -1, -2))",
         "out = out - (product - np.swapaxes(product, -1, -2))", "7b-curvature"),
        ("connection: not halved", "return 0.5 * (slope + np.swapaxes", "return 1.0 * (slope + np.swapaxes", "7b-curvature"),
        ("connection: a sign", "- np.moveaxis(slope, -1, -3))", "+ np.moveaxis(slope, -1, -3))", "7b-curvature"),
    ),
    *_all_of(
        "geometry/curvature.py",
        ("sectional curvature not divided", "return turned / area", "return turned", "7b-curvature"),
        ("Gaussian curvature not divided", "[..., 0, 1, 0, 1] / np.linalg.det(g)", "[..., 0, 1, 0, 1]", "7b-curvature"),
        ("Ricci curvature of the wrong pair", '"...abad->...bd", riemann_curvature', '"...abda->...bd", riemann_curvature', "7b-curvature"),
    ),
    *_all_of(
        "geometry/arc_length.py",
        ("arc length: second derivative not of second order", "second = -self.by.metric.christoffel(z)[..., 0, 0] * first**2",
         "second = -self.by.metric.christoffel(z)[..., 0, 0] * first", "5f-arc"),
        ("arc length: second derivative of the wrong sign", "second = -self.by.metric", "second = self.by.metric", "5f-arc"),
        ("arc length: second derivative forgotten", "return self.inner.hessian(inner) * first[..., None, None] ** 2 + bent",
         "return self.inner.hessian(inner) * first[..., None, None] ** 2", "5f-arc"),
    ),
    *_all_of(
        "training/adam.py",
        ("Adam without bias correction", "np.multiply(self.first, self.rate * size / (1 - _FIRST**self.steps), out=more)",
         "np.multiply(self.first, self.rate * size, out=more)", "11b-step"),
        ("Adam without the second correction", "size = np.sqrt(1 - _SECOND**self.steps)", "size = 1.0", "11b-step"),
    ),
    *_all_of(
        "stationary.py",
        ("stationary point: the deficit not in the error", "error=(bound.error + _COUPLED * deficit)",
         "error=bound.error", "0f"),
        ("stationary point: the ELBO's error forgotten", "error=(bound.error + _COUPLED * deficit)",
         "error=_COUPLED * deficit", "0f"),
        ("stationary point: deficit without the mean", "gain = -0.5 * (found.slope * shift).sum(axis=-1).mean(axis=-1)",
         "gain = 0 * (found.slope * shift).sum(axis=-1).mean(axis=-1)", "0f"),
        ("stationary point: deficit without the covariance", "gain += 0.25 * (mismatch**2).sum(axis=(-2, -1))",
         "pass", "0f"),
    ),
    *_all_of(
        "evidence.py",
        ("expectation: moment's error forgotten", "off = sums.moment_error / sums.total[:, None]",
         "off = 0 * sums.moment_error / sums.total[:, None]", "0e"),
        ("expectation: evidence's error forgotten", "off += np.abs(mean) * (sums.error / sums.total)[:, None]", "pass", "0e"),
        ("expectation: rounding and missing mass forgotten", "off += size * (common + 8 * ULP)[:, None]", "pass", "0a-rounding 0e"),
        ("expectation: missing mass forgotten", "+ found.noise) + 10 * found.missing", "+ found.noise)", "0e"),
        ("KL: the ELBO's error forgotten", "evidence.error + bound.error", "evidence.error", "0d-rounding"),
        ("closed form: its rounding forgotten", "error = 8 * ULP * condition * rounding", "error = 0 * rounding", "0a-rounding"),
    ),
    *_all_of(
        "flows/smoothing.py",
        ("smoothing: error without the excess's", "total = error + rounding.ravel()[index] + gamma(4) * np.abs(flat)",
         "total = gamma(4) * np.abs(flat)", "0i"),
        ("smoothing: series without what is cut off", "error = left + (blurred[self.index] * powers).sum(axis=-1)",
         "error = (blurred[self.index] * powers).sum(axis=-1)", "0i"),
        ("smoothing: series without its rounding", "error = left + (blurred[self.index] * powers).sum(axis=-1)", "error = left", "0i"),
        ("smoothing: quadrature without its error", "error = (found.error + noise) / (1 + found.value)",
         "error = noise / (1 + found.value)", "0i"),
        ("smoothing: quadrature without its noise", "error = (found.error + noise) / (1 + found.value)",
         "error = found.error / (1 + found.value)", "0i"),
        ("smoothing: evidence without its error", "error = np.where(blind, np.inf, error + rounding)",
         "error = np.where(blind, np.inf, rounding)", "0i"),
    ),
)
