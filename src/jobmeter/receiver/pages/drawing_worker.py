"""The process that draws: takes orders from its input until that ends. It gives way to all others of the machine."""

import os
import struct
import sys

import msgspec

from jobmeter.model.errors import JobmeterError
from jobmeter.receiver.pages.drawing import Drawn, Order, framed
from jobmeter.report.svg import draw

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
    if order.chart is None:
        import vl_convert

        return Drawn(vl_convert.javascript_bundle(_SNIPPET))
    try:
        return Drawn(draw(order.chart))
    except JobmeterError as error:
        return Drawn(error=str(error))


if __name__ == "__main__":
    main()
