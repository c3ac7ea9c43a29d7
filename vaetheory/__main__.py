"""`python -m vaetheory`."""

import sys

from vaetheory.cli import main

if __name__ == "__main__":
    sys.exit(main())
