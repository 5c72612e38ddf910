"""`jobmeter gateway`: stands between runners and their forges, says when it starts and stops; or checks its file."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

from jobmeter.apps.extras import required
from jobmeter.collector.log import Log
from jobmeter.config.gateway import GatewaySettings
from jobmeter.linux.descriptors import raise_descriptor_limit
from jobmeter.model.errors import UsageError


def gateway(settings: GatewaySettings) -> int:
    """Stand between until SIGTERM; or only say what is wrong with the configuration. Raises UsageError."""
    with required("gateway"):
        from jobmeter.apps.gateway_wiring import serve
    if settings.check_config:
        return _check(settings)
    if settings.mistakes:
        first, *others = settings.mistakes
        raise UsageError(first + (f" (and {len(others)} more: --check-config tells all)" if others else ""))
    raise_descriptor_limit()  # A connection is a descriptor.
    serve(settings, Log(settings.log_level, settings.log_format))
    return 0


def _check(settings: GatewaySettings) -> int:
    """Tell everything that can be told without asking anybody."""
    mistakes = [*settings.mistakes, *_bad_certificates(settings)]
    for sentence in mistakes:
        print(f"jobmeter gateway: {sentence}", file=sys.stderr)
    for sentence in (*settings.warnings, *_account_notes(settings)):
        print(f"jobmeter gateway: note: {sentence}", file=sys.stderr)
    if mistakes:
        return UsageError.exit_code
    names = [forge.name for forge in settings.forges]
    print(f"{settings.config} is fine: {len(names)} forge{'s' * (len(names) > 1)}, {', '.join(names)}")
    return 0


def _account_notes(settings: GatewaySettings) -> Iterator[str]:
    """The file may be looked at by an account that does not run the gateway."""
    if os.geteuid() and any(forge.mode == "launch" for forge in settings.forges):
        yield "it needs root where mode = 'launch', and this account is not root"


def _bad_certificates(settings: GatewaySettings) -> Iterator[str]:
    """A sentence on each that cannot be used."""
    from jobmeter.apps.gateway_wiring import certificate_of, options_of
    from jobmeter.gateway.relay.upstream import Upstream
    from jobmeter.referee.referee import Referee

    log = Log("error", "text")
    tried: list[Callable[[], object]] = [partial(certificate_of, settings, log)]
    if settings.referee is not None:
        tried.append(partial(Referee, settings.referee.options))
    for forge in settings.forges:
        tried += [partial(certificate_of, forge, log), partial(Upstream, options_of(forge))]
    for one in tried:
        try:
            one()
        except UsageError as error:
            yield str(error)
