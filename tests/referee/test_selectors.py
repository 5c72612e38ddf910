"""Which series are a job's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import UsageError
from jobmeter.model.job import Job
from jobmeter.referee.selectors import (
    EXECUTORS,
    Container,
    Executor,
    Host,
    Labelled,
    Pod,
    bare,
    check_template,
    fill,
    matcher,
    selector_of,
    values_of,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
KNOWN = values_of(Job(runner="large-1", repository="my-org/app"), "4711")


def unquoted(text: str) -> str:
    """What a text in quotes means to PromQL, whose quotes are those of Go."""
    assert text[0] == text[-1]
    assert text[0] not in re.sub(r"\\.", "", text[1:-1])
    return re.sub(
        r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))",
        lambda found: found[3] or chr(int(found[1] or found[2], 16)),
        text[1:-1],
    )


@pytest.mark.parametrize(
    "executors, selector",
    [
        ([Host("runner-1")], r'instance=~"runner-1(:[0-9]+)?"'),
        ([Host("runner-1.example")], r'instance=~"runner-1\\.example(:[0-9]+)?"'),
        ([Host("runner-1:9100")], 'instance="runner-1:9100"'),
        ([Host("{runner_name}")], 'instance=~"large-1(:[0-9]+)?"'),
        ([Pod("runner-x1"), Labelled("namespace", "ci")], 'pod="runner-x1",namespace="ci"'),
        ([Container("0e43")], 'id="0e43"'),
        ([Labelled("repo", "{repository}")], 'repo="my-org/app"'),
        ([Labelled("a", 'quote " brace } back \\ line \n')], 'a="quote \\" brace } back \\\\ line \\u000a"'),
        ([], ""),
    ],
)
def test_an_executor_says_which_series_are_its_jobs(executors: list[Executor], selector: str) -> None:
    """A host with or without a port; quotes, braces and backslashes stay within the value."""
    assert selector_of(executors, KNOWN) == selector


@pytest.mark.parametrize("name", ["docker", "docker+machine", "shell", "kubernetes", "container"])
def test_executors_are_known_by_their_names(name: str) -> None:
    """Each answers both questions of the contract."""
    executor = EXECUTORS[name]("one")
    assert executor.metrics_label_name() in ("instance", "pod", "id")
    assert executor.metrics_label_value() == "one"


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("my-label", "a", "'my-label' is no name of a label"),
        ("", "a", "'' is no name of a label"),
        ("1st", "a", "'1st' is no name of a label"),
        ("pod", "", "the label's value is empty"),
        ("pod", "\udcff", "is not UTF-8"),
    ],
)
def test_a_matcher_that_cannot_be_is_refused(name: str, value: str, sentence: str) -> None:
    """An empty value would choose every series without the label."""
    with pytest.raises(UsageError) as refused:
        matcher(name, value)
    assert sentence in str(refused.value)


@given(TEXT)
def test_a_value_means_itself(value: str) -> None:
    """However it is written."""
    name, _, text = matcher("pod", value).partition("=")
    assert (name, unquoted(text)) == ("pod", value)


@given(TEXT.filter(lambda text: not re.search(r":[0-9]{1,5}$", text)), st.integers(0, 65535))
def test_a_host_is_matched_with_and_without_a_port(host: str, port: int) -> None:
    """And no other host is."""
    pattern = unquoted(matcher("instance", host).removeprefix("instance=~"))
    for instance in (host, f"{host}:{port}"):
        assert re.fullmatch(pattern, instance, re.DOTALL)
    assert not re.fullmatch(pattern, f"{host}x")


@pytest.mark.parametrize(
    "template, selector",
    [
        ('runner="{runner_name}"', 'runner="large-1"'),
        ('repo = "{repository}", task=~"{task_id}|x"', 'repo = "my-org/app", task=~"4711|x"'),
        ("a!='{repository}',b=\"c\"", "a!='my-org/app',b=\"c\""),
        ('a="b"', 'a="b"'),
        ("", ""),
    ],
)
def test_a_template_is_filled(template: str, selector: str) -> None:
    """With what is known of the job."""
    check_template(template)
    assert fill(template, KNOWN) == selector


@given(TEXT, st.sampled_from("\"'"))
def test_no_value_gets_out_of_its_quotes(value: str, quote: str) -> None:
    """A branch or a runner may be called anything."""
    filled = fill(f"a={quote}{{job}}{quote}", {"job": value})
    assert unquoted(filled.removeprefix("a=")) == value


@given(TEXT)
def test_in_a_pattern_a_value_means_itself(value: str) -> None:
    """Its dots and stars match themselves."""
    pattern = unquoted(fill('a=~"{job}.*"', {"job": value}).removeprefix("a=~"))
    assert re.fullmatch(pattern, f"{value}more", re.DOTALL)
    assert re.fullmatch(pattern.removesuffix(".*"), value, re.DOTALL)


@pytest.mark.parametrize(
    "template, sentence",
    [
        ('a="{pod}"', "{pod} is not known; accepted are {runner_name}, {task_id}, {repository}"),
        ("a={job}", '{job} stands outside of quotes; accepted is a matcher, as runner="{job}"'),
        ('a="b",{job}', "{job} stands outside of quotes"),
        ("a=`{job}`", "{job} stands outside of quotes"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template: str, sentence: str) -> None:
    """When it is read, not when the first job ends."""
    with pytest.raises(UsageError) as refused:
        check_template(template)
    assert sentence in str(refused.value)


def test_what_is_not_known_of_a_job_is_said() -> None:
    """A selector without it would choose other jobs' series too."""
    for ask in (lambda: fill('a="{workflow}"', KNOWN), lambda: selector_of([Host("{workflow}")], KNOWN)):
        with pytest.raises(UsageError, match=r"\{workflow\} of the selector is not known of this job"):
            ask()


@pytest.mark.parametrize("text", ['a="b"', '{a="b"}', ' { a="b" } '])
def test_braces_around_a_selector_are_left_out(text: str) -> None:
    """The query has its own."""
    assert bare(text) == 'a="b"'
