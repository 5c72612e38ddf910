"""Manifests of `deploy/kubernetes` as flags of `docker run`, where there is no cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.support.components import ROOT

FROM_THE_POD = {"JOB_CPU": "2000", "JOB_MEMORY": "2147483648"}


def pod_of(manifest: str) -> dict[str, Any]:
    """The pod that a manifest describes, itself or as a template."""
    documents = list(yaml.safe_load_all((ROOT / "deploy/kubernetes" / manifest).read_text()))
    spec = documents[-1]["spec"]
    return dict(spec.get("template", {"spec": spec})["spec"])


def flags_of(pod: dict[str, Any], container: dict[str, Any], volumes: Mapping[str, Path]) -> list[str]:
    """A container's security context, variables, limits and mounts, and the host's processes where the pod has them."""
    context = pod.get("securityContext", {}) | container["securityContext"]
    assert not context["allowPrivilegeEscalation"]
    capabilities = context["capabilities"]
    flags = [
        "--security-opt=no-new-privileges",
        f"--user={context['runAsUser']}:{context.get('runAsGroup', 0)}",
    ]
    flags += ["--read-only"] if context["readOnlyRootFilesystem"] else []
    flags += ["--pid=host"] if pod.get("hostPID") else []
    flags += [f"--cap-drop={one}" for one in capabilities["drop"]]
    flags += [f"--cap-add={one}" for one in capabilities.get("add", ())]
    flags += [f"--memory={container['resources']['limits']['memory'].removesuffix('i').lower()}"]
    for one in container["env"]:
        value = one.get("value", FROM_THE_POD.get(one["name"], "from-the-pod"))
        filled = re.sub(r"\$\((\w+)\)", lambda match: FROM_THE_POD[match[1]], value)
        flags.append(f"--env={one['name']}={filled}")
    return [*flags, *(_mount(one, volumes) for one in container["volumeMounts"])]


def _mount(mount: dict[str, Any], volumes: Mapping[str, Path]) -> str:
    mode = "ro" if mount.get("readOnly") else "rw"
    return f"--volume={volumes[mount['name']]}:{mount['mountPath']}:{mode}"
