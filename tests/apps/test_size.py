"""`jobmeter size` from argv to exit code."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec.structs import replace

from jobmeter.cli import main
from jobmeter.model import summary as summaries
from jobmeter.model.sizing.advise import answer
from jobmeter.model.sizing.answer import Advice
from jobmeter.model.sizing.observation import observe
from jobmeter.model.summary import Summary
from jobmeter.report.sizing_forms import docker_text, gitlab_yaml, kubernetes_yaml, sizing_json
from jobmeter.spool.journal import Journal
from tests.model.budgets.runs import MIB, box, run_of
from tests.report.sizing_examples import SIZINGS, confident, unknown
from tests.support.receivers import FlakyReceiver, closed_port, serving
from tests.support.runs import records, write_journal

TOKEN = "read-token-of-the-test"
NAME = "acme/shop/ci.yml/build"
NO_RUN = "no run was observed; the default is 4 GiB and 0.50 cores. Known jobs of acme/shop: ci.yml/build."
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: runner}
spec:
  containers:
    - name: build  # the job itself
      image: alpine:3
"""


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; nothing is told by the environment."""
    for name in [name for name in os.environ if name.startswith("JOBMETER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[FlakyReceiver]:
    """One that gives the advice of a build it is sure of."""
    with serving(FlakyReceiver(TOKEN)) as running:
        running.tell = lambda path: msgspec.json.encode(confident())
        yield running


def mistyped() -> Advice:
    """What a receiver says of a job that it does not know."""
    told = unknown()
    reason = f"{told.meta.reason} Known jobs of acme/shop: ci.yml/build."
    return replace(told, meta=replace(told.meta, reason=reason))


def asking(receiver: FlakyReceiver, *words: str) -> list[str]:
    return ["size", NAME, f"--receiver={receiver.url}", f"--read-token={TOKEN}", *words]


def run(number: int, **fields: Any) -> Summary:
    """One of the runs of a job, each of which needs a little more."""
    container = box(memory_working_set_peak_bytes=(300 + number) * MIB)
    return run_of(container, run_uid=f"uid-{number}", end_time=f"2026-11-21T12:0{number}:00.000Z", **fields)


def write_runs(*runs: Summary) -> list[str]:
    for each in runs:
        Path(f"{each.run_uid}.json").write_bytes(summaries.encode(each))
    return [f"{each.run_uid}.json" for each in runs]


def test_a_receiver_is_asked(receiver, capsys):
    """With the job's four names, each encoded, and what was chosen; the text says of which job it is."""
    assert main(["size", "a b/a b%2Fc/ci.yml/build 1%2F3", *asking(receiver)[2:], "--buffer=12.5"]) == 0
    assert [one.path for one in receiver.asked] == [
        "/api/v1/sizing/repo/a%20b/a%20b%2Fc/ci.yml/build%201%2F3?runs=20&buffer=12.5&cpu_percentile=p95"
    ]
    asked = receiver.asked[0].path
    assert (
        main(["size", "a b/a b%2Fc/ci.yml/build 1%2F3", *asking(receiver)[2:], "--buffer=12.5", "--days=9"])
        == 0
    )
    assert receiver.asked[1].path == f"{asked}&days=9"
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [
        "sizing: request 960 MiB and 2.80 cores (confident)",
        "  a b/c · ci.yml / build 1/3",
    ]
    assert said.err == ""


@pytest.mark.parametrize("name", [name for name in SIZINGS if name != "unknown"])
@pytest.mark.parametrize(
    "form, made",
    [
        ("json", lambda advice: sizing_json(advice).decode()),
        ("kubernetes", kubernetes_yaml),
        ("docker", docker_text),
        ("gitlab", gitlab_yaml),
    ],
)
def test_each_form_is_that_of_the_advice(receiver, form, made, name, capsys):
    """The way over HTTP loses nothing of it."""
    receiver.tell = lambda path: msgspec.json.encode(SIZINGS[name]())
    assert main(asking(receiver, f"--format={form}")) == 0
    assert capsys.readouterr().out == made(SIZINGS[name]())


