"""Our receiver without history: what runs used is not kept up with them.

python bench/peers/forgetful.py receiver FLAGS…
"""

import asyncio
import sys
from unittest.mock import patch

from jobmeter.cli import main
from jobmeter.receiver.bookkeeping import Bookkeeping


async def rest(_: Bookkeeping) -> None:
    """For ever."""
    await asyncio.Event().wait()


if __name__ == "__main__":
    with patch.object(Bookkeeping, "keep", rest):
        sys.exit(main())
