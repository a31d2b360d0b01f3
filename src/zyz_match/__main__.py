"""`python -m zyz_match` is the command line."""

import sys

from zyz_match.cli import main

if __name__ == "__main__":
    sys.exit(main())
