"""What is usual beside two runs or two branches, asked of a running receiver."""

from __future__ import annotations

import pytest

from tests.model.budgets.runs import MIB
from tests.receiver.api.running import RunningReceiver
from tests.receiver.api.test_history import ask, build, push


@pytest.fixture(scope="module")
def halved(receiver: RunningReceiver) -> RunningReceiver:
    """The memory of a job halved 17 runs ago; a run of another branch uses as much as before."""
    needs = [*[2000 + n % 3 for n in range(30)], *[1000 + n % 3 for n in range(17)]]
    push(receiver, *(build("c1", n, each * MIB, ref="refs/heads/main") for n, each in enumerate(needs)))
    push(receiver, *(build("c1", 50 + n, 1950 * MIB, ref="refs/heads/x") for n in range(2)))
    return receiver


@pytest.mark.parametrize(
    "path",
    [
        "/compare?before=c1-46&after=c1-50",
        "/compare/repo/c1/engine/ci.yaml/build?before=refs/heads/main&after=refs/heads/x",
    ],
)
def test_a_level_that_is_over_makes_nothing_usual(halved: RunningReceiver, path: str) -> None:
    """Though its last three runs are among the twenty that are looked at."""
    found = ask(halved, path)

    memory = {one["measure"]: one for one in found["differences"]}["memory"]
    assert (memory["verdict"], memory["usual"]["runs"]) == ("more", 17)
    assert memory["usual"]["changed_from"] == 2001 * MIB
    assert len(found["before"]["runs"]) in (1, 20)


def test_runs_without_a_branch_are_no_runs_of_all_branches(receiver: RunningReceiver) -> None:
    """Their run before and what is usual are told by runs that name no branch either, where there are any."""
    push(
        receiver,
        *(build("c2", n, (300 + n) * MIB) for n in range(5)),
        *(build("c2", 5 + n, 9000 * MIB, ref=f"refs/heads/b{n}") for n in range(9)),
        build("c2", 20, 900 * MIB),
        build("c3", 0, ref="refs/heads/b"),
        build("c3", 1),
    )

    found = ask(receiver, "/compare?after=c2-20")

    memory = {one["measure"]: one for one in found["differences"]}["memory"]
    assert found["before"]["runs"][0]["run_uid"] == "c2-4"
    assert (memory["verdict"], memory["usual_runs"], memory["high"] < 320 * MIB) == ("more", 5, True)
    assert ask(receiver, "/compare?after=c3-1")["before"]["ref"] == "refs/heads/b"
