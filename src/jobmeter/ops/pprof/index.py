"""The page that lists the profiles."""

import html
from collections.abc import Iterable

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>/debug/pprof/</title>
<style>
body {{ font-family: sans-serif; margin: 2em; max-width: 60em }}
td {{ padding: 0.2em 1.5em 0.2em 0; vertical-align: top }}
</style>
<h1>/debug/pprof/</h1>
<p>{program}</p>
<table>
{rows}
</table>
<p>Read them with <code>go tool pprof</code>; each says more about its numbers in <code>-comments</code>.</p>
</html>
"""


def index_page(program: str, entries: Iterable[tuple[str, str, str]]) -> str:
    """A page with a link to each entry: a name, where it is, and one sentence."""
    rows = "\n".join(
        f'<tr><td><a href="{html.escape(link)}">{html.escape(name)}</a></td><td>{html.escape(said)}</td></tr>'
        for name, link, said in entries
    )
    return _PAGE.format(program=html.escape(program), rows=rows)
