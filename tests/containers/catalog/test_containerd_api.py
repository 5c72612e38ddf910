"""containerd's API as the catalog follows it, against a server that speaks as much of it as is asked for."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from jobmeter.containers.catalog.catalog import Catalog
from jobmeter.containers.catalog.containerd_messages import new
from jobmeter.containers.catalog.facts import ContainerFacts
from jobmeter.containers.catalog.sockets import EngineSocket
from jobmeter.identity.containers import identify_container
from tests.containers.catalog.support import Notes, Server, eventually, say, say_nothing

A, B, S = "a" * 64, "b" * 64, "5" * 64
UID = "2c48913c-b29f-11e7-9350-020968147796"
POD = {
    "io.kubernetes.pod.uid": UID,
    "io.kubernetes.pod.name": "runner-1",
    "io.kubernetes.pod.namespace": "ci",
}
ANNOTATIONS = {
    "job.runner.gitlab.com/id": "12",
    "job.runner.gitlab.com/url": "https://gitlab.example.com/group/app/-/jobs/12",
    "kubernetes.io/config.seen": "now",
}


def container(container_id: str, image: str = "bb:1", metadata: object = None, **fields: Any) -> Any:
    labels = [
        new("Label", key=key.encode(), value=value.encode("utf-8", "surrogateescape"))
        for key, value in fields.get("labels", {}).items()
    ]
    extensions = []
    if metadata is not None:
        value = new("Any", type_url=b"x", value=json.dumps(metadata).encode())
        extensions = [new("Extension", key=b"io.cri-containerd.sandbox.metadata", value=value)]
    return new(
        "Container",
        id=container_id.encode(),
        labels=labels,
        image=image.encode(),
        created_at=new("Timestamp", seconds=5, nanos=500_000_000),
        extensions=extensions,
    )


SANDBOX = container(
    S,
    labels={**POD, "io.cri-containerd.kind": "sandbox", "team": "a", "project.runner.gitlab.com/id": "3"},
    metadata={"Version": "v1", "Metadata": {"ID": S, "Config": {"annotations": ANNOTATIONS}}},
)
BUILD = container(A, labels={**POD, "io.kubernetes.container.name": "build"})


class Containerd:
    """Containers by namespace; events are told by `event`."""

    def __init__(self, path: Path, containers: dict[str, list[Any]]) -> None:
        self.containers = containers
        self._events: queue.Queue[Any] = queue.Queue()
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool)
        self._server.add_insecure_port(f"unix:{path}")
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        methods = {
            "containers.v1.Containers": {"Get": unary(self._get), "ListStream": stream(self._list)},
            "namespaces.v1.Namespaces": {"List": unary(self._namespaces)},
            "events.v1.Events": {"Subscribe": stream(self._subscribe)},
        }
        self._server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(f"containerd.services.{service}", handlers)
                for service, handlers in methods.items()
            )
        )

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.stop(0).wait()
        self._pool.shutdown()

    def event(self, action: str, namespace: str, container_id: str) -> None:
        body = new("ContainerId", id=container_id.encode()).SerializeToString()
        self._events.put(
            new(
                "Envelope",
                namespace=namespace.encode(),
                topic=f"/containers/{action}".encode(),
                event=new("Any", type_url=b"x", value=body),
            )
        )

    def _namespaces(self, request: bytes, context: Any) -> bytes:
        namespaces = [new("Namespace", name=name.encode()) for name in self.containers]
        return bytes(new("ListNamespacesResponse", namespaces=namespaces).SerializeToString())

    def _list(self, request: bytes, context: Any) -> Iterator[bytes]:
        for listed in self._within(context):
            yield new("ContainerMessage", container=listed).SerializeToString()

    def _get(self, request: bytes, context: Any) -> bytes:
        wanted = new("ContainerId")
        wanted.ParseFromString(request)
        for listed in self._within(context):
            if listed.id == wanted.id:
                return bytes(new("ContainerMessage", container=listed).SerializeToString())
        context.abort(grpc.StatusCode.NOT_FOUND, "not found")
        raise AssertionError

    def _subscribe(self, request: bytes, context: Any) -> Iterator[bytes]:
        while context.is_active() and not self._ending.is_set():
            with contextlib.suppress(queue.Empty):
                yield self._events.get(timeout=0.02).SerializeToString()

    def _within(self, context: Any) -> list[Any]:
        return self.containers[dict(context.invocation_metadata())["containerd-namespace"]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "containerd.sock"


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    running = Catalog([EngineSocket("containerd", str(path))], Notes(), first_pause=0.01)
    yield running
    assert running.close()


def test_list_and_events(path: Path, catalog: Catalog) -> None:
    """What is there is listed in every namespace, what comes and goes is told by events."""
    engine = Containerd(path, {"default": [container("job", labels={"team": "a"})], "k8s.io": []})
    with engine:
        catalog.start()
        eventually(lambda: catalog.lookup("job") is not None)
        assert catalog.lookup("job") == ContainerFacts("containerd", "job", "job", "bb:1", {"team": "a"}, 5.5)
        engine.containers["k8s.io"].append(container(B, labels={"nerdctl/name": "web"}))
        engine.event("create", "k8s.io", B)
        eventually(lambda: (facts := catalog.lookup(B)) is not None and facts.name == "web")
        engine.containers["k8s.io"][0] = container(B, image="bb:2")
        engine.event("update", "k8s.io", B)
        eventually(lambda: (facts := catalog.lookup(B)) is not None and facts.image == "bb:2")
        engine.event("create", "k8s.io", "gone already")
        engine.event("delete", "k8s.io", B)
        eventually(lambda: catalog.states()[0].containers == 1)
        assert catalog.lookup(B) is not None


def test_pod(path: Path, catalog: Catalog) -> None:
    """A pod's labels and annotations, told by its sandbox, name the job of each of its containers."""
    with Containerd(path, {"k8s.io": [BUILD, SANDBOX]}):
        catalog.start()
        eventually(lambda: catalog.lookup(A) is not None)
        facts = catalog.lookup(A)
        assert facts is not None
        assert facts.pod is not None
        assert (facts.name, facts.pod.name, facts.pod.namespace) == ("build", "runner-1", "ci")
        assert (facts.pod.labels["team"], "kubernetes.io/config.seen" in facts.pod.annotations) == (
            "a",
            False,
        )
        identity = identify_container(facts.name, facts.all_labels())
        assert identity is not None
        assert (identity.job.repository, identity.role, identity.task_id) == ("group/app", "job", "12")


