"""Pods as the kubelet makes them: through the Container Runtime Interface of the tests' containerd.

The messages of that interface are few, so that they are written here, field by field (cri-api, api.proto).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from tests.e2e.support.containerd import BUSYBOX, Containerd

NODE = 2
"""The namespace of the node."""


@dataclass(frozen=True)
class Pod:
    """A sandbox on the node's network."""

    id: str
    uid: str
    labels: Mapping[str, str]
    _config: bytes
    _channel: grpc.Channel

    def create(self, name: str, *argv: str) -> str:
        """A container of `BUSYBOX` that is not started; its id."""
        config = _field(1, _field(1, name)) + _field(2, _field(1, BUSYBOX))
        config += b"".join(_field(3, word) for word in argv)
        config += _map(9, {**self.labels, "io.kubernetes.container.name": name})
        request = _field(1, self.id) + _field(2, config) + _field(3, self._config)
        return _call(self._channel, "CreateContainer", request)

    def start(self, name: str, *argv: str) -> str:
        """A container that runs; its id."""
        container_id = self.create(name, *argv)
        _call(self._channel, "StartContainer", _field(1, container_id))
        return container_id


@contextmanager
def running_pod(
    engine: Containerd,
    uid: str,
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> Iterator[Pod]:
    """A pod whose cgroups lie below /kubepods; it is removed with all its containers."""
    known_by = {
        "io.kubernetes.pod.uid": uid,
        "io.kubernetes.pod.name": name,
        "io.kubernetes.pod.namespace": namespace,
    }
    host_namespaces = b"".join(_field(number, NODE) for number in (1, 2, 3))
    config = _field(1, _field(1, name) + _field(2, uid) + _field(3, namespace))
    config += _map(6, {**known_by, **labels}) + _map(7, annotations)
    config += _field(8, _field(1, f"/kubepods/pod{uid}") + _field(2, _field(1, host_namespaces)))
    with grpc.insecure_channel(f"unix:{engine.socket}") as channel:
        sandbox = _call(channel, "RunPodSandbox", _field(1, config))
        try:
            yield Pod(sandbox, uid, known_by, config, channel)
        finally:
            _call(channel, "StopPodSandbox", _field(1, sandbox))
            _call(channel, "RemovePodSandbox", _field(1, sandbox))


def _call(channel: grpc.Channel, method: str, request: bytes) -> str:
    """One call; the id in its answer."""
    answer = channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", None, None)(request, timeout=30)
    return bytes(answer[2:]).decode()


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _map(number: int, pairs: Mapping[str, str]) -> bytes:
    return b"".join(_field(number, _field(1, key) + _field(2, value)) for key, value in pairs.items())


def _varint(number: int) -> bytes:
    digits = b""
    while number > 127:
        digits += bytes([number & 127 | 128])
        number >>= 7
    return digits + bytes([number])
