"""The page where people sign in and out."""

from collections.abc import Mapping

from jobmeter.receiver.access.grant import Grant
from jobmeter.report.html_parts import text
from jobmeter.report.text import clean


def sign_in_body(*, key: str, go_on: str, problem: str | None = None, provider: str | None = None) -> str:
    """The form for a read token; ``provider`` is where one may sign in elsewhere."""
    told = f'<p class="lead" role="alert">{text(problem)}</p>' if problem else ""
    elsewhere = f'<p><a href="{text(provider)}">Sign in with your account</a></p>' if provider else ""
    fields = _hidden({"key": key, "next": go_on})
    return (
        '<header><h1 class="plain">Sign in</h1>'
        '<p class="lead">With a read token of this receiver. Who runs it makes them: '
        "<code>jobmeter admin token add NAME --allow read --db DATABASE</code></p></header>"
        f'{told}{elsewhere}<form class="filter" method="post" action="/login" style="max-width:36em">{fields}'
        '<input type="text" autocomplete="username" value="read token" hidden>'
        '<label>Read token<input type="password" name="token" autocomplete="current-password" required '
        'maxlength="4096" autofocus></label><button>Sign in</button></form>'
    )  # fmt: skip


def signed_in_body(grant: Grant, *, key: str) -> str:
    """Who somebody is, what that one sees, and the way out."""
    seen = (
        "everything"
        if grant.scopes is None
        else ", ".join(clean(str(one)) for one in grant.scopes) or "nothing"
    )
    return (
        '<header><h1 class="plain">Signed in</h1>'
        f'<p class="lead">As {text(clean(grant.who))}. You see {text(seen)}.</p></header>'
        f'<form class="filter" method="post" action="/logout">{_hidden({"key": key})}<button>Sign out</button></form>'
    )


def open_body() -> str:
    """Where nobody is asked."""
    return (
        '<header><h1 class="plain">Nobody has to sign in</h1>'
        '<p class="lead">This receiver has no read token: whoever reaches it sees everything.</p></header>'
    )


def _hidden(values: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{text(value)}">' for name, value in values.items()
    )
