"""The cases of log_evidence.json, and how each is solved."""


def affine(weight, bias):
    return {"kind": "affine", "weight": [r.split() for r in weight], "bias": bias.split()}


def polynomial(powers, coefficients):
    return {
        "kind": "polynomial",
        "powers": powers,
        "coefficients": [c.split() for c in coefficients],
    }


def square(d):
    """f_i = z_i^2."""
    powers = [[2 * (i == j) for j in range(d)] for i in range(d)]
    return {
        "kind": "polynomial",
        "powers": powers,
        "coefficients": [["1" if i == j else "0" for j in range(d)] for i in range(d)],
    }


def norm_square(d):
    """F = |z|^2."""
    return {"kind": "polynomial", "powers": square(d)["powers"], "coefficients": [["1"]] * d}


def tanh(w1, w2, b1, b2):
    def rows(w):
        return [r.split() for r in w]

    return {"kind": "tanh", "weights": [rows(w1), rows(w2)], "biases": [b1.split(), b2.split()]}


def gaussian(scale):
    return {"kind": "gaussian", "scale": scale}


W2_4_3 = ["0.75 -0.5 0.25 1.0", "-0.25 1.0 0.5 -0.75", "0.5 0.25 -1.0 0.5"]
TANH_1 = tanh(["1.25", "-0.75", "2.0", "0.5"], W2_4_3, "0.25 -0.5 -1.0 0.75", "0.125 -0.25 0.0")
TANH_2 = tanh(
    ["1.0 0.5", "-0.5 1.25", "0.75 -1.0", "0.25 0.75"],
    W2_4_3,
    "0.25 -0.25 0.5 0.0",
    "0.125 -0.25 0.0",
)
TANH_3 = tanh(
    ["0.5 0.125 -0.25", "-0.125 0.375 0.25", "0.25 -0.125 0.5"],
    ["2.0 -0.5 1.0", "0.5 2.5 -1.0", "-1.0 0.5 2.0"],
    "0.125 -0.25 0.0",
    "0.25 0.0 -0.125",
)
GRAPH = polynomial(
    [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2]], ["1 0 0", "0 1 0", "0 0 0.5", "0 0 0.25", "0 0 -0.25"]
)
BANANA = polynomial([[1, 0], [0, 1], [2, 0]], ["1 0", "0 1", "0 1"])
BEND = polynomial([[1, 0], [0, 1], [2, 0]], ["1 0", "0 1", "0 0.25"])
LOGITS_1 = affine(["1.5", "-0.75", "2.0", "0.5", "-1.25", "1.0"], "0.25 -0.5 0.0 1.0 0.75 -1.5")
LOGITS_2 = affine(
    ["1.5 0.5", "-0.75 1.0", "2.0 -1.0", "0.5 0.75", "-1.25 0.25", "1.0 1.5"],
    "0.25 -0.5 0.0 1.0 0.75 -1.5",
)


