"""The objectives on PyTorch tensors and JAX arrays, against NumPy's checked front door."""

import contextlib
import subprocess
import sys

import autograd
import frameworks
import numpy as np
import pytest

from vaetheory.bounds import FORMS, baggins, bilbo, profile_likelihood, with_relative_variances

RNG = np.random.default_rng(20)
SIZE, LATENT, DIM = 9, 3, 5
TERMS, MEANS = RNG.normal(size=SIZE), RNG.normal(size=(SIZE, LATENT))
SCALE = np.exp(RNG.normal(size=LATENT))
DATA = RNG.normal(size=(SIZE, DIM))
FITS = DATA + 0.3 * RNG.normal(size=DATA.shape)
RELATIVE = np.random.default_rng(21).normal(size=DATA.shape)
PRESUMED, ONE_PRESUMED = np.array([0.5, 1.0, 1.5, 2.0, 2.5]), np.array(1.5)
# Two data count for nothing, the first among them.
WEIGHTS = np.where(np.isin(np.arange(SIZE), [0, 4]), 0.0, RNG.uniform(0.5, 2, SIZE))


def of_bilbo(form):
    return lambda terms, means, scale: bilbo(terms, means, scale, form=form)


def of_baggins(**options):
    return lambda x, xhat, h: baggins(x, xhat, information=h, **options)


def of_varying(**options):
    def varying(x, xhat, g):
        moved = with_relative_variances(x, xhat, g, weights=options.get("weights"))
        return baggins(x, moved, information=1.5, **options)

    return varying


# Each objective, with its arguments and the attributes of its result.
BOUND = ("value", "information", "prior_loc", "prior_cov", "optimism", "corrected")
TERM = ("value", "log_scale", "scale", "information")
OBJECTIVES = {
    **{f"bilbo {form}": (of_bilbo(form), (TERMS, MEANS, SCALE), BOUND) for form in FORMS},
    "baggins": (of_baggins(), (DATA, FITS, PRESUMED), TERM),
    "baggins pooled": (of_baggins(pooled=True), (DATA, FITS, ONE_PRESUMED), TERM),
    "baggins weighted": (of_baggins(weights=WEIGHTS), (DATA, FITS, PRESUMED), TERM),
    "baggins weighted and pooled": (
        of_baggins(pooled=True, weights=WEIGHTS),
        (DATA, FITS, ONE_PRESUMED),
        TERM,
    ),
    "varying weighted": (of_varying(weights=WEIGHTS), (DATA, FITS, RELATIVE), TERM),
    "profile": (profile_likelihood, (DATA, FITS), TERM[:3]),
    "profile pooled": (lambda *a: profile_likelihood(*a, pooled=True), (DATA, FITS), TERM[:3]),
}
TOLERANCES = {"float64": 1e-12, "float32": 3e-6, "bfloat16": 3e-6, "float16": 3e-6}
# A gradient has the precision of its leaf.
OF_GRADIENTS = {**TOLERANCES, "bfloat16": 2.0**-7, "float16": 2.0**-10}


class Torch:
    """PyTorch, eager or compiled."""

    def __init__(self, *, compiled=False):
        self.torch = frameworks.framework("torch")
        self.compiled = compiled

    def array(self, values, dtype="float64"):
        return self.torch.tensor(values, dtype=getattr(self.torch, dtype))

    def numpy(self, x):
        return x.detach().double().numpy() if hasattr(x, "detach") else np.asarray(x)

    def transform(self, f):
        if not self.compiled:
            return f
        self.torch.compiler.reset()
        return self.torch.compile(f, fullgraph=True, backend="aot_eager")

    def grad(self, f, arguments):
        leaves = [a.clone().requires_grad_() for a in arguments]
        return self.torch.autograd.grad(self.transform(f)(*leaves), leaves)

    def vmap(self, f):
        return self.torch.func.vmap(f)


class Jax:
    """JAX, as it runs or compiled."""

    def __init__(self, *, compiled=False):
        self.jax = frameworks.framework("jax")
        self.compiled = compiled

    def array(self, values, dtype="float64"):
        return self.jax.numpy.asarray(values, dtype=dtype)

    def numpy(self, x):
        return np.asarray(x, dtype=np.float64)

    def transform(self, f):
        return self.jax.jit(f) if self.compiled else f

    def grad(self, f, arguments):
        every = tuple(range(len(arguments)))
        return self.transform(self.jax.grad(f, every))(*arguments)

    def vmap(self, f):
        return self.jax.vmap(f)


