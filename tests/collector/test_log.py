"""Messages of the collector: JSON lines or text, from a level on."""

import json

import pytest

from jobmeter.collector.log import Log


def test_json_line_has_time_level_message_and_fields(capsys):
    """What a log collector needs is in fields."""
    Log("info", "json").warn("odd", path="/a b", count=2)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warn", "msg": "odd", "path": "/a b", "count": 2}


def test_text_line_quotes_its_fields(capsys):
    """A control character in a field cannot begin a line of its own."""
    Log("info", "text").info("metering", name="a\nb")
    assert capsys.readouterr().err.endswith("INFO metering name='a\\nb'\n")


@pytest.mark.parametrize("level, lines", [("debug", 3), ("info", 2), ("warn", 1), ("error", 0)])
def test_messages_below_the_level_are_left_out(capsys, level, lines):
    """--log-level names the least severe message that is printed."""
    log = Log(level, "text")
    for write in (log.debug, log.info, log.warn):
        write("message")
    assert len(capsys.readouterr().err.splitlines()) == lines
