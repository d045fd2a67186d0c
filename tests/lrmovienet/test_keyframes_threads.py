import hashlib
import io
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

from lrmovienet.keyframes import FILMS_OPEN, KeyframeReader


def test_threads_that_open_and_leave_films_get_the_right_bytes(tmp_path):
    """More films than are kept open, so that threads open, evict and read at the same time."""
    frames = {}
    (tmp_path / "240P").mkdir()
    for film in range(2 * FILMS_OPEN):
        with tarfile.open(tmp_path / "240P" / f"tt{film}.tar", "w") as tar:
            for shot in range(20):
                ref = f"tt{film}/shot_{shot:04d}_img_0.jpg"
                data = random.Random(f"{film} {shot}").randbytes(500 + shot)
                member = tarfile.TarInfo(ref)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
                frames[ref] = hashlib.sha256(data).hexdigest()
    order = list(frames) * 10
    random.Random(0).shuffle(order)
    reader = KeyframeReader(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        read = list(pool.map(lambda ref: reader.read(ref, frames[ref]), order))
    assert len(read) == len(order)
