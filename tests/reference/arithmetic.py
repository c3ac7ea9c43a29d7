"""The numbers of the parameters, and elementary functions in float and in mpmath."""

import math

from mpmath import mp

mp.dps = 60


def number(s):
    """The mp number of a parameter: a decimal string stands for its float64."""
    return mp.mpf(float(s)) if isinstance(s, str) else mp.mpf(s)


def numbers(a):
    return [numbers(b) for b in a] if isinstance(a, (list, tuple)) else number(a)


def floats(a):
    return [floats(b) for b in a] if isinstance(a, list) else float(a)


class Functions:
    """The elementary functions and the parameters, in float (guarded against overflow) or in mp."""

    def __init__(self, exact):
        if exact:
            self.exp, self.sinh, self.dot = mp.exp, mp.sinh, mp.fdot
            self.tanh, self.sin, self.cos = mp.tanh, mp.sin, mp.cos
            self.zero = mp.mpf(0)
            self.softplus = lambda t: mp.log1p(mp.exp(t)) if t < 0 else t + mp.log1p(mp.exp(-t))
            self.log, self.numbers = mp.log, numbers
        else:
            self.exp = lambda t: math.exp(min(t, 700.0))
            self.sinh = lambda t: math.sinh(max(-350.0, min(350.0, t)))
            self.dot = lambda a, b: sum(map(float.__mul__, a, b))
            self.tanh, self.sin, self.cos = math.tanh, math.sin, math.cos
            self.zero = 0.0
            self.softplus = lambda t: (
                math.log1p(math.exp(t)) if t < 0 else t + math.log1p(math.exp(-t))
            )
            self.log, self.numbers = math.log, lambda a: floats(numbers(a))


FLOAT, EXACT = Functions(False), Functions(True)


def digits_between(a, b):
    if a == b:
        return float(mp.dps)
    return float(-mp.log10(abs(a - b) / max(abs(a), abs(b))))
