"""argv in, exit code out."""

import pytest

from jobmeter import __version__
from jobmeter.cli import COMMANDS, main


def test_version(capsys):
    """--version prints it and nothing else."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jobmeter {__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(words, capsys):
    """Without a command there is help, not an error."""
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", [["{}", "--help"], ["{}", "-h"], ["help", "{}"]])
def test_help_of_a_command(command, form, capsys):
    """Every usual way to ask is answered."""
    assert main([word.format(command) for word in form]) == 0
    assert f"usage: jobmeter {command}" in capsys.readouterr().out


def test_unknown_command_is_one_sentence(capsys):
    """It names the accepted ones; exit code 2."""
    assert main(["metre"]) == 2
    error = capsys.readouterr().err
    assert "'metre' is not known" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "words, code, sentence",
    [
        (["run"], 125, "there is no command"),
        (["run", "--nonesuch", "true"], 125, "--nonesuch is not known"),
        (["run", "--interval=5", "true"], 125, "'5' is not a duration"),
        (["run", "--json=-", "true"], 125, "stdout is the command's"),
        (["collector", "--receiver=host"], 2, "'host' is no address"),
        (["report", "--receiver=http://host", "-"], 2, "need a file"),
        (["collector", "word"], 2, "takes only flags"),
        (["doctor", "word"], 2, "takes only flags"),
        (["mark"], 2, "name of the section"),
        (["report", "/nonesuch"], 1, "No such file"),
    ],
)
def test_errors_are_one_sentence_and_an_exit_code(words, code, sentence, capsys):
    """`run` keeps codes below 125 for the command."""
    assert main(words) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1
