"""What `[referee]` of the gateway's configuration file says: all that `jobmeter referee` knows, and more."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from jobmeter.config.file import table_values
from jobmeter.config.forges import ForgeSettings
from jobmeter.config.options import Option, duration
from jobmeter.config.referee_table import REFEREE_KEYS, REFEREE_TABLES, referee_options, referee_values
from jobmeter.config.referee_upload import ACTIONS, GITLAB, upload_place
from jobmeter.model.errors import UsageError
from jobmeter.referee.options import RefereeOptions

MOST_SECONDS = 10.0
_KINDS = {GITLAB: ("gitlab",), ACTIONS: ("forgejo", "gitea")}


def budget(text: str) -> float:
    """Runners wait 10 s and more for the answer to a last report, and nobody wants to wait so long."""
    seconds = duration(text)
    if seconds > MOST_SECONDS:
        raise UsageError(f"{text!r} is too long; accepted are durations up to {MOST_SECONDS:g}s")
    return seconds


def place(text: str) -> str:
    """Where the evidence of each job can go."""
    if "://" in text:
        raise UsageError(f"a URL is for one file; accepted are {GITLAB}, {ACTIONS} and a directory")
    return upload_place(text)


GATEWAY_REFEREE_KEYS = (
    Option("budget", "", "so long the last report of a job may wait for it, 10s at most", budget, "DURATION",
           default="2s"),
    Option("upload", "", "where it goes beside the receiver: `gitlab` and `actions` are artifacts of the job itself; "
           "or a directory", place, "PLACES", many=True),
    Option("format", "", "of what goes there", metavar="FORM", choices=("full", "compat", "markdown", "html"),
           default="full"),
)  # fmt: skip
"""Beside those of `jobmeter referee`."""
WITHIN_REFEREE = {
    option.field: "in [referee]"
    for option in (*GATEWAY_REFEREE_KEYS, *REFEREE_KEYS, *REFEREE_TABLES)
    if option.field not in ("token", "token_file")  # There are several; whose is meant is not known.
}
_OWN = frozenset(option.field for option in GATEWAY_REFEREE_KEYS)


class GatewayRefereeSettings(Struct, frozen=True, kw_only=True):
    """Who is asked at the end of each job, and what becomes of the answer; ``budget`` in seconds."""

    options: RefereeOptions
    budget: float = 2.0
    upload: tuple[str, ...] = ()
    format: Literal["full", "compat", "markdown", "html"] = "full"


def gateway_referee_settings(table: Any, where: str, mistakes: list[str]) -> GatewayRefereeSettings | None:
    """``[referee]``; None if it is not whole: what is wrong with it is a sentence more."""
    if not isinstance(table, dict):
        mistakes.append(f"{where}: it is no table; accepted is one, as [referee]")
        return None
    before = len(mistakes)
    own = {key: value for key, value in table.items() if key.replace("-", "_") in _OWN}
    values = table_values(own, GATEWAY_REFEREE_KEYS, where, mistakes)
    asked = referee_values({key: table[key] for key in table if key not in own}, where, mistakes)
    if len(mistakes) > before:
        return None
    try:
        options = referee_options(asked, where)
    except UsageError as error:
        mistakes.append(str(error))
        return None
    values["upload"] = tuple(dict.fromkeys(values.get("upload", ())))
    return GatewayRefereeSettings(options=options, **values)


def referee_notes(
    settings: GatewayRefereeSettings, forges: Sequence[ForgeSettings], told: Mapping[str, Any], where: str
) -> Iterator[str]:
    """What is accepted and seldom meant; ``told`` is all that is configured."""
    kinds = {forge.kind for forge in forges}
    if not settings.upload and "receiver" not in told:
        yield f"{where}: what it finds goes nowhere: receiver, or upload in [referee], says where"
    for one in settings.upload:
        if one in _KINDS and not kinds & set(_KINDS[one]):
            yield f"{where}: upload: {one!r} does nothing: no forge is of the kind {' or '.join(_KINDS[one])}"
    here = os.uname().nodename
    is_here = any(one.metrics_label_value() == here for one in settings.options.executors)
    if is_here and any(forge.mode == "relay" for forge in forges):
        yield f"{where}: label_value: without one every job is asked for as one of this machine, {here!r}"
    for query in settings.options.queries:
        if "{selector}" not in query.text:
            yield f"{where}: queries: {query.name[:60]!r} has no {{selector}}: its series are the same for every job"
