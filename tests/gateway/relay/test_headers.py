"""Which headers cross a relay, and which requests are refused for theirs."""

import pytest

from jobmeter.gateway.relay import headers

HOST = (b"host", b"gateway.example")

REFUSED = [
    pytest.param([], "one Host", id="no-host"),
    pytest.param([HOST, (b"host", b"other")], "one Host", id="two-hosts"),
    pytest.param(
        [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], "once", id="te"
    ),
    pytest.param([HOST, (b"content-length", b"1"), (b"content-length", b"1")], "once", id="two-lengths"),
    pytest.param([HOST, (b"transfer-encoding", b"gzip, chunked")], "chunked", id="coded"),
    pytest.param([HOST, (b"transfer-encoding", b"identity")], "chunked", id="identity"),
    pytest.param(
        [HOST, (b"x-runner-token", b"a"), (b"x-runner-token", b"b")], "credentials once", id="tokens"
    ),
    pytest.param([HOST, (b"transfer_encoding", b"chunked")], "underscore", id="underscore"),
    pytest.param([HOST, (b"x_forwarded_for", b"::1")], "underscore", id="underscore-forwarded"),
]


@pytest.mark.parametrize("pairs,words", REFUSED)
def test_what_two_servers_might_read_differently_is_refused(pairs, words):
    """With a sentence that says why."""
    assert words in str(headers.smuggled(pairs))


@pytest.mark.parametrize(
    "pairs",
    [
        [HOST],
        [HOST, (b"transfer-encoding", b" Chunked ")],
        [HOST, (b"x_own", b"1")],
        [HOST, (b"cookie", b"a=1"), (b"cookie", b"b=2")],
        [HOST, (b"connection", b"close")],
    ],
)
def test_what_is_clear_passes(pairs):
    """An underscore in a name that means nothing elsewhere too."""
    assert headers.smuggled(pairs) is None


def test_a_request_keeps_order_and_duplicates():
    """What is between two hops only is left out, also what Connection names; who asked is added."""
    pairs = [
        (b"b", b"1"),
        HOST,
        (b"a", b"2"),
        (b"connection", b"keep-alive, X-Own"),
        (b"x-own", b"3"),
        (b"b", b"4"),
        (b"te", b"trailers"),
        (b"upgrade", b"h2c"),
        (b"expect", b"100-continue"),
        (b"content-length", b"5"),
    ]
    assert headers.to_forge(pairs, "192.0.2.1") == [
        ("b", "1"),
        ("a", "2"),
        ("b", "4"),
        ("x-forwarded-for", "192.0.2.1"),
    ]


def test_what_a_proxy_before_says_is_kept():
    """Its address is added to the list, and the rest is what it says."""
    pairs = [
        HOST,
        (b"x-forwarded-for", b"192.0.2.9"),
        (b"x-forwarded-host", b"forge.example"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"198.51.100.7"),
    ]
    assert headers.to_forge(pairs, "127.0.0.1") == [
        ("x-forwarded-host", "forge.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.9, 198.51.100.7, 127.0.0.1"),
    ]


def test_an_answer_keeps_order_and_duplicates():
    """Two cookies stay two."""
    pairs = [(b"Set-Cookie", b"a=1"), (b"Connection", b"close"), (b"ETag", b"x"), (b"Set-Cookie", b"b=2")]
    assert headers.to_runner(pairs, 200) == [
        (b"set-cookie", b"a=1"),
        (b"etag", b"x"),
        (b"set-cookie", b"b=2"),
    ]


@pytest.mark.parametrize("status,kept", [(200, True), (204, False), (304, False)])
def test_what_has_no_body_has_no_length(status, kept):
    """A 304 may tell that of the body it does not have."""
    assert bool(headers.to_runner([(b"Content-Length", b"7")], status)) is kept


def test_by_name():
    """Names in lower case; duplicates are one list."""
    assert headers.by_name([(b"Accept", b"a"), (b"x", b"1"), (b"accept", b"b")]) == {
        "accept": "a, b",
        "x": "1",
    }
