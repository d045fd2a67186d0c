"""A workspace's projects on the server: how they are known again."""

from typing import Any

from annotation.server import Server
from annotation.store import Store
from annotation.tasks import Project
from lrmovienet.errors import UserError


def mark(store: Store, project: Project) -> str:
    """What stands at the end of a project's description, and tells it from all others."""
    return f"lrmovienet {store.workspace_id} {project.nonce}"


def find(server: Server, store: Store, project: Project) -> int | None:
    """The id of a project that exists on the server though it was not noted here."""
    return next((p.id for p in listed(server) if _has(p, mark(store, project))), None)


def listed(server: Server) -> list[Any]:
    """All projects that the token's owner sees: id, description and number of tasks."""
    found: list[Any] = []
    for project in server.sdk.projects.list(page_size=100, include="id,description,task_number"):
        if found and project.id == found[0].id:
            raise UserError(f"{server.url}: gives the same page of projects again and again.")
        found.append(project)
    return found


def known(server: Server, store: Store, project: Project) -> Any:
    """A project as it is on the server now, with its counts.

    The server may have got another address; a project is the same if its description says so.

    Raises:
        NotThere: there is no project of that id.
        UserError: that project was not pushed from this workspace: this is another server.
    """
    assert project.on_server is not None, "a project is made before it is looked at"
    found = server.ask(lambda: server.sdk.projects.get(id=project.on_server))
    if not _has(found, mark(store, project)):
        raise UserError(
            f"project {project.on_server} on {server.url} is not {project.annotator}'s of this "
            f"workspace, which was pushed to {project.server}. Give the right --server."
        )
    return found


def gone(server: Server, project: Project) -> UserError:
    """What to say of a project that was pushed and is not there."""
    return UserError(
        f"{project.annotator}'s project {project.on_server} is not on {server.url}. Is that the "
        "--server that it was pushed to? If it was deleted, put it back from a backup; or push "
        f"with --forget {project.annotator}, and without that name among --annotators: what was "
        "pulled counts, and the rest is asked of others."
    )


def _has(found: Any, wanted: str) -> bool:
    return bool((found.description or "").endswith(wanted))
