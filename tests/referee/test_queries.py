"""Names of queries, and placeholders in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobmeter.model.errors import UsageError
from jobmeter.referee.default_queries import DEFAULT_QUERIES
from jobmeter.referee.queries import NamedQuery, Terms, expand, named, parse_query, repeated, window_seconds

TERMS = Terms('instance="a"', 10, 61.2, 15)


@pytest.mark.parametrize(
    "text, query",
    [
        ("up:up", NamedQuery("up", "up")),
        ("five:job:cpu:rate5m", NamedQuery("five", "job:cpu:rate5m")),
        ("sub:max_over_time(up[1h:5m])", NamedQuery("sub", "max_over_time(up[1h:5m])")),
        ('port:up{instance="a:9100"}', NamedQuery("port", 'up{instance="a:9100"}')),
        (":up", NamedQuery("", "up")),
        (" cpu : up ", NamedQuery(" cpu ", " up ")),
    ],
)
def test_a_name_ends_at_the_first_colon(text: str, query: NamedQuery) -> None:
    """So recording rules, subqueries and ports can be asked for; nothing is trimmed."""
    assert parse_query(text) == query


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("up", "'up' has no colon"),
        ("up:", "the query 'up' is empty"),
        ("up: \n", "the query 'up' is empty"),
        (f"a:{'x' * 8193}", "the query 'a' has 8193 characters"),
    ],
)
def test_what_is_no_query_is_refused(text: str, sentence: str) -> None:
    """With what would be one."""
    with pytest.raises(UsageError) as refused:
        parse_query(text)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "query, terms, expression",
    [
        ("rate(x{{selector}}[{interval}])", TERMS, 'rate(x{instance="a"}[10s])'),
        ('x{a="b",{selector}}', TERMS, 'x{a="b",instance="a"}'),
        ("x{{selector}} / y{{selector}}", TERMS, 'x{instance="a"} / y{instance="a"}'),
        ("increase(x[{range}])", TERMS, "increase(x[62s])"),
        ("increase(x[{range}])", TERMS._replace(range_seconds=0), "increase(x[10s])"),
        ("rate(x[{interval}])", TERMS._replace(interval_seconds=0.2), "rate(x[1s])"),
        ("rate(x[{interval}])", TERMS._replace(interval_seconds=1.5), "rate(x[2s])"),
        ("rate(x[{interval}])", TERMS._replace(interval_seconds=30.001), "rate(x[30s])"),
        ("rate(x[{rate_interval}])", TERMS, "rate(x[60s])"),
        ("rate(x[{rate_interval}])", TERMS._replace(interval_seconds=90), "rate(x[90s])"),
        ("rate(x[{rate_interval}])", TERMS._replace(range_seconds=45), "rate(x[45s])"),
        ("rate(x[{rate_interval}])", TERMS._replace(range_seconds=20), "rate(x[31s])"),
        ("rate(x[{rate_interval}])", TERMS._replace(range_seconds=0, scrape_seconds=0.2), "rate(x[10s])"),
        ("x{{selector}}", TERMS._replace(selector='a="{interval}"'), 'x{a="{interval}"}'),
        ("x{{selector}}", TERMS._replace(selector=""), "x{}"),
        ('x{a="{other}"}', TERMS, 'x{a="{other}"}'),
    ],
)
def test_placeholders_are_replaced_once(query: str, terms: Terms, expression: str) -> None:
    """Whole seconds, at least one; what stands for a placeholder is not looked at again."""
    assert expand(query, terms) == expression


@pytest.mark.parametrize(
    "expression, seconds",
    [
        ("rate(x[60s])", 60),
        ("sum(rate(x[1m])) / max_over_time(y[ 1h30m ])", 5400),
        ("max_over_time(rate(x[5m])[1d:1m])", 86_400),
        ("rate(x[1500ms])", 1.5),
        ("up + on (a) group_left () down offset 5m", 0),
        ("x{a=\"[5m]\",b='[6m]',c=`[7m]`}", 0),
        ('x{a="\\"[5m]"}', 0),
        ("", 0),
    ],
)
def test_a_query_looks_back_as_far_as_its_longest_range(expression: str, seconds: float) -> None:
    """What is in quotes is none."""
    assert window_seconds(expression) == seconds


@given(st.text())
def test_text_without_placeholders_is_sent_as_it_is(text: str) -> None:
    """Whatever else is in braces."""
    text = text.replace("{", "[")
    assert expand(text, TERMS) == text


def test_names_that_come_twice_are_told_once() -> None:
    """In the order of the queries."""
    queries = [NamedQuery(name, "up") for name in ("b", "a", "c", "a", "b", "a")]
    assert repeated(queries) == ["b", "a"]


def test_the_default_queries_are_of_what_a_job_selects() -> None:
    """Each has the selector within braces of its own, and no name is there twice."""
    queries = [query for some in DEFAULT_QUERIES.values() for query in some]
    assert repeated(queries) == []
    for query in queries:
        assert named(*query) == query
        sent = expand(query.text, TERMS)
        assert 'instance="a"}' in sent
        assert sent.count("{") == sent.count("}")
        assert "{{" not in sent
