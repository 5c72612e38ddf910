"""Headers of every answer that tell a browser what it must not do with it."""

_YEAR_SECONDS = 365 * 86_400
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    # A page has a policy of its own; profiles are shown with styles of theirs.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


def headers_for(*, tls: bool) -> dict[str, str]:
    """The headers, where an answer has none of the same name. Over HTTPS a browser never comes without it again."""
    if not tls:
        return _ALWAYS
    return _ALWAYS | {"Strict-Transport-Security": f"max-age={_YEAR_SECONDS}"}
