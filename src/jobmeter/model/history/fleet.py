"""What runs of a time used and reserved together, and what that cost.

A cost is that of what was reserved, and of what was used where nothing was: that much was held back for the run, and
nobody else could have it. Without a price table nothing costs anything, and waste is ranked by weighing memory as CPU.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from jobmeter.model.history.digest import Waste
from jobmeter.model.prices import SHAPE, Price


class Account(Struct, frozen=True, kw_only=True):
    """Some runs together; null is what none of them tells."""

    runs: Annotated[int, Meta(description="How many.")] = 0
    failed_runs: Annotated[int, Meta(description="Of these, those that did not go to a good end.")] = 0
    duration_seconds: Annotated[float | None, Meta(description="How long they took together.")] = None
    core_seconds: Annotated[float | None, Meta(description="CPU time of all of them.")] = None
    core_lower_bounds: Annotated[
        int, Meta(description="Of so many runs more CPU time was used than could be read.")
    ] = 0
    byte_seconds: Annotated[float | None, Meta(description="Memory they needed, by how long they took.")] = (
        None
    )
    byte_lower_bounds: Annotated[
        int, Meta(description="Of so many runs more memory was needed than could be read.")
    ] = 0
    cpu: Annotated[Waste, Meta(description="CPU reserved and used, in core-seconds.")] = Waste()
    memory: Annotated[Waste, Meta(description="Memory reserved and needed, in byte-seconds.")] = Waste()
    cost: Annotated[
        float | None,
        Meta(description="Of what was reserved, and used where nothing was; null without prices."),
    ] = None
    wasted_cost: Annotated[
        float | None,
        Meta(description="Of what was reserved and not used; null without prices, or where no run tells it."),
    ] = None

    @property
    def is_lower_bound(self) -> bool:
        """Whether more was reserved or used than is told: of some containers it could not be read."""
        return bool(
            self.core_lower_bounds or self.byte_lower_bounds or self.cpu.partial or self.memory.partial
        )

    @property
    def wasted_weight(self) -> float:
        """What was wasted, in core-hours or their worth of memory; nothing where nothing is known."""
        return wasted(self, SHAPE)


def priced(account: Account, price: Price) -> Account:
    """The same with what it cost."""
    is_told = account.cpu.unused is not None or account.memory.unused is not None
    cost = price.cost(_held(account.core_seconds, account.cpu), _held(account.byte_seconds, account.memory))
    told = {name: getattr(account, name) for name in account.__struct_fields__}
    return Account(**told | {"cost": cost, "wasted_cost": wasted(account, price) if is_told else None})


def wasted(account: Account, price: Price) -> float:
    """What was reserved and not used at this price."""
    return price.cost(account.cpu.unused or 0.0, account.memory.unused or 0.0)


def together(accounts: Iterable[Account]) -> Account:
    """All runs of some."""
    parts = list(accounts)
    return Account(
        runs=sum(each.runs for each in parts),
        failed_runs=sum(each.failed_runs for each in parts),
        duration_seconds=_sum(each.duration_seconds for each in parts),
        core_seconds=_sum(each.core_seconds for each in parts),
        core_lower_bounds=sum(each.core_lower_bounds for each in parts),
        byte_seconds=_sum(each.byte_seconds for each in parts),
        byte_lower_bounds=sum(each.byte_lower_bounds for each in parts),
        cpu=_both(each.cpu for each in parts),
        memory=_both(each.memory for each in parts),
        cost=_sum(each.cost for each in parts),
        wasted_cost=_sum(each.wasted_cost for each in parts),
    )


def _both(wastes: Iterable[Waste]) -> Waste:
    parts = list(wastes)
    return Waste(
        runs=sum(each.runs for each in parts),
        reserved=_sum(each.reserved for each in parts),
        used=_sum(each.used for each in parts),
        unused=_sum(each.unused for each in parts),
        partial=sum(each.partial for each in parts),
    )


def _held(used: float | None, waste: Waste) -> float:
    return max(0.0, (used or 0.0) - (waste.used or 0.0)) + (waste.reserved or 0.0)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
