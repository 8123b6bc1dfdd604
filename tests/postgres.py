"""A private, throw-away PostgreSQL server: Debian's, any in the path, or pgserver's from PyPI.

Run as a program it is the keeper of the server that one test run shares: it starts the server, says
where it is, and stops it when the last process of the run has ended, in whatever way.

    python -m tests.postgres USERS_FILE
"""

import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.servers import free_port

INSTALL: Final = "apt-get install postgresql (or, without root, pip install pgserver)"
OWNER: Final = "postgres"
"""The server's superuser; comes in by its socket, without a password."""
USER: Final = "studio"
PASSWORD: Final = "s3cret-of-the-database"
"""By its socket nobody is asked for it; over TCP everybody is. No log and no error may ever hold it."""
FAST: Final = ("fsync=off", "full_page_writes=off", "shared_buffers=64MB")
"""Nothing here needs to outlive the machine; a crash of the server itself still loses no commit."""
START_SECONDS: Final = 30.0


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, if there is one."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]), reverse=True
    )
    found = [*debian, *([Path(named)] if (named := shutil.which("initdb")) else [])]
    if (package := importlib.util.find_spec("pgserver")) is not None and package.origin is not None:
        found.append(Path(package.origin).parent / "pginstall" / "bin" / "initdb")
    return next((initdb.resolve().parent for initdb in found if initdb.exists()), None)


@dataclass
class PostgreSQL:
    """One server over one folder; may be stopped and started again."""

    folder: Path
    bin: Path
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    """More settings for the server, as `name=value`."""
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, *, user: str = USER, tcp: bool = False, password: str = PASSWORD) -> str:
        """Where a database is; over TCP the password is asked for."""
        if tcp:
            return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self.port}/{database}"
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}&port={self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def make(self) -> None:
        """Make its files."""
        kind = ("--encoding=UTF8", "--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256")
        program = [self.bin / "initdb", "--no-sync", *kind, f"--username={OWNER}", "--pgdata", self._data]
        with (self.folder / "log").open("ab") as log:
            done = subprocess.run(
                [*_as_another(), *map(str, program)],
                check=False,
                cwd=self.folder,
                env=_environment(),
                stdout=log,
                stderr=log,
            )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{self.log}")

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = (
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self.folder}",
            "max_connections=200",
            *FAST,
            *self.options,
        )
        given = [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_another(), str(self.bin / "postgres"), "-D", str(self._data), *given],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=_environment(),
            )
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log[-2000:]}")
            time.sleep(0.02)

    def stop(self, *, signal_number: signal.Signals = signal.SIGINT) -> None:
        """Stop at once: SIGINT breaks all connections off in good order, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(signal_number)
            self.process.wait(START_SECONDS)
            self.process = None

    def restart(self, *, signal_number: signal.Signals = signal.SIGINT) -> None:
        self.stop(signal_number=signal_number)
        self.start()

    def run_sql(self, *statements: str, database: str = OWNER) -> None:
        """As the superuser, each in a transaction of its own."""
        import psycopg

        url = self.url(database, user=OWNER).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _answers(self) -> bool:
        ready = [str(self.bin / "pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port)]
        return subprocess.run(ready, check=False, env=_environment()).returncode == 0


@contextmanager
def running(*options: str) -> Iterator[PostgreSQL]:
    """A server of one's own, with the role `USER`, until the `with` block ends."""
    place = programs()
    if place is None:
        raise RuntimeError(f"there is no PostgreSQL here: {INSTALL}")
    folder = Path(tempfile.mkdtemp(prefix="t2s-pg-"))  # short, for a socket's path has 107 bytes at most
    server = PostgreSQL(folder, place, options=options)
    try:
        if os.geteuid() == 0:
            os.chown(folder, _another().pw_uid, _another().pw_gid)
        server.make()
        server.start()
        server.run_sql(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _another() -> pwd.struct_passwd:
    """Who runs the server where we are root, which it refuses to be."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as_another() -> list[str]:
    """What a command begins with, so that it dies with us and is not root."""
    if shutil.which("setpriv") is None:
        return []
    change = []
    if os.geteuid() == 0:
        change = [f"--reuid={_another().pw_uid}", f"--regid={_another().pw_gid}", "--clear-groups"]
    return ["setpriv", "--pdeathsig=INT", *change]


def _environment() -> dict[str, str]:
    """Without the PG* variables of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C.UTF-8"}


def keep(users: Path) -> None:
    """Serve until nobody holds the lock on `users` any more; a process that is killed holds none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest
    with running() as server, users.open() as file:
        where = {"folder": str(server.folder), "bin": str(server.bin), "port": server.port}
        sys.stdout.write(f"{json.dumps(where)}\n")
        sys.stdout.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        users.unlink()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