def test_files_need_no_receiver(receiver, capsys):
    """Summaries and journals of one job; a run that is in two of them counts once."""
    runs = [run(number) for number in range(4)]
    files = write_runs(*runs)
    assert main(["size", *files, files[0], "--format=json", f"--receiver={receiver.url}"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out, type=Advice)
    assert told == answer([observe(each) for each in runs])
    assert receiver.asked == []


def test_one_file_is_a_file(capsys):
    """Also where its path looks like a job."""
    Path(NAME).parent.mkdir(parents=True)
    Path(NAME).write_bytes(summaries.encode(run(1)))
    assert main(["size", NAME]) == 0
    assert "  acme/engine · ci.yaml / build\n" in capsys.readouterr().out


def test_a_run_that_goes_on_is_left_out(tmp_path, capsys):
    """What it needs is not known yet."""
    path = str(write_journal(tmp_path / "journal.jsonl", *records(ended=False)))
    writer = Journal(path, print)
    assert main(["size", path]) == 0
    writer.close()
    said = capsys.readouterr()
    assert said.err == f"jobmeter: {path} is left out: its run goes on\n"
    assert "(unknown)" in said.out


def test_legs_of_a_matrix_are_one_job(capsys):
    """The highest of them, and the title names none."""
    job = run_of().job
    legs = [run(number, job=replace(job, matrix={"os": f"{number % 2}"}, run_id="7")) for number in range(4)]
    assert main(["size", *write_runs(*legs)]) == 0
    said = capsys.readouterr().out
    assert "The highest of 2 legs" in " ".join(said.split())
    assert "  acme/engine · ci.yaml / build\n" in said


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["uid-1.json", "--days=7"], 2, "--days asks a receiver that knows the job"),
        ([NAME], 2, f"'{NAME}' is no file, and no receiver was named to ask for such a job; --receiver or"),
        (["nonesuch.json"], 2, "'nonesuch.json' is no file, and no job: that is ORG/REPO/WORKFLOW/JOB"),
        (["uid-1.json", "nonesuch.json"], 1, "nonesuch.json cannot be read: No such file"),
        (["uid-1.json", "other.json"], 2, "acme/acme/engine/ci.yaml/build and acme/acme/engine/ci.yaml/test"),
        (["uid-1.json", "odd.json"], 1, "the run uid-5 has numbers that no machine has"),
        (["uid-1.json", "--patch=nonesuch.yaml"], 2, "--patch: nonesuch.yaml cannot be read: No such file"),
        (["uid-1.json", "--patch=."], 2, "--patch: . cannot be read: Is a directory"),
        (["uid-1.json", "--patch=binary"], 2, "--patch: binary is no text in UTF-8"),
        (["uid-1.json", "--patch=nonesuch/x", "--write"], 2, "--patch: the directory"),
        (["uid-1.json", "--patch=uid-1.json"], 2, "uid-1.json is no Kubernetes manifest"),
        (["-", "--nonesuch"], 2, "the flag --nonesuch is not known"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(words, code, sentence, capsys):
    """And nothing on stdout."""
    write_runs(run(1), run(5, duration_seconds=1e300))
    Path("uid-5.json").rename("odd.json")
    other = run(2, job=replace(run_of().job, job="test"))
    Path("other.json").write_bytes(summaries.encode(other))
    Path("binary").write_bytes(b"\xff\x00")
    assert main(["size", *words]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert (len(said.err.splitlines()), said.out) == (1, "")


@pytest.mark.parametrize("told", [b"<html>", b"[]", b'{"containers": []}', b"\xff", b"[" * 100_000])
def test_another_service_is_named_as_such(receiver, told, capsys):
    """One sentence, exit code 1."""
    receiver.tell = lambda path: told
    assert main(asking(receiver)) == 1
    assert "answered something else than sizing advice; is the address right?" in capsys.readouterr().err


def test_a_receiver_that_is_away_or_refuses(receiver, capsys):
    """No secret is repeated."""
    assert main(["size", NAME, f"--receiver=http://user:secret@127.0.0.1:{closed_port()}"]) == 1
    assert main(["size", NAME, f"--receiver={receiver.url}", "--read-token=wrong-token"]) == 1
    said = capsys.readouterr()
    assert "cannot be reached" in said.err
    assert "answered 401" in said.err
    assert ". Give its read token with --read-token-file FILE or $JOBMETER_READ_TOKEN." in said.err
    assert "secret" not in said.err
    assert "wrong-token" not in said.err


def test_a_patch_is_shown(receiver, capsys):
    """As a diff that can be applied; the file stays as it is."""
    Path("pod.yaml").write_text(MANIFEST)
    assert main(asking(receiver, "--patch=pod.yaml")) == 0
    said = capsys.readouterr()
    assert (Path("pod.yaml").read_text(), said.err) == (MANIFEST, "")
    assert "+          memory: 960Mi\n" in said.out
    subprocess.run(["git", "apply"], input=said.out, text=True, check=True)
    assert Path("pod.yaml").read_text() != MANIFEST
    assert main(asking(receiver, "--patch=pod.yaml")) == 0
    assert capsys.readouterr() == ("", "jobmeter: pod.yaml says that already, nothing is to be changed\n")


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755])
def test_a_patch_is_written(receiver, mode, capsys):
    """Whole, through a link, with the file's mode, and nothing is left beside it."""
    Path("real").mkdir()
    file = Path("real/pod.yaml")
    file.write_bytes(MANIFEST.replace("\n", "\r\n").encode())
    file.chmod(mode)
    Path("pod.yaml").symlink_to(file)

    assert main(asking(receiver, "--patch=pod.yaml", "--write")) == 0

    assert capsys.readouterr() == ("", "jobmeter: pod.yaml is changed\n")
    assert Path("pod.yaml").is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert os.listdir("real") == ["pod.yaml"]
    written = file.read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") > MANIFEST.count("\n")
    (container,) = yaml.safe_load(written)["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": 3, "memory": "1Gi"}