FRAMEWORKS = {
    "torch": Torch,
    "torch compiled": lambda: Torch(compiled=True),
    "jax": Jax,
    "jax compiled": lambda: Jax(compiled=True),
}


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    """A framework; JAX with 64 bits, for this test only."""
    made = FRAMEWORKS[request.param]()
    with made.jax.enable_x64(True) if isinstance(made, Jax) else contextlib.nullcontext():
        yield made


@pytest.fixture(params=["torch", "jax"])
def eager(request):
    made = FRAMEWORKS[request.param]()
    with made.jax.enable_x64(True) if isinstance(made, Jax) else contextlib.nullcontext():
        yield made


def assert_close(got, expected, tolerance, what):
    expected = np.asarray(expected)
    assert np.shape(got) == expected.shape, f"{what} has shape {np.shape(got)}"
    largest = max(np.abs(expected).max(), 1e-300)
    off = np.abs(np.asarray(got) - expected).max() / largest
    assert off <= tolerance, f"{what} is off by {off:.2g} of {largest:.3g}: {got} for {expected}"


def gradients(f, arguments):
    """By autograd, of the NumPy front door."""
    return autograd.grad(lambda a: f(*a))([np.asarray(a) for a in arguments])


@pytest.mark.parametrize(
    ("framework", "dtype"),
    [(f, d) for f in ("torch", "jax") for d in TOLERANCES]
    + [(f"{f} compiled", d) for f in ("torch", "jax") for d in ("float64", "bfloat16")],
    indirect=["framework"],
)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_values_and_gradients_are_those_of_numpy(framework, name, dtype):
    f, plain, attributes = OBJECTIVES[name]
    given = [framework.array(a, dtype) for a in plain]
    # What the rounded inputs deserve.
    rounded = [framework.numpy(a) for a in given]
    expected, got = f(*rounded), framework.transform(f)(*given)
    for attribute in attributes:
        at = framework.numpy(getattr(got, attribute))
        what = f"{attribute} of {name} in {dtype}"
        assert_close(at, getattr(expected, attribute), 10 * TOLERANCES[dtype], what)
    value = str(got.value.dtype)
    kept = "float64" if dtype == "float64" else "float32"
    assert value.endswith(kept), f"{name} of {dtype} has a value of {value}"

    def whole(*a):
        # The optimism is differentiable as well.
        result = f(*a)
        return result.value + result.optimism if "optimism" in attributes else result.value

    by_autograd = gradients(whole, rounded)
    for i, (a, b) in enumerate(zip(framework.grad(whole, given), by_autograd, strict=True)):
        what = f"gradient {i} of {name} in {dtype}"
        assert_close(framework.numpy(a), b, OF_GRADIENTS[dtype], what)


@pytest.mark.parametrize("pooled", [False, True])
def test_the_gradient_in_the_reconstructions_is_the_residual_over_the_variance(eager, pooled):
    x, xhat = eager.array(DATA), eager.array(FITS)
    f = of_baggins(pooled=pooled)
    found = eager.grad(lambda xhat: f(x, xhat, 1.5).value, [xhat])[0]
    residual = ((DATA - FITS) ** 2).mean(0)
    noise = DATA.var(axis=0) * np.exp(-3)
    variance = residual + noise
    expected = (DATA - FITS) / (SIZE * (variance.mean() if pooled else variance))
    assert_close(eager.numpy(found), expected, 1e-12, "the gradient in xhat")


@pytest.mark.parametrize("unit", [1e-30, 1e-15, 1e15, 1e30])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", [n for n in OBJECTIVES if "bilbo" not in n])
def test_units_of_the_data_change_nothing(eager, name, dtype, unit):
    f, plain, _ = OBJECTIVES[name]
    given = [eager.array(a * unit, dtype) for a in plain[:2]]
    rest = [eager.array(a, dtype) for a in plain[2:]]
    one = [eager.numpy(a) / unit for a in given] + [eager.numpy(a) for a in rest]
    value = float(f(*given, *rest).value) + DIM * np.log(unit)
    # In float32 the value itself is a number of hundreds, with its rounding.
    most = DIM * abs(np.log(unit)) * (1e-14 if dtype == "float64" else 1e-6)
    off = abs(value - f(*one).value)
    assert off <= most, f"{name}: value off by {off:.2g} in units of {unit:g}"
    found = eager.grad(lambda *a: f(*a, *rest).value, given)
    expected = gradients(lambda *a: f(*a).value, one)
    for a, b in zip(found, expected, strict=False):
        scaled = eager.numpy(a) * unit
        assert_close(
            scaled, b, 10 * OF_GRADIENTS[dtype], f"gradient of {name} in units of {unit:g}"
        )


