"""When a pair of a cell and a datum is resolved, and what a cell inherits from its parent."""

#: A pair is resolved if, within the cell, log p departs from its tangent by at most this
#: (a standard Gaussian does so 6 standard deviations away), ...
MAX_BEND = 18.0
#: ... the decoder's curvature changes log p by at most this, ...
MAX_CURVE = 10.0
#: ... and the log prior departs from its tangent by at most this; all in nats.
MAX_PRIOR = 12.0
#: A cell's variation is assumed to be at least this share of what its parent predicts, ...
INHERITED = 0.5
#: ... but no more than this many times its own estimate.
TRUSTED = 8.0
LINEAR_SAFETY = 1.25
#: At least this share of the decoder's curvature is assumed to lie along the score.
ALIGNED = 0.1
#: Digits that differences of huge values have lost.
LOST = 1e-14