def test_what_cannot_be_written_stays_as_it_was(receiver, monkeypatch, capsys):
    """One sentence, and no part of it is left."""
    Path("pod.yaml").write_text(MANIFEST)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(asking(receiver, "--patch=pod.yaml", "--write")) == 1
    said = capsys.readouterr().err
    assert said == "jobmeter size: pod.yaml could not be written: No space left on device\n"
    assert Path("pod.yaml").read_text() == MANIFEST
    assert os.listdir() == ["pod.yaml"]


def test_advice_that_is_not_sure_is_said_to_be(capsys):
    """Before it is written somewhere; and a container that the file does not have is named."""
    Path("pod.yaml").write_text(MANIFEST)
    (file,) = write_runs(run_of(box(), box("postgres"), run_uid="uid-1"))
    assert main(["size", file, "--patch=pod.yaml"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("jobmeter: learning: 1 clean run of 1.")
    assert second == "jobmeter: postgres is not in pod.yaml, so its advice is left out"


def test_of_a_job_without_a_run_nothing_is_written(receiver, capsys):
    """One sentence, with the jobs that are known: the name may be mistyped."""
    receiver.tell = lambda path: msgspec.json.encode(mistyped())
    Path("pod.yaml").write_text(MANIFEST)
    for words in (["--write"], []):
        assert main(asking(receiver, "--patch=pod.yaml", *words)) == 1
        assert capsys.readouterr() == ("", f"jobmeter size: pod.yaml is not changed: {NO_RUN}\n")
    assert Path("pod.yaml").read_text() == MANIFEST


@pytest.mark.parametrize("form", ["kubernetes", "docker", "gitlab"])
def test_of_a_job_without_a_run_there_is_nothing_to_copy(receiver, form, capsys):
    """What is put into a file by hand is none either; the text and the JSON say it and end well."""
    receiver.tell = lambda path: msgspec.json.encode(mistyped())
    assert main(asking(receiver, f"--format={form}")) == 1
    assert capsys.readouterr() == ("", f"jobmeter size: nothing to write as {form}: {NO_RUN}\n")
    assert main(asking(receiver)) == 0
    assert "Known jobs of acme/shop: ci.yml/build." in " ".join(capsys.readouterr().out.split())
    assert main(asking(receiver, "--format=json")) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=Advice) == mistyped()