@pytest.mark.parametrize("unit", [1e-30, 1e-18, 1.0, 1e18, 1e30])
@pytest.mark.parametrize("form", FORMS)
def test_units_of_the_latents_change_nothing(eager, form, unit):
    given = [eager.array(a, "float32") for a in (TERMS, MEANS * unit, SCALE * unit)]
    got = bilbo(*given, form=form)
    expected = bilbo(TERMS, MEANS, SCALE, form=form)
    assert_close(eager.numpy(got.value), expected.value, 1e-5, "the value")
    loc = eager.grad(lambda *a: bilbo(*a, form=form).value, given)[1]
    by_autograd = autograd.grad(lambda m: bilbo(TERMS, m, SCALE, form=form).value)(MEANS)
    assert_close(eager.numpy(loc) * unit, by_autograd, 1e-5, "the gradient in the means")


@pytest.mark.parametrize("ratio", [1e12, 1e18, 1e30])
@pytest.mark.parametrize("form", ["diagonal", "centred"])
def test_a_large_ratio_does_not_overflow_in_single_precision(eager, form, ratio):
    means = MEANS * ratio
    got = bilbo(0.0, eager.array(means, "float32"), 1.0, form=form)
    expected = bilbo(0.0, means, 1.0, form=form)
    assert_close(eager.numpy(got.information), expected.information, 1e-6, "the information")


@pytest.mark.parametrize("pooled", [False, True])
def test_a_perfect_fit_is_finite(framework, pooled):
    x = framework.array(DATA, "float32")
    f = of_baggins(pooled=pooled)
    plain = framework.numpy(x)
    value = framework.transform(f)(x, x, 200.0).value
    assert_close(framework.numpy(value), f(plain, plain, 200.0).value, 1e-5, "the value")
    gradient = framework.grad(lambda xhat: f(x, xhat, 200.0).value, [x])[0]
    assert not framework.numpy(gradient).any(), "a perfect fit has a gradient"
    value = float(profile_likelihood(x, x, pooled=pooled).value)
    assert value == np.inf, f"the profile likelihood of a perfect fit is {value}"


def test_a_constant_column_counts_for_nothing(framework):
    kept = [0, 2, 4]
    data = np.array(DATA)
    # Of no residual, and of some.
    data[:, [1, 3]] = [0.1, -3.0]
    fits = np.array(FITS)
    fits[:, 1] = 0.1
    x, xhat, h = (framework.array(a) for a in (data, fits, PRESUMED))
    f = of_baggins()
    got, expected = (
        framework.transform(f)(x, xhat, h),
        f(data[:, kept], fits[:, kept], PRESUMED[kept]),
    )
    assert_close(framework.numpy(got.value), expected.value, 1e-14, "the value")
    for attribute in ("log_scale", "scale", "information"):
        at = framework.numpy(getattr(got, attribute))
        assert_close(at[kept], getattr(expected, attribute), 1e-14, attribute)
        left = at[[1, 3]]
        nothing = left == 0 if attribute == "information" else np.isnan(left)
        assert nothing.all(), f"{attribute} of a constant column is {left}"
    by_autograd = gradients(lambda *a: f(*a).value, (data[:, kept], fits[:, kept], PRESUMED[kept]))
    found = framework.grad(lambda *a: f(*a).value, [x, xhat, h])
    for a, b in zip(map(framework.numpy, found), by_autograd, strict=True):
        assert_close(a[..., kept], b, 1e-12, "the gradient")
        assert not a[..., [1, 3]].any(), f"a constant column has the gradient {a[..., [1, 3]]}"
    with pytest.raises(ValueError, match="a constant column 1"):
        baggins(data, fits, information=1.0)


def test_a_constant_column_counts_if_pooled(eager):
    data = np.where(np.arange(DIM) == 1, 0.25, DATA)
    got = of_baggins(pooled=True)(eager.array(data), eager.array(FITS), 1.5)
    expected = of_baggins(pooled=True)(data, FITS, 1.5)
    assert_close(eager.numpy(got.value), expected.value, 1e-14, "the value")


