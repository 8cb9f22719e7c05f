"""`python -m penstock` is `penstock`. Nothing else is done here."""

import sys

from penstock.cli import main

if __name__ == "__main__":
    sys.exit(main())
