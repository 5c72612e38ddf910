"""The result of a check as Markdown."""

from __future__ import annotations

import pytest

from jobmeter.report.check_markdown import check_markdown
from tests.conftest import Golden
from tests.report.check_examples import EXAMPLES, evil


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_table(name: str, golden: Golden) -> None:
    """A heading, one bold line, a row for each budget, and the rule of the spread where there is one."""
    golden(f"report/check_{name}.md", check_markdown(EXAMPLES[name]))


def test_names_do_not_break_out_of_the_table() -> None:
    """Every row has as many cells as the heading, and no name is markup."""
    text = check_markdown(evil())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert "<script" not in text
    assert all(line.isprintable() for line in text.splitlines())
