"""The benchmark `containers` in a virtual machine whose kernel has cgroup v2 alone.

    python -m bench.containers_v2

The machine is emulated: its milliseconds say nothing, and an interpreter suffers more from it than the kernel, so the
ratio is an upper bound. Needs what `make test` installs.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from bench.support import ROOT, compile_c
from tests.e2e.support.vm import VirtualMachine

TIMEOUT_SECONDS = 900
SCRIPT = f"chmod +x /bin/idlers /bin/tick_floor && cd {ROOT} && python3 -m bench.containers 2>&1"


def main() -> None:
    """Print what the guest prints."""
    files: dict[str, Path | bytes] = {str(ROOT / "bench"): ROOT / "bench"}
    with TemporaryDirectory() as directory:
        for name in ("idlers", "tick_floor"):
            files[f"/bin/{name}"] = compile_c(name, Path(directory), "-static").read_bytes()
    print(VirtualMachine.prepare().run(SCRIPT, files=files, timeout=TIMEOUT_SECONDS, cpus=2).stdout)


if __name__ == "__main__":
    main()
