"""The jobs of a repository, asked of a running receiver."""

from __future__ import annotations

from jobmeter.model.exits import Exit
from tests.model.budgets.runs import MIB
from tests.receiver.api.running import RunningReceiver
from tests.receiver.api.test_history import ask, build, push


def test_a_job_is_listed_with_what_its_own_page_says(receiver: RunningReceiver) -> None:
    """The newest level of its main branch, however many runs other branches and an older level have."""
    main, other = {"ref": "refs/heads/main"}, {"ref": "refs/heads/x"}
    needs = [*[900 + n % 3 for n in range(30)], *[248 + n % 3 for n in range(20)]]
    push(receiver, *(build("p1", n, each * MIB, **main) for n, each in enumerate(needs)))
    push(receiver, *(build("p1", 60 + n, 128 * MIB, **other) for n in range(25)))
    push(receiver, build("p1", 90, 7 * MIB, exit=Exit(reason="failure", code=1), **main))

    (listed,) = ask(receiver, "/repositories/p1/engine")["jobs"]
    digest = ask(receiver, "/history/repo/p1/engine/ci.yaml/build?limit=200")["digest"]

    newest = {level["measure"]: level for level in digest["levels"]}
    assert {level["measure"]: level for level in listed["levels"]} == {
        measure: newest[measure] for measure in ("memory", "cpu_seconds", "duration")
    }
    memory = newest["memory"]
    assert (memory["median"], memory["runs"]) == (249 * MIB, 20)
    assert (listed["ref"], listed["leg"]) == ("refs/heads/main", "")
    assert listed["recent"]["memory"] == [each * MIB for each in needs[-30:]]
    assert listed["last_run"]["exit_reason"] == "failure"
    assert listed["memory"]["runs"] == 30
