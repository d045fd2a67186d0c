"""A Label Studio server on this machine, ready for this project: ``make label-studio``.

    python -m annotation.local_server [--folder DIR] [--port N] [-- COMMAND …]

Label Studio has an environment of its own, as its requirements pull ours apart. Its data, its
access token and the files it serves lie in one folder. It listens on loopback alone and is told to
ask nobody outside for anything. With a command, the server runs for as long as the command does,
which finds its address and token in LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY.
"""

import argparse
import contextlib
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eval.terminal import leave
from lrmovienet.errors import UserError

FOLDER = Path(".label-studio")
PROGRAM = Path(".venv-label-studio/bin/label-studio")
HOST = "127.0.0.1"
USER = "admin@example.org"
FIRST_START_S = 600.0
"""The first start makes the database: a minute on two cores that have nothing else to do."""


def prepare(folder: Path, port: int) -> dict[str, str]:
    """Make the server's folder, once, and give the environment to run it with.

    What is set in the environment already wins for the database (``DJANGO_DB``, ``POSTGRE_…``), so
    that a team can use PostgreSQL.

    Args:
        folder: holds ``data``, ``files`` (the document root), ``token`` and ``password``.
        port: where the server will listen.
    """
    folder = folder.resolve()
    for name in ("data", "files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_HOST": f"http://{HOST}:{port}",
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": _secret(folder / "password"),
        "LABEL_STUDIO_USER_TOKEN": _secret(folder / "token"),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(folder / "files"),
        # Nothing leaves this machine: no analytics, versions, error reports or flags.
        "COLLECT_ANALYTICS": "False",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "FEATURE_FLAGS_OFFLINE": "true",
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
    }
    if not any(name.startswith("POSTGRE") for name in os.environ):
        settings["DJANGO_DB"] = "sqlite"
    # Our own packages must not be found by the server's Python.
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return inherited | settings


def _secret(path: Path) -> str:
    """Forty hexadecimal digits, made once, for the owner's eyes."""
    if not path.exists():
        whole = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(20))
        whole.replace(path)
    return path.read_text().strip()


def command(program: Path, port: int) -> list[str]:
    """What starts the server.

    Raises:
        UserError: Label Studio is not installed there.
    """
    if not program.exists():
        raise UserError(f"{program}: Label Studio is not installed. Run: make label-studio")
    return [
        str(program.absolute()), "start", "--no-browser", "--internal-host", HOST,
        "--host", f"http://{HOST}:{port}", "--port", str(port),
    ]  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return when the server answers.

    Raises:
        UserError: it ended, or does not answer in time.
    """
    started = said = time.monotonic()
    while time.monotonic() - started < FIRST_START_S:
        if process.poll() is not None:
            tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-5:])
            raise UserError(
                f"Label Studio ended ({process.returncode}); {log} ends with:\n  {tail}"
            )
        if _answers(port):
            return
        if time.monotonic() - said > 10:
            said = time.monotonic()
            sys.stderr.write(f"label studio: starting, {said - started:.0f} s\n")
        time.sleep(0.3)
    raise UserError(f"Label Studio does not answer after {FIRST_START_S:.0f} s; see {log}.")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextlib.contextmanager
def running(
    folder: Path, port: int, program: Path = PROGRAM
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that answers, ended at the end."""
    if port_taken(port):
        raise UserError(f"--port {port}: something listens there already. Give another --port.")
    environment = prepare(folder, port)
    log = folder / "server.log"
    with (folder / "lock").open("w") as lock, log.open("ab") as file:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: a server of this folder is running already.") from None
        process = subprocess.Popen(  # noqa: S603 - the program is the caller's
            command(program, port), env=environment, stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip
        try:
            wait_until_up(process, port, log)
            yield process
        finally:
            stop(process)


def _end_with_parent() -> None:
    """Ask Linux to end the server when the process that started it is gone, however it went."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server and what it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


def port_taken(port: int) -> bool:
    """Whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def run(folder: Path, port: int, program: Path, then: Sequence[str]) -> int:
    """Run the server until it is interrupted, or until a command is done."""
    with running(folder, port, program) as process:
        url = f"http://{HOST}:{port}"
        if then:
            theirs: Mapping[str, str] = {
                "LABEL_STUDIO_URL": url,
                "LABEL_STUDIO_API_KEY": (folder / "token").read_text(),
            }
            return subprocess.call(then, env={**os.environ, **theirs})  # noqa: S603
        sys.stdout.write(
            f"Label Studio is at {url}\n"
            f"  log in as {USER}; the password is in {folder / 'password'}\n"
            f"  push with: lrmovienet annotate push grading --workspace DIR --annotators NAME … "
            f"--server {url} --token_file {folder / 'token'} --files {folder / 'files'}\n"
            "  Ctrl-C ends it.\n"
        )
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()
    return 0


def main() -> int:
    """The program. Returns its exit status: the command's, or 2 for a wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m annotation.local_server",
        description="A Label Studio server on loopback, ready for `lrmovienet annotate`.",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="its data, token and files")
    parser.add_argument("--port", type=int, default=8080, help="0: any that is free")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the program label-studio")
    parser.add_argument("command", nargs="*", help="run this while the server is up, then end it")
    given = parser.parse_args()
    try:
        return run(given.folder, given.port or free_port(), given.program, given.command)
    except UserError as error:
        sys.stderr.write(f"label studio: error: {error}\n")
        return 2


if __name__ == "__main__":
    leave(main)
