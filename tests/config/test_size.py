"""Options of `jobmeter size`."""

from __future__ import annotations

import pytest

from jobmeter.config.size import job_of, size_settings
from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from jobmeter.model.sizing.parameters import Parameters

NAME = "acme/shop/ci.yml/build"


def test_without_options_the_defaults_hold() -> None:
    """Those of the advice itself."""
    settings = size_settings([NAME], {})
    assert (settings.files, settings.parameters, settings.format) == ((NAME,), Parameters(), "text")


@pytest.mark.parametrize("text, value", [("0", 0), ("12.5", 12.5), ("30%", 30), ("400 %", 400)])
def test_a_buffer_is_a_percentage(text: str, value: float) -> None:
    """With its sign or without."""
    assert size_settings([NAME, f"--buffer={text}"], {}).parameters == Parameters(buffer_percent=value)


@pytest.mark.parametrize(
    "argv, sentence",
    [
        ([], "size takes a job that a receiver knows, or journals and summaries"),
        ([NAME, "--runs=0"], "--runs: '0' is not accepted; accepted are 1 to 100 runs"),
        ([NAME, "--runs=101"], "--runs: '101' is not accepted"),
        ([NAME, "--runs=²"], "--runs: '²' is not accepted"),
        ([NAME, "--days=0"], "--days: '0' is not accepted; accepted are 1 to 731 days"),
        ([NAME, "--days=732"], "--days: '732' is not accepted"),
        ([NAME, "--buffer=-1"], "--buffer: '-1' is not accepted; accepted are percentages from 0 to 400"),
        ([NAME, "--buffer=401"], "--buffer: '401' is not accepted"),
        ([NAME, "--buffer=nan"], "--buffer: 'nan' is not accepted"),
        ([NAME, "--cpu-percentile=p42"], "--cpu-percentile: 'p42' is not accepted; accepted are peak, p99"),
        ([NAME, "--format=yaml"], "--format: 'yaml' is not accepted"),
        ([NAME, "--format=json", "--patch=x"], "leave one of them out"),
        ([NAME, "--write"], "--write needs --patch FILE"),
        ([NAME, "--read-token=a", "--read-token-file=/dev/null"], "is no token"),
    ],
)
def test_what_is_not_accepted_is_one_sentence(argv: list[str], sentence: str) -> None:
    """With the flag, its value and what is accepted."""
    with pytest.raises(UsageError) as raised:
        size_settings(argv, {})
    assert sentence in str(raised.value)


def test_variables_say_what_flags_do_not() -> None:
    """One that is not accepted is left out with a sentence."""
    environ = {
        "JOBMETER_SIZE_RUNS": "5",
        "JOBMETER_SIZE_BUFFER": "many",
        "JOBMETER_SIZE_CPU_PERCENTILE": "avg",
        "JOBMETER_SIZE_PATCH": "pod.yaml",
    }
    settings = size_settings([NAME, "--runs=7"], environ)
    assert settings.parameters == Parameters(runs=7, cpu_percentile="avg")
    assert settings.patch == "pod.yaml"
    assert settings.problems == (
        "JOBMETER_SIZE_BUFFER: 'many' is not accepted; accepted are percentages from 0 to 400; it is left out",
    )
    assert size_settings([NAME, "--format=json"], environ).patch is None


@pytest.mark.parametrize(
    "word, names",
    [
        (NAME, ("acme", "shop", "ci.yml", "build")),
        ("acme/acme%2Fshop/CI/build 1%2F3", ("acme", "acme/shop", "CI", "build 1/3")),
        ("a/b/c", None),
        ("a/b/c/d/e", None),
        ("a//c/d", None),
        ("build", None),
    ],
)
def test_a_job_has_four_names(word: str, names: tuple[str, str, str, str] | None) -> None:
    """A slash within one is written %2F."""
    known = dict(zip(("organization", "repository", "workflow", "job"), names or (), strict=False))
    assert job_of(word) == (Job(**known) if names else None)  # type: ignore[arg-type]
