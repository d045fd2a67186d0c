"""Local files on a Label Studio server: the storage connection, and a check that it serves them.

A file is served when three things agree: the server's document root, a storage connection of the
project on a folder below it, and the path in the URL, relative to the root. When one is wrong, the
server answers 404 and annotators see an empty frame; so some files are fetched, and where that
fails, it is found out which of the three it is.
"""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from annotation.server import NotThere, Refused, Server
from annotation.tasks import Project
from lrmovienet.errors import UserError

ROOT_VARIABLE = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
CHECKED = 10
"""How many files are fetched."""


def url(folder: str, name: str) -> str:
    """The address of a file, below the server's own: as it stands in a task's data."""
    return f"/data/local-files/?d={quote(f'{folder}/{name}')}"


def connect_storage(server: Server, project: Project, root: str, folder: str) -> None:
    """Give a project a storage connection on ``root/folder``, unless it has one.

    Args:
        server: the server.
        project: a project that exists there.
        root: the document root, as the server sees it.
        folder: the folder below it.

    Raises:
        UserError: the server does not serve local files, or has another document root.
    """
    path = str(PurePosixPath(root) / folder)

    def existing() -> int | None:
        connections = server.sdk.import_storage.local.list(project=project.on_server)
        return next((c.id for c in connections if c.path == path), None)

    try:
        if server.ask(existing) is None:
            server.settle(
                lambda: (
                    server.sdk.import_storage.local.create(
                        project=project.on_server, path=path, title="lrmovienet", use_blob_urls=True
                    ).id
                ),
                existing,
            )
    except Refused as error:
        raise UserError(_root_is_wrong(str(error), root)) from None


def _root_is_wrong(said: str, root: str) -> str:
    if "ERVING_ENABLED" in said:
        return (
            f"{said} Start the server with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"{ROOT_VARIABLE}={root}."
        )
    return (
        f"the ROOT is wrong: {said} --files must be the folder that the server has as "
        f"{ROOT_VARIABLE}; where the server sees it under another path (a container), give that "
        "one as --files_on_server."
    )


def check(server: Server, folder: str, files: Sequence[Path], root: Path) -> int:
    """Fetch some of the files as an annotator's browser will, and compare them.

    Args:
        server: the server.
        folder: the folder of the storage connection, below the document root.
        files: what should be served; up to ten are drawn.
        root: the document root, as it is seen here.

    Returns:
        How many were fetched.

    Raises:
        UserError: one is not served, or not as it lies here; says which of root, path and URL it
            is.
    """
    chosen = random.Random(0).sample(sorted(files), min(CHECKED, len(files)))  # noqa: S311
    for path in chosen:
        given = path.read_bytes()
        fetched = _fetch(server, f"{folder}/{path.name}")
        if fetched is None:
            raise UserError(_why_not(server, folder, path, root))
        if hashlib.sha256(fetched).digest() != hashlib.sha256(given).digest():
            raise UserError(
                f"the PATH is wrong: under {url(folder, path.name)} the server has another file "
                f"than {path}. --files must be the very folder that the server serves from."
            )
    return len(chosen)


def _fetch(server: Server, relative: str) -> bytes | None:
    """A local file's bytes, with the token; None where there is none."""

    def get() -> bytes:
        # The library has no call for this address; its own client carries the token.
        response = server.sdk._client_wrapper.httpx_client.request(
            "data/local-files/", method="GET", params={"d": relative}
        )
        if response.status_code != 200:
            from label_studio_sdk.core.api_error import ApiError

            raise ApiError(status_code=response.status_code, body="no such local file")
        return bytes(response.content)

    try:
        return server.ask(get)
    except NotThere:
        return None


def _why_not(server: Server, folder: str, path: Path, root: Path) -> str:
    """Which of root, path and URL is wrong."""
    # Below another root the same file has a shorter or longer name.
    absolute = path.resolve()
    for parent in absolute.parents:
        relative = absolute.relative_to(parent).as_posix()
        if relative != f"{folder}/{path.name}" and _fetch(server, relative) is not None:
            return (
                f"the URL is wrong: the server has {path} as ?d={relative}, so its document root "
                f"({ROOT_VARIABLE}) is {parent}, not {root}. Give --files {parent}."
            )
    return (
        f"the PATH is wrong: the server has a storage connection on {root}/{folder}, but does not "
        f"find {path} there. Is --files the same folder on the server's machine, and can the "
        f"server's user read it? (chmod -R a+rX {root / folder})"
    )
