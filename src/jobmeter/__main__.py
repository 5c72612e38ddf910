"""``python -m jobmeter``."""

import sys

from jobmeter.cli import main

sys.exit(main())