def test_data_that_are_all_the_same_have_value_zero(eager):
    x = eager.array(np.ones((3, 2)))
    for pooled in (False, True):
        value = float(of_baggins(pooled=pooled)(x, 0 * x, 1.5).value)
        assert value == 0, f"a constant batch has the value {value}"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_map_over_batches_is_a_batch_at_a_time(eager, name):
    f, plain, _ = OBJECTIVES[name]
    stacks = [np.stack([a, a[..., ::-1] + 1.0 if a.ndim else a + 1.0]) for a in plain]
    got = eager.vmap(lambda *a: f(*a).value)(*map(eager.array, stacks))
    expected = [f(*(s[i] for s in stacks)).value for i in range(2)]
    assert_close(eager.numpy(got), expected, 1e-12, f"{name} over two batches")


@pytest.mark.parametrize("form", FORMS)
def test_a_number_is_a_mean_log_likelihood(eager, form):
    expected = bilbo(TERMS, MEANS, SCALE, form=form)
    plain = bilbo(TERMS.mean(), MEANS, SCALE, form=form)
    assert plain.value == expected.value, f"{plain.value} of a mean, {expected.value} of its terms"
    for number in (eager.array(TERMS.mean()), float(TERMS.mean())):
        got = bilbo(number, eager.array(MEANS), SCALE, form=form)
        assert_close(eager.numpy(got.value), expected.value, 1e-14, "the value of a mean")


def test_both_objectives_make_a_loss(framework):
    def loss(x, xhat, means):
        fit = baggins(x, xhat, information=1.0, pooled=True)
        return -bilbo(fit.value, means, 1.0).value

    given = [framework.array(a) for a in (DATA, FITS, MEANS)]
    by_autograd = gradients(loss, (DATA, FITS, MEANS))
    for a, b in zip(framework.grad(loss, given), by_autograd, strict=True):
        assert_close(framework.numpy(a), b, 1e-12, "a gradient of the loss")


def test_numbers_and_arrays_of_numpy_go_with_tensors(eager):
    got = baggins(DATA, eager.array(FITS), information=PRESUMED, weights=WEIGHTS.tolist())
    expected = baggins(DATA, FITS, information=PRESUMED, weights=WEIGHTS)
    assert_close(eager.numpy(got.value), expected.value, 1e-14, "the value")


def test_pictures_of_bytes_are_numbers(eager):
    pixels = RNG.integers(0, 256, (SIZE, DIM))
    fits = eager.array(pixels + FITS, "float32")
    got = baggins(eager.array(pixels, "uint8"), fits, information=1.0)
    expected = baggins(pixels, eager.numpy(fits), information=1.0)
    assert_close(eager.numpy(got.value), expected.value, 1e-6, "the value of bytes")


def test_what_is_no_number_comes_out(framework):
    hurt = np.array(DATA)
    hurt[2, 1] = np.nan
    given = framework.array(hurt), framework.array(FITS)
    for what, arguments in {"x": given, "xhat": given[::-1]}.items():
        value = float(framework.transform(of_baggins())(*arguments, 1.0).value)
        assert np.isnan(value), f"a NaN in {what} gives {value}"
    value = float(bilbo(0.0, given[0], 1.0).value)
    assert np.isnan(value), f"a NaN in loc gives {value}"


