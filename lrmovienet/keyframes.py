"""Keyframes by MovieNet's names, read in place from tars, folders or the zip they come in.

Below a root lie ``240P/<movie_id>.tar``, with members named ``<movie_id>/shot_0012_img_1.jpg``, or
the same files in folders ``240P/<movie_id>/``, or a zip of such tars; some copies of MovieNet say
``240p``, and all of it may lie a folder or two deeper. The member's name is the frame's reference
in the table `clips`, so that a table does not hang on the layout. Nothing is unpacked: an archive's
directory is read once, and only regular members with such a name are ever opened.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lrmovienet.errors import ItemError, UserError, shorten
from lrmovienet.places import FOLDER, REF, FilmKeyframes, find
from lrmovienet.workspace import Workspace

FILMS_OPEN = 8
"""How many films' indexes are kept in memory, a process; one of 12,000 frames has about 3 MB."""


Item = TypeVar("Item")
_OPEN: OrderedDict[tuple[Path, str], FilmKeyframes] = OrderedDict()
_OPENING = threading.Lock()
"""Frames are read by several threads, but a film is looked up and opened by one."""


def frames_root(workspace: Workspace) -> Path:
    """The folder that the keyframes of the workspace's clips lie under.

    Raises:
        UserError: there are no clips yet, they have no frames, or the folder is gone.
    """
    manifest = workspace.require("clips")
    relative = manifest.config.get("frames_root")
    if not isinstance(relative, str):
        raise UserError(
            f"{workspace.folder('clips')}: these clips were made without pictures. Make clips with "
            f"pictures: lrmovienet ingest --workspace {workspace.root}"
        )
    root = (workspace.root.resolve() / relative).resolve()
    if not root.is_dir():
        raise UserError(
            f"{root}: the keyframes' folder is not there. Put it back, or run lrmovienet ingest "
            f"--workspace {workspace.root} again with the place where it is now."
        )
    return root


def parse_ref(ref: str) -> tuple[str, int, int]:
    """A reference -> film, number of the shot, number of the picture in the shot.

    Raises:
        ItemError: it is not of the form ``<movie_id>/shot_0012_img_1.jpg``.
    """
    match = REF.fullmatch(ref)
    if match is None or match["movie"] in (".", ".."):
        raise ItemError(
            f"{shorten(ref)} is not a keyframe's name such as tt1210166/shot_0012_img_1.jpg"
        )
    return match["movie"], int(match["shot"]), int(match["img"])


@dataclass(frozen=True)
class KeyframeReader:
    """Reads keyframes below a root, from any thread. It holds no open files and can be sent on."""

    root: Path

    def read(self, ref: str, sha256: str | None = None) -> bytes:
        """The JPEG bytes of one keyframe, checked against their sha256 where one is given.

        Raises:
            ItemError: it is not there, too large, in a damaged tar, or not the frame that was
                ingested.
        """
        movie_id, _, _ = parse_ref(ref)
        with _OPENING:
            source = self.film(movie_id)
            source.open()
        data = source.read(ref)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise ItemError(
                f"{source.name}: keyframe {ref} is not the picture that was ingested (its sha256 "
                "differs). Put the old file back, or delete the table clips and run ingest again."
            )
        return data

    def refs(self, movie_id: str) -> list[str]:
        """The references of all of a film's keyframes, by shot and picture.

        Raises:
            ItemError: the film has no keyframes here, or its tar is damaged.
        """
        return [ref for refs in self.film(movie_id).by_shot(movie_id).values() for ref in refs]

    def place(self, movie_id: str) -> str | None:
        """What holds a film's keyframes (a tar, a folder, a tar in a zip); None where nothing does.

        Raises:
            ItemError: the zip that would hold them is damaged.
        """
        source = find(self.root, movie_id)
        return source.name if source else None

    def stamp(self, movie_id: str) -> Any:
        """What changes when a film's keyframes do, without reading them; None: it has none.

        That is the size and the time of the last change of a tar or of each file of a folder, and
        the checksum that a zip keeps. Reading 160 GB at each run is too much.
        """
        source = find(self.root, movie_id)
        return source.stamp() if source else None

    def film(self, movie_id: str) -> FilmKeyframes:
        """The film's tar or folder; an open tar is used again while its file stays as it is.

        Raises:
            ItemError: the film has no keyframes here.
        """
        key = (self.root, movie_id)
        source = _OPEN.get(key)
        if source is None or not source.is_current():
            source = find(self.root, movie_id)
            if source is None:
                raise ItemError(
                    f"{self.root}: no keyframes of {movie_id} here; looked for {FOLDER}/{movie_id}"
                    f".tar, the folder {FOLDER}/{movie_id} and a zip with such tars"
                )
            _OPEN[key] = source
        _OPEN.move_to_end(key)
        while len(_OPEN) > FILMS_OPEN:
            _OPEN.popitem(last=False)
        return source


def evenly(items: Sequence[Item], at_most: int) -> list[Item]:
    """At most so many items, spread evenly: the middle one of each of `at_most` equal stretches."""
    total = len(items)
    if total <= at_most:
        return list(items)
    return [items[(2 * i + 1) * total // (2 * at_most)] for i in range(at_most)]
