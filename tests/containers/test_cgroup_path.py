"""Whose cgroup is this: paths as engines make them, under both drivers, nested, and any text at all."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobmeter.containers.cgroup_path import ContainerRef, locate, short_name

A = "4f0c2a9d81b3" + "a" * 52
B = "9bca8d63d5fa" + "b" * 52
UID = "2c48913c-b29f-11e7-9350-020968147796"
SLICE_UID = UID.replace("-", "_")
BURSTABLE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_UID}.slice"
BUILD = "xm2cfcyk3znn3a420f1ustjck"

# path, engine, id, pod; the container's own directory is the whole path
CONTAINERS = [
    # Docker: seen with dockerd 20.10; systemd form from moby
    (f"/docker/{A}", "docker", A, None),
    (f"/actions_job/{A}", "docker", A, None),
    (f"/system.slice/docker-{A}.scope", "docker", A, None),
    (f"/user.slice/user-1000.slice/user@1000.service/app.slice/docker-{A}.scope", "docker", A, None),
    (f"/ci.slice/docker-{A}.scope", "docker", A, None),
    (f"/system.slice:docker:{A}", "docker", A, None),
    # any other --cgroup-parent, AWS ECS, containers at the root, another cgroup namespace
    (f"/my/ci/{A}", None, A, None),
    (f"/ecs/31cb02944da7a12196a193cf0e0f6c22/{A}", None, A, None),
    (f"/{A}", None, A, None),
    (f"/../{A}", None, A, None),
    (f"/../../docker/{A}", "docker", A, None),
    # BuildKit: the first seen with dockerd 20.10
    (f"/docker/buildkit/{BUILD}", "buildkit", BUILD, None),
    (f"/buildkit/{BUILD}", "buildkit", BUILD, None),
    (f"/system.slice/docker-{BUILD}.scope", "buildkit", BUILD, None),
    # Kubernetes, cgroupfs driver
    (f"/kubepods/burstable/pod{UID}/{A}", "kubernetes", A, UID),
    (f"/kubepods/besteffort/pod{UID}/{A}", "kubernetes", A, UID),
    (f"/kubepods/pod{UID}/{A}", "kubernetes", A, UID),
    (f"/kubepods/burstable/podX/{A}", "kubernetes", A, "X"),
    ("/kubepods/burstable/podX/cx", "kubernetes", "cx", "X"),
    (
        f"/kubepods/burstable/poda1de58db0ce81d19df7999f6808def1b/{A}",
        "kubernetes",
        A,
        "a1de58db0ce81d19df7999f6808def1b",
    ),
    (f"/kubepods/kubepods-besteffort/kubepods-besteffort-pod{UID}/{A}", "kubernetes", A, UID),
    (f"/../../pod{UID}/{A}", "kubernetes", A, UID),
    (f"/kubepods/burstable/pod{UID}/crio-{A}", "crio", A, UID),
    # Kubernetes, systemd driver
    (f"{BURSTABLE}/cri-containerd-{A}.scope", "containerd", A, UID),
    (f"{BURSTABLE}/crio-{A}.scope", "crio", A, UID),
    (f"{BURSTABLE}/docker-{A}.scope", "docker", A, UID),
    (f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice/cri-containerd-{A}.scope", "containerd", A, UID),
    (f"/kubepods-besteffort-pod{SLICE_UID}.slice:cri-containerd:{A}", "containerd", A, UID),
    (
        f"/system.slice/containerd.service/kubepods-burstable-pod{SLICE_UID}.slice:cri-containerd:{A}",
        "containerd",
        A,
        UID,
    ),
    (
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{SLICE_UID}.slice/cri-containerd-{A}.scope",
        "containerd",
        A,
        UID,
    ),
    (f"/../cri-containerd-{A}.scope", "containerd", A, None),
    (f"/../crio-{A}.scope", "crio", A, None),
    # containerd without Kubernetes: the first seen with ctr 1.6
    ("/default/job", "containerd", "job", None),
    (f"/default/{A}", "containerd", A, None),
    (f"/k8s.io/{A}", "containerd", A, None),
    (f"/system.slice/nerdctl-{A}.scope", "containerd", A, None),
    # Podman
    (f"/machine.slice/libpod-{A}.scope", "podman", A, None),
    (f"/libpod_parent/libpod-{A}", "podman", A, None),
    (f"/libpod_parent/{B}/libpod-{A}", "podman", A, B),
    (f"/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope", "podman", A, B),
    (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope", "podman", A, None),
    (
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_{B}.slice/libpod-{A}.scope",
        "podman",
        A,
        B,
    ),
    (f"/system.slice/nginx.service/libpod-payload-{A}", "podman", A, None),
    # LXC and systemd's machines
    ("/lxc/web01", "lxc", "web01", None),
    ("/lxc.payload/101", "lxc", "101", None),
    ("/lxc.payload.web01", "lxc", "web01", None),
    ("/machine.slice/systemd-nspawn@jammy.service", "systemd", "jammy", None),
    (r"/machine.slice/machine-qemu\x2d1\x2dWin10.scope", "systemd", "qemu-1-Win10", None),
]


@pytest.mark.parametrize("path, engine, container_id, pod", CONTAINERS)
def test_container(path: str, engine: str | None, container_id: str, pod: str | None) -> None:
    """An engine's directory is the container's, and so is all that lies below it."""
    expected = ContainerRef(engine=engine, id=container_id, path=path, pod=pod)
    assert locate(path) == expected
    for inner in ("/container", "/init", "/init.scope", "/system.slice/cron.service", "/payload/init.scope"):
        assert locate(path + inner) == expected


# A name of the user's choice, as ctr's, is believed right below the root only.
NESTABLE = [case for case in CONTAINERS if case[0] != "/default/job"]


@pytest.mark.parametrize("path, engine, container_id, pod", NESTABLE)
def test_container_in_a_container(path: str, engine: str | None, container_id: str, pod: str | None) -> None:
    """What runs in a Docker container keeps its form, and knows what it is nested in."""
    path = path.replace("/..", "")
    outer = f"/system.slice/docker-{B}.scope"
    nested = locate(outer + path)
    assert nested == ContainerRef(
        engine=engine, id=container_id, path=outer + path, parent_path=outer, pod=pod
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "0::/",
        "/..",
        "/../..",
        "/init.scope",
        "/user.slice/user-1000.slice/session-3.scope",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        "/docker",
        "/docker/not-a-container",
        f"/docker/{A[:-1]}",
        f"/docker/{A.upper()}",
        "/docker/buildkit",
        "/docker/buildkit/short",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/docker-desktop.scope",
        "/docker-.scope",
        "/kubepods/burstable",
        f"/kubepods/burstable/pod{UID}",
        BURSTABLE,
        f"{BURSTABLE}/crio-conmon-{A}.scope",
        f"/kubepods/burstable/pod{UID}/crio-conmon-{A}",
        f"/machine.slice/libpod-conmon-{A}.scope",
        "/libpod_parent/conmon",
        f"/libpod_parent/{B}",
        f"/libpod_parent/{B}/conmon",
        f"/libpod_parent/libpod-{A}/conmon",
        "/system.slice/nginx.service/runtime",
        f"/system.slice/{A}-1a2b3c.service",
        f"/system.slice/var-lib-docker-containers-{A}-mounts-shm.mount",
        "/default",
        "/user.slice/default/x",
        "/lxc",
        "/lxc.monitor.web01",
        "/lxc.monitor/101",
        "/ecs/31cb02944da7a12196a193cf0e0f6c22",
    ],
)
def test_no_container(path: str) -> None:
    """Roots, services, sessions, pods without a container, monitors and look-alikes are none."""
    assert locate(path) is None


@pytest.mark.parametrize(
    "path, container, parent",
    [
        (f"/docker/{A}/docker/{B}", f"/docker/{A}/docker/{B}", f"/docker/{A}"),
        (
            f"/docker/{A}/kubelet/kubepods/burstable/pod{UID}/{B}/x",
            f"/docker/{A}/kubelet/kubepods/burstable/pod{UID}/{B}",
            f"/docker/{A}",
        ),
        (
            f"/libpod_parent/libpod-{A}{BURSTABLE}/docker-{B}.scope",
            f"/libpod_parent/libpod-{A}{BURSTABLE}/docker-{B}.scope",
            f"/libpod_parent/libpod-{A}",
        ),
        (
            f"/docker/{A}/docker/{B}/docker/{A}",
            f"/docker/{A}/docker/{B}/docker/{A}",
            f"/docker/{A}/docker/{B}",
        ),
        (f"/docker/{A}/docker/buildkit/{BUILD}", f"/docker/{A}/docker/buildkit/{BUILD}", f"/docker/{A}"),
        ("/lxc/a/lxc/b/c", "/lxc/a/lxc/b", "/lxc/a"),
        (
            f"{BURSTABLE}/cri-containerd-{A}.scope/docker/{B}",
            f"{BURSTABLE}/cri-containerd-{A}.scope/docker/{B}",
            f"{BURSTABLE}/cri-containerd-{A}.scope",
        ),
        (f"/docker/{A}/libpod-{B}", f"/docker/{A}/libpod-{B}", f"/docker/{A}"),
    ],
)
def test_nested(path: str, container: str, parent: str) -> None:
    """The innermost container is found, with the path of the one directly around it."""
    ref = locate(path)
    assert ref is not None
    assert (ref.path, ref.parent_path) == (container, parent)


def test_pod_is_not_the_container_around() -> None:
    """Podman directly in a Docker container has no pod, though both directories look like one."""
    ref = locate(f"/docker/{A}/libpod-{B}")
    assert ref is not None
    assert ref.pod is None


@pytest.mark.parametrize(
    "line", [f"0::/docker/{A}\n", f"4:memory:/docker/{A}", f"9:name=systemd:/docker/{A}"]
)
def test_line_of_proc(line: str) -> None:
    """A line of /proc/PID/cgroup, of either version, is as good as its path."""
    assert locate(line) == ContainerRef(engine="docker", id=A, path=f"/docker/{A}")


def test_removed_cgroup() -> None:
    """The kernel's mark of a removed cgroup is not part of its path."""
    assert locate(f"/docker/{A} (deleted)") == locate(f"/docker/{A}")


