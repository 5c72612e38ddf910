"""The process that draws: takes orders from its input until that ends. It gives way to all others of the machine."""

import os
import struct
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from jobmeter.model.errors import JobmeterError
from jobmeter.receiver.pages.drawing import Attached, Drawing, Drawn, Order, framed
from jobmeter.report.svg import draw

if TYPE_CHECKING:
    from jobmeter.receiver.pages.evidence import Seen

_LENGTH = struct.Struct("!I")
_NICENESS = 10
# What the script leaves for others: one function that draws.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def main() -> None:
    """Answer one order after the other."""
    os.nice(_NICENESS)
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    while len(head := orders.read(_LENGTH.size)) == _LENGTH.size:
        order = msgspec.json.decode(orders.read(_LENGTH.unpack(head)[0]), type=Order)
        answers.write(framed(msgspec.json.encode(_done(order))))
        answers.flush()


def _done(order: Order) -> Drawn:
    try:
        if order.attached is not None:
            return Drawn(_shown(order.attached))
        if order.chart is not None:
            return Drawn(draw(order.chart))
    except JobmeterError as error:
        return Drawn(error=str(error))
    import vl_convert

    return Drawn(vl_convert.javascript_bundle(_SNIPPET))


def _shown(attached: Attached) -> str:
    from jobmeter.receiver.pages.evidence import evidence_body

    seen = _seen(attached.body)
    if attached.key is None:
        return evidence_body(seen, attached.run_uid, Drawing())
    for pair in seen.pairs:
        if pair.wide.key == attached.key:
            return draw(pair.narrow if attached.narrow else pair.wide)
    return ""


@lru_cache(maxsize=1)
def _seen(body: bytes) -> "Seen":
    """The last one is kept: a page without scripts asks for forty pictures of it."""
    from jobmeter.receiver.pages.evidence import seen_in

    return seen_in(body)


if __name__ == "__main__":
    main()