def test_names_of_the_users_choice(path: Path, catalog: Catalog) -> None:
    """The same name in two namespaces is two containers; Docker's own namespace is left to Docker."""
    namespaces = {
        "default": [container("job", image="one")],
        "ci": [container("job", image="two"), container(A)],
        "moby": [container(B)],
    }
    engine = Containerd(path, namespaces)
    with engine:
        catalog.start()
        eventually(lambda: catalog.states()[0].status == "connected")
        engine.event("create", "moby", B)
        engine.event("update", "ci", A)
        found = {key: facts.image for key in ("job", "ci/job", A, B) if (facts := catalog.lookup(key))}
        assert found == {"job": "one", "ci/job": "two", A: "bb:1"}


@pytest.mark.parametrize(
    "metadata", [5, {}, {"Metadata": None}, {"Metadata": {"Config": {"annotations": [1]}}}]
)
def test_record_of_another_form(path: Path, catalog: Catalog, metadata: object) -> None:
    """A record of a pod that is not understood costs its annotations, text that is no UTF-8 nothing."""
    labels = {**POD, "io.cri-containerd.kind": "sandbox", "team": "caf\udce9"}
    with Containerd(path, {"k8s.io": [container(S, labels=labels, metadata=metadata)]}):
        catalog.start()
        eventually(lambda: catalog.lookup(S) is not None)
        facts = catalog.lookup(S)
        assert facts is not None
        assert facts.pod is not None
        assert (facts.pod.annotations, facts.labels["team"]) == ({}, "caf\ufffd")


def test_engine_comes_back(path: Path, catalog: Catalog) -> None:
    """While it is away its containers stay known; when it is back, the list is taken anew."""
    with Containerd(path, {"default": [container("job")]}):
        catalog.start()
        eventually(lambda: catalog.states()[0].status == "connected")
    eventually(lambda: catalog.states()[0].status != "connected")
    assert catalog.lookup("job") is not None
    with Containerd(path, {"default": [container("other")]}):
        eventually(lambda: catalog.lookup("other") is not None)
        eventually(lambda: catalog.states()[0].containers == 1)


def test_nonsense(path: Path, catalog: Catalog) -> None:
    """What does not speak gRPC costs the labels."""
    with Server(path, say(b"HTTP/1.1 400 Bad Request\r\n\r\n")):
        catalog.start()
        eventually(lambda: catalog.states()[0].status == "failed")
        reason = catalog.states()[0].reason or ""
    assert reason.startswith("the connection ended: ")
    assert "\n" not in reason


def test_another_service(path: Path, catalog: Catalog) -> None:
    """What speaks gRPC but not containerd's API is told as that."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_insecure_port(f"unix:{path}")
        server.start()
        catalog.start()
        eventually(lambda: catalog.states()[0].status == "failed")
        reason = catalog.states()[0].reason
        server.stop(0).wait()
    assert reason == "it does not speak containerd's API"


def test_close_while_it_says_nothing(path: Path, catalog: Catalog) -> None:
    """A server that never answers does not delay the end."""
    with Server(path, say_nothing) as server:
        catalog.start()
        eventually(lambda: server.accepted >= 2)
        time.sleep(0.1)
        began = time.monotonic()
        assert catalog.close()
        assert time.monotonic() - began < 1
