"""The pictures of a release, in a folder of their own that is meant for a gated repository.

A release says which frames belong to a clip, by reference and sha256. The frames themselves belong
to the films' owners; who may pass them on can put them beside it.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from lrmovienet.errors import ItemError, UserError
from lrmovienet.files import sha256_file, write_bytes, write_json
from lrmovienet.folders import replacing
from lrmovienet.keyframes import KeyframeReader, frames_root
from lrmovienet.progress import progress
from lrmovienet.release.build import refuse_others
from lrmovienet.release.dataset_info import configs, dataset_infos
from lrmovienet.release.layout import CARD, CONFIGS, FORMAT, MANIFEST, Release, digest_of
from lrmovienet.release.write import GROUP_BYTES, PICTURES_A_GROUP, write_stream
from lrmovienet.workspace import Workspace

FILE_BYTES = 500 * 2**20
"""A file ends when its pictures have as many bytes."""
WHY = """\
The pictures that the dataset **{title}** refers to: keyframes of films, a row a clip.

They are in a repository of their own because they do not belong to the dataset's authors but to the
owners of the films. Keep this repository gated, pass the pictures on to nobody, and use them for
research only. Without them the dataset is whole: labels, grades, preferences and references are in
the other repository, and who has the films joins them with `lrmovienet hydrate`.

Made for version {version} of it (content `{digest}`): {clips:,} clips, {frames:,} pictures.
"""
_ROW = tuple[str, list[str], list[bytes]]


def write_frames(release: Release, workspace: Workspace, out: Path) -> int:
    """Write every frame of a release's clips into a folder; what was there before goes.

    Returns:
        The number of pictures.

    Raises:
        UserError: a picture is not there, or is not the one that the release means.
    """
    reader = KeyframeReader(frames_root(workspace))
    clips = release.read("clips", columns=["clip_id", "keyframes"]).to_pylist()
    files: dict[str, dict[str, Any]] = {}
    total = sum(len(clip["keyframes"]) for clip in clips)
    with replacing(out, 0, lambda there: refuse_others(there, "frames")) as building:
        with progress("frames", len(clips), "clips") as advance:
            rows = _rows(reader, clips, advance)
            for row in rows:
                name = f"frames/frames-{len(files):05d}.parquet"
                path, parts = building / name, _parts(itertools.chain([row], rows))
                written = write_stream(path, CONFIGS["frames"].schema, parts, PICTURES_A_GROUP)
                files[name] = {
                    "sha256": sha256_file(path), "bytes": path.stat().st_size, "rows": written,
                }  # fmt: skip
        about = {**release.manifest["about"], "license": "other"}
        manifest = {
            "format": FORMAT, "kind": "frames", "about": about, "version": release.version,
            "of": release.digest, "pictures": total, "files": files, "splits": {},
        }  # fmt: skip
        text = frames_card(Release(building, manifest)).encode()
        write_bytes(building / CARD, text)
        files[CARD] = {"sha256": sha256_file(building / CARD), "bytes": len(text)}
        manifest["digest"] = digest_of(files)
        write_json(building / MANIFEST, manifest)
    return total


def frames_card(release: Release) -> str:
    """The card of a folder of frames, which asks for consent before it shows anything."""
    about = release.manifest["about"]
    infos = dataset_infos(release)
    front = {
        "pretty_name": f"{about['title']}: frames",
        "license": about["license"],
        "extra_gated_heading": "Pictures of films",
        "extra_gated_prompt": (
            "These pictures belong to the owners of the films. You agree to use them for research "
            "only, and to pass them on to nobody."
        ),
        "extra_gated_fields": {"Institution": "text", "I agree": "checkbox"},
        "configs": configs(release),
        "dataset_info": infos,
    }
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=100)
    body = WHY.format(
        title=about["title"], version=release.version, digest=release.manifest["of"][:12],
        clips=infos[0]["splits"][0]["num_examples"], frames=release.manifest["pictures"],
    )  # fmt: skip
    return f"---\n{text}---\n\n# {about['title']}: frames\n\n{body}"


def _rows(
    reader: KeyframeReader, clips: Iterable[dict[str, Any]], advance: Callable[[int], None]
) -> Iterator[_ROW]:
    for clip in clips:
        refs = [frame["ref"] for frame in clip["keyframes"]]
        try:
            pictures = [reader.read(f["ref"], f["sha256"]) for f in clip["keyframes"]]
        except ItemError as error:
            raise UserError(f"clip {clip['clip_id']}: {error}") from None
        yield clip["clip_id"], refs, pictures
        advance(1)


def _parts(rows: Iterator[_ROW]) -> Iterator[pa.Table]:
    """Row groups of one file, until it is large enough."""
    of_file = 0
    while of_file < FILE_BYTES:
        group: list[_ROW] = []
        size = 0
        for row in rows:
            group.append(row)
            size += sum(map(len, row[2]))
            if size >= GROUP_BYTES or len(group) == PICTURES_A_GROUP:
                break
        if not group:
            return
        of_file += size
        pictures = [
            [{"bytes": data, "path": ref.replace("/", "_")} for ref, data in zip(r, d, strict=True)]
            for _, r, d in group
        ]
        columns = [[clip for clip, _, _ in group], [refs for _, refs, _ in group], pictures]
        schema = CONFIGS["frames"].schema
        yield pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
        )
