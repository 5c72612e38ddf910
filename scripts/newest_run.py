"""Ask a receiver for its newest run and print one line of it: python scripts/newest_run.py URL."""

import json
import sys
from urllib.request import urlopen


def main(base: str) -> None:
    """Print which job it was, how it ended and what it used."""
    with urlopen(f"{base}/api/v1/runs?limit=1", timeout=10) as answer:
        (run,) = json.load(answer)["runs"]
    job = "/".join(str(run["job"][name]) for name in ("repository", "workflow", "job"))
    print(f"  {job}: {run['state']}, {run['duration_seconds']:.1f} s, {run['cpu_seconds']:.1f} s of CPU time")


if __name__ == "__main__":
    main(sys.argv[1])
