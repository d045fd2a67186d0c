"""A generated MovieNet tree in each layout in which people have the real one."""

import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lrmovienet.errors import UserError
from lrmovienet.files import atomic_open, json_bytes, write_bytes, write_if_changed
from lrmovienet.progress import progress
from lrmovienet.synthetic import Layout
from lrmovienet.synthetic.calibration import CALIBRATION
from lrmovienet.synthetic.plan import SizeName
from lrmovienet.synthetic.tree import INDEX, TreeOutcome, write_tree

SPLIT, SHOT_COUNTS = "movie1K.split.v1.json", "MovieNet_shot_num.json"

_ZIPS = {
    "annotation": "annotation.v1.zip",
    "meta": "meta.v1.zip",
    "shot_detection": "movie1K.shot_detection.v1.zip",
    "240P": "movie1K.keyframes.240p.v1.zip",
}
_DATE = (2000, 1, 1, 0, 0, 0)
_HIDDEN = ".tars"


def write_movienet(
    root: Path, layout: Layout, size: SizeName, seed: int, frames: bool, processes: int
) -> TreeOutcome:
    """Bring a folder to the generated tree that the options ask for, in a layout.

    Equal options give equal files, the times of zips' members included.

    Raises:
        UserError: the folder holds something that this did not write.
    """
    asked = {"layout": layout, "size": size, "seed": seed, "frames": frames}
    marker = root / f".{INDEX}"
    before = json.loads(marker.read_bytes()) if marker.exists() else None
    if before is None and root.exists() and any(p.name != _HIDDEN for p in root.iterdir()):
        raise UserError(f"{root}: is not empty, and `synth` did not write it. Give another folder.")
    if before is not None and {**before, "whole": True} != {**asked, "whole": True}:
        raise UserError(
            f"{root}: holds a generated tree of other options ({_options(before)}). Give another "
            "folder, or delete it."
        )
    if layout != "tars" and before is not None and before["whole"]:
        films = len(json.loads((root / SPLIT).read_bytes())["full"])
        return TreeOutcome(films, films)
    write_if_changed(marker, json_bytes({**asked, "whole": layout == "tars"}))
    source = root if layout == "tars" else root / _HIDDEN
    outcome = write_tree(source, size, seed, frames, processes, CALIBRATION)
    _write_lists(source, root)
    if layout != "tars":
        _repack(source, root, layout)
        shutil.rmtree(source)
    write_if_changed(marker, json_bytes({**asked, "whole": True}))
    return outcome


def _options(asked: dict[str, object]) -> str:
    return ", ".join(f"--{name} {value}" for name, value in asked.items() if name != "whole")


def _write_lists(source: Path, root: Path) -> None:
    """The split file and the numbers of shots, in MovieNet's formats; three in five films train."""
    films = sorted(path.stem for path in (source / "annotation").iterdir())
    split: dict[str, list[str]] = {"train": [], "val": [], "test": [], "full": films}
    for i, film in enumerate(films):
        split[("train", "val", "test", "train", "train")[i % 5]].append(film)
    shots = {
        name: {f: len((source / f"shot_detection/{f}.txt").read_bytes().splitlines()) for f in of}
        for name, of in split.items()
        if name != "full"
    }
    write_if_changed(root / SPLIT, json_bytes(split))
    write_if_changed(root / SHOT_COUNTS, json_bytes(shots))


def _repack(source: Path, root: Path, layout: Layout) -> None:
    folders = [p for p in sorted(source.iterdir()) if p.is_dir()]
    with progress(f"layout {layout}", len(folders), "parts") as advance:
        for folder in folders:
            if layout in ("zips", "compressed"):
                _zip(folder, root / _ZIPS[folder.name], layout == "compressed")
            elif layout == "deeper":
                target = root / "MovieNet" / _ZIPS[folder.name].removesuffix(".zip") / folder.name
                _move(folder, target)
            elif folder.name == "240P":
                for tar in sorted(folder.iterdir()):
                    _unpack(tar, root / "240p")
            else:
                _move(folder, root / folder.name)
            advance(1)


def _move(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    folder.rename(target)


def _unpack(tar: Path, folder: Path) -> None:
    time_ns = tar.stat().st_mtime_ns
    with tarfile.open(tar) as members:
        for member in members:
            file = members.extractfile(member)
            assert file is not None
            write_bytes(folder / member.name, file.read())
            os.utime(folder / member.name, ns=(time_ns, time_ns))


def _zip(folder: Path, target: Path, compressed: bool) -> None:
    with atomic_open(target) as file, zipfile.ZipFile(file, "w") as archive:
        for path in _files(folder):
            info = zipfile.ZipInfo(f"{folder.name}/{path.name}", _DATE)
            small = path.suffix != ".tar"
            info.compress_type = zipfile.ZIP_DEFLATED if small or compressed else zipfile.ZIP_STORED
            archive.writestr(info, path.read_bytes())


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
