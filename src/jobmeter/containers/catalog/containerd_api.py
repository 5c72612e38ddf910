"""containerd's gRPC API: the containers of every namespace, then its events.

Sources: containerd's api/services and internal/cri (labels and extensions of its CRI plugin); seen with
containerd 1.6. Namespaces of Docker are left out: Docker itself tells more of its containers.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import msgspec
from google.protobuf.message import DecodeError
from msgspec import Struct

from jobmeter.containers.catalog.book import Book
from jobmeter.containers.catalog.containerd_messages import decoder, new
from jobmeter.containers.catalog.facts import ContainerFacts, describe
from jobmeter.containers.engines.ids import is_build_id, is_long_hex
from jobmeter.identity.variables import shorten
from jobmeter.model.errors import SourceUnavailable

ANSWER_SECONDS = 8.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_ENGINE = "containerd"
_DEFAULT_NAMESPACE = "default"
_OTHERS_NAMESPACES = frozenset({"moby", "plugins.moby"})
_TOPICS = ("/containers/create", "/containers/update", "/containers/delete")
_NERDCTL_NAME = "nerdctl/name"
_SANDBOX_METADATA = b"io.cri-containerd.sandbox.metadata"
_OPTIONS = (
    # Its own connection: one that others share goes on with their pauses after a failure.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)
_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: f"it does not answer within {ANSWER_SECONDS:g} s",
    grpc.StatusCode.UNIMPLEMENTED: "it does not speak containerd's API",
    grpc.StatusCode.PERMISSION_DENIED: "permission denied",
}


class _SandboxConfig(Struct, frozen=True):
    annotations: dict[str, str] = {}


class _Sandbox(Struct, frozen=True):
    Config: _SandboxConfig = _SandboxConfig()


class _SandboxMetadata(Struct, frozen=True):
    """The CRI plugin's own record of a pod; Kubernetes' annotations are nowhere else."""

    Metadata: _Sandbox = _Sandbox()


class ContainerdSession:
    """One connection."""

    def __init__(self, path: str) -> None:
        self._channel = grpc.insecure_channel(f"unix:{path}", options=_OPTIONS)

    def run(self, book: Book, listed: Callable[[str], None]) -> None:
        """Subscribe, list, then follow the events until the engine ends them."""
        try:
            filters = [f'topic=="{topic}"'.encode() for topic in _TOPICS]
            request = new("SubscribeRequest", filters=filters)
            # Sent first, and its answer comes after that to the request below: nothing is missed in between.
            events = self._stream("events.v1.Events/Subscribe", "Envelope")(request)
            namespaces = self._unary("namespaces.v1.Namespaces/List", "ListNamespacesResponse")(
                b"", timeout=ANSWER_SECONDS
            )
            names = [namespace.name for namespace in namespaces.namespaces]
            book.replace([facts for name in names for facts in self._list(name)])
            listed(_ENGINE)
            for envelope in events:
                self._apply(envelope, book)
        except grpc.RpcError as error:
            raise SourceUnavailable(_reason(error)) from None
        except DecodeError:
            raise SourceUnavailable("it does not speak containerd's API") from None

    def cancel(self) -> None:
        """End ``run`` at once."""
        self._channel.close()

    def _list(self, namespace: bytes) -> Iterator[ContainerFacts]:
        if _text(namespace) in _OTHERS_NAMESPACES:
            return
        call = self._stream("containers.v1.Containers/ListStream", "ContainerMessage")
        for message in call(b"", timeout=ANSWER_SECONDS, metadata=_within(namespace)):
            facts = _describe(namespace, message.container)
            if facts is not None:
                yield facts

    def _apply(self, envelope: Any, book: Book) -> None:
        if _text(envelope.namespace) in _OTHERS_NAMESPACES:
            return
        container_id = decoder("ContainerId")(envelope.event.value).id
        if envelope.topic == b"/containers/delete":
            book.end(_key(envelope.namespace, container_id))
            return
        facts = self._get(envelope.namespace, container_id)
        if facts is not None:
            book.put(facts)

    def _get(self, namespace: bytes, container_id: bytes) -> ContainerFacts | None:
        call = self._unary("containers.v1.Containers/Get", "ContainerMessage")
        try:
            answer = call(
                new("ContainerId", id=container_id), timeout=ANSWER_SECONDS, metadata=_within(namespace)
            )
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL):
                return None  # It is gone already, or containerd cannot read it.
            raise
        return _describe(namespace, answer.container)

    def _unary(self, method: str, answer: str) -> Any:
        return self._channel.unary_unary(
            f"/containerd.services.{method}", _serialize, decoder(answer), _registered_method=False
        )

    def _stream(self, method: str, answer: str) -> Any:
        return self._channel.unary_stream(
            f"/containerd.services.{method}", _serialize, decoder(answer), _registered_method=False
        )


def _describe(namespace: bytes, container: Any) -> ContainerFacts | None:
    labels = {_text(label.key): _text(label.value) for label in container.labels}
    container_id = _key(namespace, container.id)
    name = labels.get(_NERDCTL_NAME, "")
    if not name and not is_long_hex(container_id):
        name = _text(container.id)
    created = container.created_at.seconds + container.created_at.nanos / 1e9
    return describe(
        engine=_ENGINE,
        container_id=container_id,
        name=name,
        image=_text(container.image),
        labels=labels,
        created=created or None,
        annotations=_annotations(container.extensions),
    )


def _key(namespace: bytes, container_id: bytes) -> str:
    """The id, with the namespace before a name of the user's choice: only in the default one it is unique."""
    text, place = _text(container_id), _text(namespace)
    if place == _DEFAULT_NAMESPACE or is_long_hex(text) or is_build_id(text):
        return text
    return f"{place}/{text}"


def _annotations(extensions: Any) -> Mapping[str, str]:
    for extension in extensions:
        if extension.key == _SANDBOX_METADATA:
            try:
                metadata = msgspec.json.decode(extension.value.value, type=_SandboxMetadata)
            except (msgspec.DecodeError, UnicodeError):
                return {}
            return metadata.Metadata.Config.annotations
    return {}


def _reason(error: Any) -> str:
    code = error.code()
    if code in _REASONS:
        return _REASONS[code]
    return f"the connection ended: {code.name.lower()}: {shorten(error.details() or '', 120)}"


def _within(namespace: bytes) -> tuple[tuple[str, str], ...]:
    return (("containerd-namespace", _text(namespace)),)


def _serialize(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
