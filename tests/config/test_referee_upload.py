"""What `--upload` accepts, and what it takes from a job's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobmeter.config.referee import RefereeSettings, referee_settings
from jobmeter.model.errors import UsageError
from jobmeter.referee.uploads.options import UploadOptions

LEAST = ["--prometheus-address=http://prometheus.example:9090", '--selector=a="b"', "--since=1m"]
GITLAB = {"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_JOB_ID": "103", "CI_JOB_TOKEN": "s3cret"}
ACTIONS = {"ACTIONS_RUNTIME_TOKEN": "s3cret", "ACTIONS_RESULTS_URL": "https://forge.example"}
SIGNED = "https://bucket.s3.example/evidence.json?X-Amz-Signature=s3cret"


def settings(place: str, environ: dict[str, str], *argv: str) -> RefereeSettings:
    return referee_settings([*LEAST, f"--upload={place}", *argv], environ)


def refusal(place: str, environ: dict[str, str], *argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        settings(place, environ, *argv)
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "place, environ, expected",
    [
        (
            "gitlab",
            GITLAB | {"CI_SERVER_TLS_CA_FILE": "/builds/ca.pem"},
            UploadOptions(
                kind="gitlab",
                address="https://gitlab.example/api/v4",
                job_id="103",
                token="s3cret",
                ca_file="/builds/ca.pem",
            ),
        ),
        (
            "actions",
            ACTIONS
            | {"ACTIONS_RUNTIME_URL": "https://forge.example/api/actions_pipeline/", "GITHUB_RUN_ID": "21"},
            UploadOptions(
                kind="actions",
                address="https://forge.example",
                token="s3cret",
                runtime_url="https://forge.example/api/actions_pipeline/",
                run_id="21",
            ),
        ),
        (SIGNED, {}, UploadOptions(kind="presigned", address=SIGNED)),
        ("/", {}, UploadOptions(kind="directory", address="/")),
    ],
)
def test_the_place_is_made_of_the_jobs_environment(
    place: str, environ: dict[str, str], expected: UploadOptions
) -> None:
    """The same by the variable; no secret is in what is shown of it."""
    assert settings(place, environ).upload == expected
    by_variable = referee_settings(LEAST, environ | {"JOBMETER_REFEREE_UPLOAD": place})
    assert by_variable.upload == expected
    assert "s3cret" not in repr(by_variable)


@pytest.mark.parametrize(
    "place, environ, sentence",
    [
        (
            "gitlab",
            {},
            "--upload gitlab needs CI_API_V4_URL, which a job of that forge has in its environment",
        ),
        ("gitlab", GITLAB | {"CI_JOB_TOKEN": ""}, "--upload gitlab needs CI_JOB_TOKEN"),
        ("gitlab", GITLAB | {"CI_JOB_TOKEN": "s3cret\nX: y"}, "CI_JOB_TOKEN has a blank"),
        ("gitlab", GITLAB | {"CI_JOB_ID": "1/../2"}, "CI_JOB_ID: '1/../2' is no number"),
        ("gitlab", GITLAB | {"CI_API_V4_URL": "gitlab"}, "CI_API_V4_URL: 'gitlab' is no address"),
        ("actions", {"ACTIONS_RUNTIME_TOKEN": "s3cret"}, "--upload actions needs ACTIONS_RUNTIME_URL"),
        ("actions", {"ACTIONS_RESULTS_URL": "https://a"}, "--upload actions needs ACTIONS_RUNTIME_TOKEN"),
        ("gitlba", {}, "'gitlba' is none of them; accepted are gitlab, actions, a directory that is there"),
        ("ftp://a/b?s3cret", {}, "'ftp://a/b' is no address"),
        ("https://a/b?x=s3cret c", {}, "the URL of 'a' has a fragment, a blank or another sign than ASCII"),
        ("https://me:s3cret@a/b?x", {}, "the URL of 'a' has a user name; a presigned URL has none"),
    ],
)
def test_what_cannot_serve_is_one_sentence(place: str, environ: dict[str, str], sentence: str) -> None:
    """Which never has the secret."""
    assert sentence in refusal(place, environ)


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_gitlab_is_sent_json_only(form: str) -> None:
    """Its type of artifact is that of its referee."""
    assert "--upload gitlab takes --format full and compat" in refusal("gitlab", GITLAB, f"--format={form}")


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked."""
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "is not writable" in refusal(str(tmp_path), {})
