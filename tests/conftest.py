"""Settings shared by the suite."""

from hypothesis import settings

# The same draws on every machine and every run; the registry's own seeds are apart from this.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")
