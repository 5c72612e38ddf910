"""An authority of a test's own, and the certificates that it issues, by the system's openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Authority(NamedTuple):
    """Its folder and its own certificate, as PEM."""

    folder: Path
    certificate: Path

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for this name, and its key."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        signer = ("-CA", str(self.certificate), "-CAkey", str(self.folder / "ca.key"))
        _openssl(name, certificate, key, "-addext", f"subjectAltName=DNS:{name}", *signer)
        return certificate, key

    def server(self, name: str = "localhost") -> ssl.SSLContext:
        """What a server of this name uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        return context


def authority(folder: Path) -> Authority:
    """One that signs what is asked for; nobody knows it yet."""
    certificate = folder / "ca.pem"
    _openssl("authority", certificate, folder / "ca.key", "-addext", "keyUsage=critical,keyCertSign")
    return Authority(folder, certificate)


def _openssl(name: str, certificate: Path, key: Path, *more: str) -> None:
    files = ("-keyout", str(key), "-out", str(certificate))
    command = ["openssl", "req", "-x509", *_CURVE, "-subj", f"/CN={name}", *files, *more]
    subprocess.run(command, check=True, capture_output=True)
