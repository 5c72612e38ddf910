"""What is said of an error tells why and where, and never what the error quotes."""

from __future__ import annotations

import asyncio

import pytest

from jobmeter.gateway.faults import fault_of, is_cancelled, reason_of
from jobmeter.model.errors import LaunchError


@pytest.mark.parametrize(
    "error,reason",
    [
        (LaunchError("the cgroup is busy."), "the cgroup is busy"),
        (OSError(24, "Too many open files", "/secret"), "Too many open files"),
        (OSError("secret"), "OSError"),
        (ValueError("secret"), "ValueError"),
    ],
)
def test_a_reason(error: Exception, reason: str) -> None:
    """Of what was raised on purpose its sentence, of others only what they are."""
    assert reason_of(error) == reason


def test_a_fault() -> None:
    """The lines of code are there, the text is not."""
    text = "sec" + "ret"
    try:
        raise ValueError(text)
    except ValueError as error:
        told = fault_of(error)
    assert told["fault"] == "ValueError"
    assert "test_faults.py" in str(told["trace"])
    assert text not in str(told)


@pytest.mark.parametrize("ours", [False, True])
def test_who_is_cancelled(ours: bool) -> None:
    """A task that is, and none that waits for something that is."""

    async def main() -> bool:
        waited = asyncio.get_running_loop().create_future()

        async def waiting() -> bool:
            try:
                await waited
            except asyncio.CancelledError:
                return is_cancelled()
            raise AssertionError

        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        (task if ours else waited).cancel()
        return await task

    assert asyncio.run(main()) == ours
