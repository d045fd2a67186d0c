"""Names of annotators as they may be published.

The key that makes the pseudonyms stays in the workspace, so that every export and every release
gives a person the same one, and nobody without the key can try names out.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from lrmovienet.errors import UserError
from lrmovienet.schema import TABLES
from lrmovienet.workspace import Manifest, Workspace

PROJECTS = tuple(
    f"{form}{round_}"
    for form in ("screening", "grading", "pairs")
    for round_ in ("", "-adjudication")
)
"""Names of projects that `lrmovienet annotate` gives itself."""
KEY_FILE, KEY_BYTES = "pseudonyms.key", 32


def pseudonym(name: str, key: bytes) -> str:
    """A name as it may be published."""
    return "annotator-" + hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:8]


def published(workspace: Workspace, name: str) -> pa.Table:
    """A table of what people said as it may be published, by its key.

    Names become pseudonyms, unless the people are generated, and moments become days: who worked
    when is nobody's business.

    Raises:
        UserError: there is no such table, the workspace's key is damaged, or two people would get
            one pseudonym.
    """
    rows, schema = workspace.read(name), TABLES[name].schema
    if not is_generated(workspace.require(name)):
        key = _key(workspace.root / "annotation" / KEY_FILE)
        coded = rows["annotator"].combine_chunks().dictionary_encode()
        names = [pseudonym(name, key) for name in coded.dictionary.to_pylist()]
        if len({*names}) != len(names):
            raise UserError("two annotators got one pseudonym; delete the key and export again.")
        rows = _replaced(rows, "annotator", pa.array(names, pa.string()).take(coded.indices))
        projects = rows["project"].combine_chunks().dictionary_encode()
        shown = [_project(name, key) for name in projects.dictionary.to_pylist()]
        rows = _replaced(rows, "project", pa.array(shown, pa.string()).take(projects.indices))
    days = pc.utf8_slice_codeunits(rows["created_at"], 0, 10)
    rows = _replaced(rows, "created_at", days).select(schema.names)
    return rows.sort_by([(column, "ascending") for column in TABLES[name].key]).cast(schema)


def fingerprint(workspace: Workspace) -> str | None:
    """What tells the key of the pseudonyms from another, where any person's name is replaced."""
    made = (workspace.manifest(name) for name in ("ratings", "pair_ratings"))
    if all(manifest is None or is_generated(manifest) for manifest in made):
        return None
    return hashlib.sha256(_key(workspace.root / "annotation" / KEY_FILE)).hexdigest()[:16]


def _project(name: str, key: bytes) -> str:
    """A project's name as it may be published: whoever named it may have named people."""
    return name if name in PROJECTS else "project-" + pseudonym(name, key).rpartition("-")[2]


def is_generated(made: Manifest) -> bool:
    """Whether a table comes from `lrmovienet synth`."""
    return made.stage_version.startswith("synthetic-")


def _replaced(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def _key(path: Path) -> bytes:
    """The workspace's key, made once, for its owner's eyes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Whole before it has its name, and never in place of one that another run made meanwhile.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".") as made:  # mode 0600
            made.write(secrets.token_bytes(KEY_BYTES))
            made.flush()
            os.fsync(made.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(made.name, path)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise UserError(
            f"{path}: is damaged. Put a copy back; or delete it, and everybody gets a new "
            "pseudonym."
        )
    return key
