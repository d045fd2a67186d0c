"""Small MovieNet trees, in the layouts in which people have MovieNet."""

import io
import json
import tarfile
import zipfile
from dataclasses import dataclass, field

from lrmovienet.cli import main
from lrmovienet.workspace import Workspace

ONE, TWO = "tt0120338", "tt12345678"
LONG = 100
"""Frames of each shot; shot s has the frames 100 s to 100 s + 99, at 25 frames a second."""


def story(film, number, shot, /, **changes):
    first, last = shot
    whole = {
        "id": f"{film}_{number:04d}",
        "shot": [first, last],
        "frame": [first * LONG, last * LONG + LONG - 1],
        "duration": [first * LONG / 25, (last * LONG + LONG - 1) / 25],
        "consistency": 0.9,
        "description": f"Scene {number} of {film}.",
        "subtitle": [{"shot": first, "duration": [0, 1], "sentences": ["Hello."]}],
    }
    return whole | changes


def frames(film, shots, images=3):
    return {
        f"{film}/shot_{s:04d}_img_{i}.jpg": f"{film} {s} {i}".encode()
        for s in range(shots)
        for i in range(images)
    }


def shot_lines(shots):
    """A shot file: keyframes at a quarter, a half and three quarters of each shot."""
    starts = range(0, shots * LONG, LONG)
    return "".join(f"{a} {a + LONG - 1} {a + 25} {a + 50} {a + 75}\n" for a in starts).encode()


@dataclass
class SmallFilm:
    """A film's files; None where it lacks one. Bytes are written as they are."""

    movie_id: str
    stories: object = None
    shots: bytes | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    meta: object = None
    scene: object = None
    whole: object = None
    """In place of all of the annotation."""

    def files(self):
        annotation = self.whole or {
            "imdb_id": self.movie_id, "cast": None, "scene": self.scene, "story": self.stories,
            "cinematic_style": {"movie": [], "trailer": None},
        }  # fmt: skip
        named = {"annotation": annotation, "meta": self.meta}
        found = {
            f"{part}/{self.movie_id}.json": v if isinstance(v, bytes) else json.dumps(v).encode()
            for part, v in named.items()
            if v is not None
        }
        if self.shots is not None:
            found[f"shot_detection/{self.movie_id}.txt"] = self.shots
        return found


TITANIC = {"imdb_id": ONE, "title": "Titanic (1997)", "genres": ["Drama", "Romance"]}


def two_films():
    """Two with stories, one of them with all its files; and two without stories."""
    stories = [story(ONE, 0, [0, 1]), story(ONE, 1, [3, 8]), story(ONE, 2, [9, 9], duration=None)]
    return [
        SmallFilm(TWO, [story(TWO, 0, [0, 0], description="  Été. \n")], None, frames(TWO, 1)),
        SmallFilm(ONE, stories, shot_lines(10), frames(ONE, 10), TITANIC),
        SmallFilm("tt0000001", None),
        SmallFilm("tt0000002", []),
    ]


def one_film(stories, shots=10, **changes):
    return [SmallFilm(ONE, stories, pictures=frames(ONE, shots), meta=TITANIC, **changes)]


def tar_of(members, form=tarfile.USTAR_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def small_files(films):
    return {name: data for film in films for name, data in film.files().items()}


def tars(films, folder="240P"):
    return {f"{folder}/{f.movie_id}.tar": tar_of(f.pictures) for f in films if f.pictures}


def as_folders(films, folder="240P"):
    pictures = {f"{folder}/{k}": v for film in films for k, v in film.pictures.items()}
    return small_files(films) | pictures


def as_tars(films, folder="240P"):
    return small_files(films) | tars(films, folder)


def as_zips(films, compression=zipfile.ZIP_STORED, folder="240P"):
    zips = {
        "annotation/": "annotation.v1.zip",
        "meta/": "meta.v1.zip",
        "shot_detection/": "movie1K.shot_detection.v1.zip",
    }
    small = small_files(films)
    files = {
        name: zip_of({k: v for k, v in small.items() if k.startswith(part)}, zipfile.ZIP_DEFLATED)
        for part, name in zips.items()
    }
    return files | {"movie1K.keyframes.240p.v1.zip": zip_of(tars(films, folder), compression)}


def put(root, files):
    """Write files under their names below a root."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def ingest(workspace, root, *options):
    return main(["ingest", "--workspace", str(workspace), "--movienet", str(root), *options])


def clips_of(workspace):
    return Workspace(workspace).read("clips").to_pylist()


def ids_of(workspace):
    return [row["clip_id"] for row in clips_of(workspace)]


def dropped_of(workspace):
    """(what, reason) of everything that was left out or noted."""
    rows = Workspace(workspace).read_dropped("clips").to_pylist()
    return [(row["clip_id"], row["reason"]) for row in rows]


def digest_of(workspace):
    return Workspace(workspace).require("clips").digest


def bytes_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def said_of(table, capsys):
    """The line that the last run printed of a table."""
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{table}: ")]
    return line