@pytest.mark.parametrize(
    "path, name",
    [
        (f"/docker/{A}", "docker-4f0c2a9d81b3"),
        (f"/docker/{A}/docker/{B}/init", "docker-9bca8d63d5fa"),
        (f"/../{A}", "container-4f0c2a9d81b3"),
        (f"/docker/buildkit/{BUILD}", f"buildkit-{BUILD}"),
        (f"{BURSTABLE}/cri-containerd-{A}.scope", "pod2c48913c-4f0c2a9d81b3"),
        (f"/libpod_parent/{B}/libpod-{A}", "pod9bca8d63-4f0c2a9d81b3"),
        ("/kubepods/burstable/podX/cx", "podX-cx"),
        ("/default/job", "containerd-job"),
        ("/lxc.payload.web01", "lxc-web01"),
        (r"/machine.slice/machine-qemu\x2d1\x2dWin10.scope", "systemd-qemu-1-Win10"),
        ("/system.slice/ssh.service", "ssh"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3"),
        ("/system.slice/nginx.service/runtime", "nginx-runtime"),
        ("/../job", "job"),
        ("/", "root"),
        ("", "root"),
        ("/..", "root"),
        ("/.scope", "root"),
        ("/a\x1b[31mb", "a [31mb"),
        ("/" + "x" * 300, "x" * 80),
    ],
)
def test_short_name(path: str, name: str) -> None:
    """The name without a map says engine or pod and a short id, else the directory."""
    assert short_name(path) == name
    ref = locate(path)
    assert ref is None or short_name(ref) == name


def test_short_name_of_a_ref_without_id() -> None:
    """A container of which only the path is known is named after it."""
    assert short_name(ContainerRef(engine=None, id=None, path="/ci/build")) == "build"


_PIECES = st.sampled_from(
    [
        "",
        "/",
        "..",
        "docker",
        A,
        B,
        "kubepods",
        "pod",
        f"pod{UID}",
        f"libpod-{A}.scope",
        ":cri-containerd:",
        ".slice",
        f"kubepods-pod{SLICE_UID}.slice",
        "crio-",
        "lxc",
        "lxc.payload.",
        "buildkit",
        BUILD,
        "libpod_parent",
        "conmon",
        "0::",
        " (deleted)",
        "default",
        "machine-",
        ".scope",
        "\\x2d",
        "\\x00",
        "\x00",
        "\udc80",
        "-pod",
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_PIECES | st.text(max_size=5), max_size=12).flatmap(
        lambda p: st.sampled_from(["/".join(p), "".join(p)])
    )
)
def test_any_path(path: str) -> None:
    """Any text gives a container within the path or none, and a name that can be printed."""
    ref = locate(path)
    name = short_name(path)
    assert name.isprintable() or not path.isprintable()
    assert 0 < len(name) <= 80
    if ref is not None:
        assert ref.path in path
        assert ref.id
        assert ref.parent_path is None or ref.path.startswith(ref.parent_path + "/")
        assert locate(ref.path) is not None
