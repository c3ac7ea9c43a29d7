"""How long a run of the claims takes: named profiles."""

from __future__ import annotations

#: Instances drawn in each profile, as a multiple of the proposition's own number.
PROFILES = {"quick": 1, "standard": 10, "thorough": 100}
