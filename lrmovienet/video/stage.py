"""Films -> rows of the table `films`, and each film's tar of keyframes and shot file."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmovienet.errors import ItemError
from lrmovienet.files import sha256_file, sha256_of, write_bytes
from lrmovienet.progress import progress
from lrmovienet.runner import Columns
from lrmovienet.schema import FILMS
from lrmovienet.video.decode import check_video
from lrmovienet.video.shots import (
    DETECT_WIDTH,
    JPEG_QUALITY,
    KEPT,
    KEPT_BYTES,
    Cut,
    Detection,
    cut_film,
)


@dataclass(frozen=True)
class VideoStage:
    """Films -> `films`. Each film's frames go into `folder`, under a name made of all they hang on.

    Input rows are films: ``movie_id, file, sha256``.
    """

    paths: dict[str, Path]
    """movie_id -> where the film lies on this machine."""
    folder: Path
    """Where frames wait until the table is whole."""
    detection: Detection

    @property
    def version(self) -> str:
        """Changes with every option that changes the table or the frames."""
        constants = [JPEG_QUALITY, DETECT_WIDTH, KEPT, KEPT_BYTES]
        return f"video-2:{sha256_of([list(self.detection), constants])[:16]}"

    def __call__(self, batch: Columns) -> Columns:
        """Rows of films -> rows of `films`. Raises ItemError for a film that cannot be read."""
        rows = [
            self._row(movie_id, file, sha256)
            for movie_id, file, sha256 in zip(
                *(batch[c] for c in ("movie_id", "file", "sha256")), strict=True
            )
        ]
        return {name: [row.get(name) for row in rows] for name in FILMS.schema.names}

    def frames_of(self, movie_id: str, sha256: str) -> tuple[Path, Path]:
        """A film's tar and its shot file, in `folder`."""
        folder = self.folder / sha256_of([self.version, movie_id, sha256])[:16]
        return folder / f"{movie_id}.tar", folder / f"{movie_id}.txt"

    def make_frames(self, movie_id: str, file: str, sha256: str) -> Cut:
        """Cut a film, and write its tar and shot file into `folder`. Raises ItemError."""
        path = self.paths[movie_id]
        tar, listed = self.frames_of(movie_id, sha256)
        try:
            info = check_video(path)
            with _frame_progress(file, info.frames) as advance:
                cut = cut_film(path, movie_id, self.detection, tar, advance)
        except ItemError as error:
            raise ItemError(f"{file}: {error}") from None
        frames = [keyframe.frame for keyframe in cut.keyframes]
        lines = (
            " ".join(map(str, (*shot, *frames[3 * n : 3 * n + 3]))) + "\n"
            for n, shot in enumerate(cut.shots)
        )
        write_bytes(listed, "".join(lines).encode())
        return cut

    def _row(self, movie_id: str, file: str, sha256: str) -> dict[str, Any]:
        cut = self.make_frames(movie_id, file, sha256)
        return {
            "movie_id": movie_id, "genres": [], "cast": [], "source": "video", "file": file,
            "shots": len(cut.shots), "frames": cut.clock.frames, "fps": cut.clock.fps,
            "tick_s": cut.clock.tick_s, "ticks": cut.clock.ticks, "notes": cut.notes,
            "frames_sha256": sha256_file(self.frames_of(movie_id, sha256)[0]),
        }  # fmt: skip


@contextmanager
def _frame_progress(file: str, frames: int) -> Iterator[Callable[[int], None]]:
    """Show how far a film is; workers, whose lines would mix, show nothing."""
    if multiprocessing.parent_process() is not None or not frames:
        yield lambda n: None
        return
    with progress(file, frames, "frames") as advance:
        yield advance