def test_the_optimism_of_one_datum_is_no_number(eager):
    for form in FORMS:
        got = bilbo(0.0, eager.array(MEANS[:1]), 1.0, form=form)
        assert np.isnan(float(got.optimism)), f"{form}: optimism {got.optimism} of one datum"
        expected = bilbo(0.0, MEANS[:1], 1.0, form=form).value
        assert_close(eager.numpy(got.value), expected, 1e-14, f"{form}: the value")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: bilbo(t(4), t(3, 2), 1.0), r"log_likelihood and loc: .* \(4,\) and \(3, 2\)"),
        (lambda t: bilbo(t(3, 1), t(3, 2), 1.0), r"log_likelihood: .* shape \(3, 1\)"),
        (lambda t: bilbo(t(3), t(3), 1.0), r"loc: .* \(N, D\), got \(3,\)"),
        (lambda t: bilbo(t(0), t(0, 2), 1.0), r"loc: .* \(N, D\), got \(0, 2\)"),
        (lambda t: bilbo(t(3), t(3, 2), t(3)), r"scale: .* shape \(2,\) .* got \(3,\)"),
        (lambda t: bilbo(t(3), t(3, 2), 0.0), "scale: expected positive numbers, got 0.0"),
        (lambda t: bilbo(t(3), t(3, 2), t(2), form="banded"), "form: expected one of"),
        (lambda t: baggins(t(3, 2), t(3, 1), information=1.0), r"xhat: .*\(3, 2\).*got \(3, 1\)"),
        (lambda t: baggins(t(3, 1, 4, 4), t(3, 16), information=1.0), r"flatten them: .*\(3, 16\)"),
        (lambda t: baggins(t(3, 2), t(3, 2), information=t(3)), r"information: .*shape \(3,\)"),
        (lambda t: baggins(t(3, 2), t(3, 2), information=-1.0), "from 0 to 1e.06 nats, got -1"),
        (
            lambda t: baggins(t(3, 2), t(3, 2), information=t(2), pooled=True),
            "information: expected a number for pooled dimensions",
        ),
        (
            lambda t: baggins(t(3, 2), t(3, 2), information=1.0, weights=t(2)),
            r"weights: expected shape \(3,\), got \(2,\)",
        ),
        (lambda t: baggins(t(1, 2), t(1, 2), information=1.0), "a batch of one"),
        (lambda t: profile_likelihood(t(3, 2), t(2, 2)), r"xhat: expected shape \(3, 2\)"),
        (lambda t: baggins(t(3, 2), "no", information=1.0), "xhat: expected an array of real"),
        (lambda t: bilbo(1j * t(3), t(3, 2), 1.0), "log_likelihood: expected .*real numbers"),
    ],
)
def test_bad_shapes_are_a_value_error(framework, call, message):
    def tensor(*shape):
        return framework.array(np.arange(1.0, np.prod(shape) + 1).reshape(shape))

    with pytest.raises(ValueError, match=message):
        call(tensor)


def test_tensors_of_two_frameworks_are_refused():
    torch, jax = Torch(), Jax()
    with pytest.raises(ValueError, match="expected those of one framework, got PyTorch and JAX"):
        bilbo(torch.array(TERMS), jax.array(MEANS, "float32"), 1.0)
    with pytest.raises(ValueError, match="got PyTorch and autograd"):
        autograd.grad(lambda s: bilbo(torch.array(TERMS), MEANS, s).value)(1.0)


def test_tensors_of_two_devices_and_sparse_ones_are_refused():
    made = Torch()
    x = made.array(DATA)
    with pytest.raises(ValueError, match="xhat: expected a tensor on cpu, got one on meta"):
        baggins(x, x.to("meta"), information=1.0)
    with pytest.raises(ValueError, match=r"loc: expected a dense tensor, got torch\.sparse"):
        bilbo(0.0, x.to_sparse(), 1.0)


def test_compiled_code_takes_batches_of_any_size():
    made = Torch()

    def loss(x, xhat):
        return -bilbo(baggins(x, xhat, information=1.0).value, xhat, 1.0, form="full").value

    made.torch.compiler.reset()
    compiled = made.torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (5, 7, SIZE):
        got = compiled(made.array(DATA[:size]), made.array(FITS[:size]))
        assert_close(made.numpy(got), loss(DATA[:size], FITS[:size]), 1e-12, f"loss of {size} data")


@pytest.mark.parametrize("name", ["bilbo diagonal", "bilbo centred", "bilbo full", "baggins"])
def test_second_derivatives_are_those_of_numpy(name):
    made = Jax()
    f, plain, _ = OBJECTIVES[name]
    with made.jax.enable_x64(True):
        bend = made.jax.hessian(lambda a: f(plain[0], a, plain[2]).value)(made.array(plain[1]))
    expected = autograd.hessian(lambda a: f(plain[0], a, plain[2]).value)(plain[1])
    assert_close(made.numpy(bend), expected, 1e-11, f"second derivatives of {name}")


def test_half_precision_inside_autocast_is_not_felt():
    made = Torch()
    given = [made.array(a, "float32") for a in (TERMS, MEANS, SCALE)]
    with made.torch.autocast("cpu", dtype=made.torch.bfloat16):
        inside = bilbo(*given, form="full")
    outside = bilbo(*given, form="full")
    for name in ("value", "prior_cov", "optimism"):
        same = made.torch.equal(getattr(inside, name), getattr(outside, name))
        assert same, f"autocast changes {name}"


def test_objectives_of_numpy_load_no_framework():
    code = (
        "import sys, numpy as np\n"
        "from vaetheory import baggins, bilbo\n"
        "x = np.eye(3)\n"
        "bilbo(baggins(x, 0 * x, information=1.0).value, x, 1.0)\n"
        "print(sorted({'torch', 'jax'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", f"NumPy's objectives load {out.stdout}"
