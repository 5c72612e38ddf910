"""Where one forge's runners are remembered."""

from pathlib import Path

from jobmeter.gateway.keeping.finals import Spool
from jobmeter.gateway.keeping.state import StateFile
from jobmeter.ops.log import Log


class Keeping:
    """A folder of ``state_dir`` with the forge's name: its state, and its last reports."""

    def __init__(self, state_dir: Path, forge: str, log: Log) -> None:
        self.folder = state_dir / forge
        self.state = StateFile(self.folder, log)
        self.finals = Spool(self.folder / "finals")
