"""A PostgreSQL server of the tests' own, and databases in it."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.e2e.support.components import require_root, unavailable
from tests.support.receivers import certificate, closed_port

_WHERE_DEBIAN_HAS_IT = "/usr/lib/postgresql/*/bin"
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
# The machine does not go down between two tests; what a killed server leaves is in the kernel's cache.
fsync = off
"""
_TEMPLATE = "jobmeter_template"


def programs() -> Path:
    """Where the newest server of this machine lies."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    debian = Path("/").glob(_WHERE_DEBIAN_HAS_IT.removeprefix("/"))
    found += sorted((place for place in debian if (place / "initdb").exists()), key=_release, reverse=True)
    if not found:
        unavailable("PostgreSQL is not installed; `make test` installs it where it may")
    return found[0]


def _release(place: Path) -> float:
    return float(place.parent.name)


class PostgresqlServer:
    """A server on 127.0.0.1, whose superuser needs no password; it refuses to run as root, so then nobody runs it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._programs = programs()
        self._numbers = itertools.count(1)
        self._log = directory / "log"
        self.port = closed_port()
        self._run(
            "initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync"
        )
        with (directory / "data/postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}port = {self.port}\n")

    def start(self) -> None:
        """Until it takes connections."""
        self._run("pg_ctl", "--wait", f"--log={self._log}", "start")

    def stop(self, mode: str = "fast") -> None:
        """Ends connections; ``immediate`` is what a crash does."""
        self._run("pg_ctl", "--wait", f"--mode={mode}", "stop")

    def restart(self, mode: str = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    @property
    def said(self) -> str:
        """Its log."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """Its first process, whose children the others are."""
        return int((self._directory / "data/postmaster.pid").read_text().split()[0])

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def ask(self, statement: str, *values: Any, database: str = "postgres") -> list[Any]:
        """The rows of a statement."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, template: str = "template0", place: str = "pg_default") -> Iterator[str]:
        """The address of a new database, which goes at the end; its files lie in a tablespace."""
        name = f"test_{next(self._numbers)}"
        words = {
            "name": sql.Identifier(name),
            "template": sql.Identifier(template),
            "place": sql.Identifier(place),
        }
        self._change(sql.SQL("CREATE DATABASE {name} TEMPLATE {template} TABLESPACE {place}").format(**words))
        try:
            yield self.url(name)
        finally:
            self._change(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**words))

    @contextmanager
    def small_disk(self, megabytes: int) -> Iterator[tuple[str, Path]]:
        """A tablespace on a file system of this size: its name and where it lies."""
        require_root("a file system of the test's own")
        directory = self._directory / f"small-{next(self._numbers)}"
        directory.mkdir()
        options = f"size={megabytes}m,uid={self._directory.stat().st_uid},mode=700"
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
        if subprocess.run(mount, check=False).returncode:
            unavailable("no tmpfs can be mounted here")
        try:
            words = {"name": sql.Identifier(directory.name), "place": sql.Literal(str(directory))}
            self._change(sql.SQL("CREATE TABLESPACE {name} LOCATION {place}").format(**words))
            yield directory.name, directory
            self._change(sql.SQL("DROP TABLESPACE {name}").format(**words))
        finally:
            subprocess.run(["umount", str(directory)], check=True)

    @contextmanager
    def password_asked_for(self) -> Iterator[None]:
        """Of everyone but the superuser."""
        rules = self._directory / "data/pg_hba.conf"
        before = rules.read_text()
        rules.write_text("host all postgres all trust\nhost all all all scram-sha-256\n")
        self._run("pg_ctl", "reload")
        try:
            yield
        finally:
            rules.write_text(before)
            self._run("pg_ctl", "reload")

    @contextmanager
    def encrypted(self, directory: Path) -> Iterator[Path]:
        """Speaks TLS as localhost, with a certificate that is its own authority: where that lies."""
        settings = self._directory / "data/postgresql.auto.conf"
        authority, key = certificate(directory)
        for file in (authority, key):
            copy = self._directory / "data" / file.name
            copy.write_bytes(file.read_bytes())
            copy.chmod(0o600)
            os.chown(copy, self._directory.stat().st_uid, -1)
        settings.write_text(f"ssl = on\nssl_cert_file = '{authority.name}'\nssl_key_file = '{key.name}'\n")
        self._run("pg_ctl", "reload")
        try:
            yield authority
        finally:
            settings.write_text("")
            self._run("pg_ctl", "reload")

    def migrated(self) -> str:
        """The name of a database whose tables are made, to be a template."""
        from jobmeter.receiver.store.database import Database

        if not self.ask("SELECT 1 FROM pg_database WHERE datname = %s", _TEMPLATE):
            self.ask(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            Database.open(self.url(_TEMPLATE)).close()
        return _TEMPLATE

    def _change(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, name: str, *words: str) -> None:
        command = [str(self._programs / name), f"--pgdata={self._directory / 'data'}", *words]
        done = subprocess.run(
            command, env=_environment(), cwd=self._directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False, **_as_somebody(),
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}: {done.stdout}"


def _environment() -> dict[str, str]:
    """Without what libpq would take from it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _as_somebody() -> dict[str, Any]:
    if os.geteuid():
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def running_postgresql() -> Iterator[PostgresqlServer]:
    """A server until the end of the block; its files are gone then."""
    with tempfile.TemporaryDirectory(prefix="jobmeter-postgresql-") as name:
        directory = Path(name)
        if not os.geteuid():
            os.chown(directory, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        server = PostgresqlServer(directory)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
