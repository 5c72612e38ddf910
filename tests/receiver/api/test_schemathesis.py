"""Schemathesis over the whole OpenAPI document against a running receiver with a few runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from jobmeter.model.evidence.document import encode
from tests.conftest import TESTS
from tests.model.evidence.examples import evidence
from tests.receiver.api import ndjson
from tests.receiver.api.running import PUSH, READ, RunningReceiver
from tests.receiver.api.test_runs import WHEN, records_of, summary_of, uid

EXAMPLES_PER_OPERATION = 30
CONFIG = """
color = false
seed = 1
max-failures = 20
warnings = false
generation.max-examples = {examples}
headers.Authorization = "Bearer {read}"

[dictionaries.runs]
values = {runs}

[parameters]
"path.run_uid" = {{ dictionary = "runs", probability = 0.7 }}

[[operations]]
include-method = "POST"
exclude-path = "/api/v1/token"
headers.Authorization = "Bearer {push}"
# That one of three fields must be there, or that lines are records of the path's run, no schema says.
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409", "415"]

[[operations]]
include-path = "/api/v1/token"
# To the schema 60.0 is a whole number, too.
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]
"""


def test_the_receiver_never_fails_and_answers_as_its_document_says(
    receiver: RunningReceiver, tmp_path: Path
) -> None:
    """No 5xx; statuses, media types, headers and bodies are documented; what is not accepted is refused."""
    receiver.stream(records_of(90))
    receiver.stream(records_of(91, whole=False))
    receiver.push(summary_of(92))
    assert receiver.attach(uid(92), encode(evidence(**WHEN))).ok
    config = tmp_path / "schemathesis.toml"
    runs = [uid(number) for number in (90, 91, 92)]
    config.write_text(CONFIG.format(examples=EXAMPLES_PER_OPERATION, read=READ, push=PUSH, runs=runs))

    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"]
    result = subprocess.run(
        [*command, f"{receiver.url}/openapi.json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent), "SCHEMATHESIS_HOOKS": ndjson.__name__},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "trace" not in receiver.log.read_text()
