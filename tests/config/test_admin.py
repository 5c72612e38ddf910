"""Tasks of `jobmeter admin`, and what each of them takes."""

from __future__ import annotations

import msgspec
import pytest

from jobmeter.config.admin import (
    ADMIN_OPTIONS,
    TASKS,
    BackupSettings,
    ExportSettings,
    ImportSettings,
    TokenSettings,
    admin_settings,
)
from jobmeter.config.options import value_of
from jobmeter.model.errors import UsageError

SCOPE = ["--organization=acme", "--repository", "engine", "--workflow=ci.yml", "--job=build"]


@pytest.mark.parametrize(
    "words, settings",
    [
        (["backup", "copy", "--db=x"], BackupSettings(target="copy", db="x")),
        (["export", "files", "--with-tokens"], ExportSettings(target="files", with_tokens=True)),
        (["import", "--db=x", "files"], ImportSettings(source="files", db="x")),
        (["token", "list"], TokenSettings(action="list")),
        (["token", "revoke", "ci", "--db=x"], TokenSettings(action="revoke", name="ci", db="x")),
        (["token", "add", "ci", "--allow=push"], TokenSettings(action="add", name="ci", allow="push")),
        (
            ["token", "--allow", "read", "add", "--expires-in=90d", "ci"],
            TokenSettings(action="add", name="ci", allow="read", expires_in=7_776_000),
        ),
        (
            ["token", "add", "ci", "--allow=mint", *SCOPE],
            TokenSettings(
                action="add", name="ci", allow="mint",
                organization="acme", repository="engine", workflow="ci.yml", job="build",
            ),
        ),
    ],
)  # fmt: skip
def test_a_task_has_its_settings(words, settings):
    """Flags may stand anywhere after `admin`."""
    assert admin_settings(words, {}) == settings


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "there is no task; accepted are backup, export, import, token"),
        (["restore", "copy"], "the task 'restore' is not known"),
        (["backup"], "backup needs the file to copy to"),
        (["backup", "a", "b"], "'b' is not accepted"),
        (["backup", "a", "--allow=read"], "--allow is not for backup"),
        (["export"], "export needs one directory to export to"),
        (["import", "a", "b"], "import needs one directory to import from"),
        (["token"], "token needs to be told what to do: add, list, revoke"),
        (["token", "lend"], "token is told 'lend'"),
        (["token", "add", "--allow=read"], "needs the name of one token"),
        (["token", "add", "a", "b", "--allow=read"], "needs the name of one token"),
        (["token", "add", "a"], "token add needs --allow"),
        (["token", "add", "a", "--allow=all"], "accepted are read, push, mint"),
        (["token", "add", "a", "--allow=read", "--expires-in=0d"], "'0d' is no age"),
        (["token", "add", "a", "--allow=read", "--job=b"], "--job needs --workflow too"),
        (["token", "list", "a"], "'a' is not accepted"),
        (["token", "revoke", "a", "--allow=read"], "token revoke takes no --allow"),
    ],
)
def test_what_admin_does_not_take_is_named(words, sentence):
    """Each mistake has its sentence."""
    with pytest.raises(UsageError, match=sentence):
        admin_settings(words, {})


@pytest.mark.parametrize("words", [[], ["backup"], ["token", "add"]])
def test_the_sentence_ends_with_the_usage(words):
    """Of the task, or of all of them."""
    with pytest.raises(UsageError, match=r"usage:\s+jobmeter admin \w+"):
        admin_settings(words, {})


@pytest.mark.parametrize(
    "words, forms",
    [
        (["token"], ["token add --allow", "token list", "token revoke"]),
        (["token", "lend"], ["token add --allow", "token list", "token revoke"]),
        (["token", "revoke"], ["token revoke"]),
        (["backup"], ["backup"]),
    ],
)
def test_the_forms_that_may_have_been_meant_are_shown(words, forms):
    """Several stand below each other."""
    with pytest.raises(UsageError) as told:
        admin_settings(words, {})
    shown = (
        str(told.value).split("usage: jobmeter admin ")[1:]
        or str(told.value).split("\n  jobmeter admin ")[1:]
    )
    assert [one.startswith(form) for one, form in zip(shown, forms, strict=True)] == [True] * len(forms)


@pytest.mark.parametrize("task", TASKS)
def test_options_and_settings_agree(task):
    """Each option has its field, and its default there."""
    example = {"backup": ["f"], "export": ["d"], "import": ["d"], "token": ["list"]}.get(task, [])
    settings = admin_settings([task, *example], {})
    for option in TASKS[task].options:
        if option.default is not None:
            assert getattr(settings, option.field) == value_of(option, option.default, "")
        assert option.field in {field.name for field in msgspec.structs.fields(settings)}


def test_the_same_option_is_the_same_in_each_task():
    """Its help is shown once."""
    told = {option.name: option for option in ADMIN_OPTIONS}
    assert all(told[option.name] == option for task in TASKS.values() for option in task.options)