def cases():
    """Pairs of a case and its options for ``solve`` (a lattice step to start with, a route)."""
    out = []

    def add(name, d, decoder, likelihood, x, **options):
        case = {
            "name": name,
            "latent_dim": d,
            "decoder": decoder,
            "likelihood": likelihood,
            "x": x.split(),
        }
        out.append((case, options))

    # ---- d = 1 ----
    add("linear_d1", 1, affine(["1.5"], "0.25"), gaussian("1.0"), "0.75")
    add(
        "linear_d1_D3_0.01",
        1,
        affine(["1.5", "-0.5", "0.75"], "0.25 0.0 -1.0"),
        gaussian("0.01"),
        "1.375 -0.375 -0.4375",
    )
    for s in ("1.0", "0.1", "0.01", "0.001", "0.0001"):
        add(f"square_d1_{s}", 1, square(1), gaussian(s), "1.5")
    # (z - 1/2)^2: preimages 2 and -1 of different prior weight.
    add(
        "unequal_two_modes",
        1,
        polynomial([[0], [1], [2]], ["0.25", "-1", "1"]),
        gaussian("0.0625"),
        "2.25",
    )
    # z^2 + z^3/8: preimages 0.95 and -1.1, and a third at -7.8 of prior weight e^-31.
    add(
        "unequal_remote_third_mode",
        1,
        polynomial([[2], [3]], ["1", "0.125"]),
        gaussian("0.0625"),
        "1.0",
    )
    add("cubic_three_modes", 1, polynomial([[1], [3]], ["-3", "1"]), gaussian("0.125"), "0.5")
    add("cubic_three_modes_0.001", 1, polynomial([[1], [3]], ["-3", "1"]), gaussian("0.001"), "0.5")
    circle = {"kind": "circle", "radius": "1.0"}
    add("circle_0.3", 1, circle, gaussian("0.3"), "0.625 0.875")
    add("circle_0.001", 1, circle, gaussian("0.001"), "0.625 0.78125")
    add("tanh_d1_1.0", 1, TANH_1, gaussian("1.0"), "2.75 -2.640625 0.75")
    add("tanh_d1_0.1", 1, TANH_1, gaussian("0.1"), "2.078125 -1.7421875 0.296875")
    add(
        "tanh_d1_0.001",
        1,
        TANH_1,
        gaussian("0.001"),
        "2.00048828125 -1.6395263671875 0.251220703125",
    )
    add(
        "tanh_d1_0.0001",
        1,
        TANH_1,
        gaussian("0.0001"),
        "1.99982452392578125 -1.638641357421875 0.2507171630859375",
    )
    sine1 = {"kind": "sine", "amplitude": ["1.0"], "frequency": [["12.0"]], "phase": ["0.25"]}
    sine2 = {
        "kind": "sine",
        "amplitude": ["1.0", "0.5"],
        "frequency": [["12.0"], ["5.0"]],
        "phase": ["0.25", "-0.5"],
    }
    add("sine_frequency12_0.1", 1, sine1, gaussian("0.1"), "0.5")
    add("sine_frequency12_5_0.05", 1, sine2, gaussian("0.05"), "0.5 0.25")
    add("sinh_d1_0.01", 1, {"kind": "sinh", "scale": "0.5"}, gaussian("0.01"), "2.25")
    add("far_linear_1", 1, affine(["1.0"], "0.0"), gaussian("1.0"), "40.0")
    add("far_linear_0.1", 1, affine(["1.0"], "0.0"), gaussian("0.1"), "40.0")
    add("far_tanh_d1_1", 1, TANH_1, gaussian("1.0"), "40.0 0.25 -0.5")
    add("far_tanh_d1_0.1", 1, TANH_1, gaussian("0.1"), "40.0 0.25 -0.5")
    add("far_square_1600", 1, square(1), gaussian("1.0"), "1600.5")
    add("far_square_no_preimage", 1, square(1), gaussian("1.0"), "-40.0")
    parabola = polynomial([[1], [2]], ["1 0", "0 1"])
    add("unequal_scales_d1", 1, parabola, gaussian(["1.0", "0.001"]), "0.5 1.5")
    correlated = {"kind": "gaussian", "cov": [["1.0", "0.9990234375"], ["0.9990234375", "1.0"]]}
    add("correlated_d1", 1, polynomial([[1], [2]], ["1 1", "0 0.25"]), correlated, "0.75 1.0")
    add("bernoulli_d1_D1", 1, affine(["1.5"], "0.25"), {"kind": "bernoulli"}, "1")
    add("bernoulli_d1_D6", 1, LOGITS_1, {"kind": "bernoulli"}, "1 0 1 1 0 1")
    add("poisson_d1", 1, affine(["0.75", "-0.5"], "0.5 1.0"), {"kind": "poisson"}, "3 0")
    add(
        "poisson_d1_counts500",
        1,
        affine(["0.5", "-0.25"], "6.0 6.25"),
        {"kind": "poisson"},
        "512 487",
    )
    add(
        "categorical_d1",
        1,
        affine(["1.0", "-0.5", "0.25", "2.0"], "0.0 0.5 -0.25 -1.0"),
        {"kind": "categorical"},
        "0 0 0 1",
    )
    add(
        "gamma_d1_shape0.5",
        1,
        affine(["0.75", "-0.5"], "0.25 0.5"),
        {"kind": "gamma", "shape": "0.5"},
        "0.125 2.5",
    )
    add(
        "gamma_d1_shape3",
        1,
        affine(["0.75", "-0.5"], "0.25 0.5"),
        {"kind": "gamma", "shape": "3.0"},
        "4.0 0.75",
    )
    # ---- d = 2 ----
    for s in ("0.1", "0.01", "0.001"):
        add(f"graph_{s}", 2, GRAPH, gaussian(s), "0.75 -0.5 0.125")
    for s in ("0.1", "0.001"):
        add(f"folded_d2_{s}", 2, square(2), gaussian(s), "1.5 0.75", routes="separable")
    for s, w in (("0.1", 0.035), ("0.01", 0.0035)):  # the width of the ring
        add(f"ring_{s}", 2, norm_square(2), gaussian(s), "2.0", width=w, step=0.46)
    add("banana_far_0.05", 2, BANANA, gaussian("0.05"), "6.0 30.0", routes="banana")
    add("tanh_d2_1.0", 2, TANH_2, gaussian("1.0"), "1.8125 -1.65625 -0.40625", step=0.15)
    add("tanh_d2_0.1", 2, TANH_2, gaussian("0.1"), "1.140625 -0.7578125 -0.8515625", step=0.18)
    add(
        "tanh_d2_0.001",
        2,
        TANH_2,
        gaussian("0.001"),
        "1.06982421875 -0.6611328125 -0.9024658203125",
    )
    near = affine(["1.0 1.0009765625", "0.5 0.5", "-0.75 -0.7490234375"], "0.0 0.25 -0.5")
    add("near_singular_d2_0.001", 2, near, gaussian("0.001"), "1.25 0.875 -1.4365234375")
    add(
        "far_linear_d2_0.1",
        2,
        affine(["1.0 0.5", "-0.5 1.25", "0.75 0.25"], "0.0 0.0 0.0"),
        gaussian("0.1"),
        "40.0 -40.0 20.0",
    )
    add("far_tanh_d2_1", 2, TANH_2, gaussian("1.0"), "40.0 0.25 -0.5", step=0.24)
    add(
        "unequal_scales_d2",
        2,
        affine(["1.0 0.5", "0.25 1.0", "-0.5 0.75"], "0.0 0.5 0.0"),
        gaussian(["1.0", "0.001", "0.125"]),
        "0.5 1.25 -0.25",
    )
    add(
        "correlated_d2",
        2,
        BEND,
        {
            "kind": "gaussian",
            "cov": [["0.0625", "0.06243896484375"], ["0.06243896484375", "0.0625"]],
        },
        "0.75 0.5",
        routes="banana",
        step=0.06,
    )
    add("bernoulli_d2_D6", 2, LOGITS_2, {"kind": "bernoulli"}, "1 0 1 1 0 1", step=0.2)
    add(
        "poisson_d2",
        2,
        affine(["0.75 0.25", "-0.5 0.5", "0.25 -0.75"], "0.5 1.0 0.0"),
        {"kind": "poisson"},
        "3 0 2",
        step=0.28,
    )
    add(
        "poisson_d2_counts500",
        2,
        affine(["0.5 0.25", "-0.25 0.5", "0.125 -0.125"], "6.0 6.25 6.0"),
        {"kind": "poisson"},
        "512 487 350",
    )
    add(
        "categorical_d2",
        2,
        affine(["1.0 0.5", "-0.5 1.0", "0.25 -1.5", "2.0 0.0"], "0.0 0.5 -0.25 -1.0"),
        {"kind": "categorical"},
        "0 1 0 0",
        step=0.12,
    )
    gamma2 = affine(["0.75 0.25", "-0.5 0.5", "0.25 -0.75"], "0.25 0.5 0.0")
    add(
        "gamma_d2_shape0.5",
        2,
        gamma2,
        {"kind": "gamma", "shape": "0.5"},
        "0.125 2.5 1.0",
        step=0.26,
    )
    add("gamma_d2_shape3", 2, gamma2, {"kind": "gamma", "shape": "3.0"}, "4.0 0.75 1.5", step=0.3)
    # ---- d = 3 ----
    w3 = affine(
        ["1.0 0.25 -0.5", "0.5 -1.0 0.25", "-0.25 0.5 1.0", "0.75 0.5 0.25"], "0.0 0.25 -0.5 0.125"
    )
    add(
        "linear_d3_0.001",
        3,
        w3,
        gaussian("0.001"),
        "0.0634765625 0.9365234375 0.00048828125 0.5625",
        step=0.46,
    )
    add(
        "sinh_d3_0.01",
        3,
        {"kind": "sinh", "scale": "0.5"},
        gaussian("0.01"),
        "0.5 -1.25 2.0",
        routes="separable",
    )
    add("folded_d3_0.05", 3, square(3), gaussian("0.05"), "1.5 0.75 0.25", routes="separable")
    add("sphere_d3_0.1", 3, norm_square(3), gaussian("0.1"), "2.0", routes="radial")
    add("tanh_d3_0.1", 3, TANH_3, gaussian("0.1"), "1.328125 -1.5390625 0.125", step=0.38)
    add(
        "tanh_d3_0.001",
        3,
        TANH_3,
        gaussian("0.001"),
        "1.25537109375 -1.43994140625 0.07861328125",
        step=0.46,
    )
    return out
