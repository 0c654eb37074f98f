"""`python -m datums.cli`."""

import sys

from datums.cli import main

sys.exit(main())
