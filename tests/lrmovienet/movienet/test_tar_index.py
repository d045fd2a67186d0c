"""Where members lie in a tar, held against Python's tarfile."""

import io
import os
import tarfile
import tempfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmovienet.archives import MAX_HEADER, Stretch, tar_index
from lrmovienet.errors import ItemError

FORMATS = {
    "ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT,
}  # fmt: skip
OTHERS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
TYPES = [*[tarfile.REGTYPE] * 5, *OTHERS]

short = st.text(st.sampled_from("ab."), min_size=1, max_size=3)
long = st.integers(90, 300).map(lambda n: ("d" * 49 + "/") * (n // 50) + "x" * (n % 50 + 1))
exact = st.integers(98, 101).map(lambda n: "n" * n)
names = st.one_of(short, short.map("./{}".format), long, exact, st.just("Été/夜"))
members = st.lists(
    st.tuples(names, st.binary(max_size=1100), st.sampled_from(TYPES)),
    max_size=6,
)  # fmt: skip


def written(rows, form):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data, kind in rows:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "target"
            member.size = len(data) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def expected_of(tar):
    """Name -> bytes, as tarfile reads it, the last of each name."""
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as file:
        return {
            m.name.removeprefix("./"): file.extractfile(m).read() for m in file if m.isreg()
        }  # fmt: skip


class Counted(Stretch):
    """Ends a reader that goes round and round."""

    reads = 0

    def pread(self, size, offset):
        self.reads += 1
        assert self.reads < 1000, "it reads for ever"
        return super().pread(size, offset)


def found_in(tar, before=b"", after=b"", wanted=lambda name: True):
    """Name -> bytes, by the index of a tar that lies inside a larger file."""
    with tempfile.TemporaryFile() as file:
        file.write(before + tar + after)
        file.flush()
        stretch = Counted(file.fileno(), len(before), len(tar))
        index = tar_index(stretch, wanted)
        return {name: stretch.pread(size, at) for name, (at, size) in index.items()}


@settings(max_examples=300, deadline=None)
@given(members, st.sampled_from([*FORMATS.values()]), st.binary(max_size=700), st.binary())
def test_any_tar_reads_as_by_tarfile_wherever_it_lies(rows, form, before, after):
    try:
        tar = written(rows, form)
    except (ValueError, UnicodeEncodeError):  # USTAR has no room for this name
        return
    assert found_in(tar) == expected_of(tar)
    assert found_in(tar, before, after) == expected_of(tar)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("length", [98, 99, 100, 101, 156, 157])
def test_names_around_the_width_of_their_field(form, length):
    name = ("d" * 60 + "/" + "x" * 200)[:length]
    tar = written([(name, b"data", tarfile.REGTYPE)], FORMATS[form])
    assert found_in(tar) == {name: b"data"}


def test_by_hand():
    tar = written(
        [("tt1/a.jpg", b"first", b"0"), ("./tt1/b.jpg", b"", b"0"), ("tt1/a.jpg", b"last", b"0")],
        tarfile.USTAR_FORMAT,
    )
    with tempfile.TemporaryFile() as file:
        file.write(tar)
        file.flush()
        index = tar_index(Stretch(file.fileno(), 0, len(tar)), lambda name: name.startswith("tt1"))
    # A header of 512 bytes each, and the first member's data in one block of 512.
    assert index == {"tt1/a.jpg": (512 + 512 + 512 + 512, 4), "tt1/b.jpg": (1536, 0)}
    assert found_in(tar, wanted=lambda name: name.endswith("b.jpg")) == {"tt1/b.jpg": b""}


def test_old_tars_mark_files_by_a_zero_byte():
    tar = written([("a", b"1", tarfile.AREGTYPE), ("b", b"", tarfile.REGTYPE)], FORMATS["ustar"])
    assert set(found_in(tar)) == {"a", "b"}


@given(st.binary(max_size=3000))
def test_what_follows_the_end_mark_is_not_read(garbage):
    tar = written([("a", b"data", tarfile.REGTYPE)], FORMATS["ustar"])
    assert found_in(tar[: 2 * 512 + 1024] + garbage) == {"a": b"data"}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("cut", [0, 300, 512, 700, 1024, 1324])
def test_a_tar_without_its_end_mark_is_cut_off(form, cut):
    name = "é" if form == "pax" else "a"  # PAX and GNU take the slow path
    tar = written([(name, b"data", tarfile.REGTYPE), ("b", b"more", b"0")], FORMATS[form])
    whole = tar.rindex(b"more") + 512
    assert set(found_in(tar)) == {name, "b"}
    with pytest.raises(ItemError, match=r"(cut off|not a readable tar).*Copy the file again"):
        found_in(tar[: whole - 1024 + cut] if cut < 1024 else tar[: whole - whole % 512])


@settings(max_examples=300, deadline=None)
@given(members, st.sampled_from([*FORMATS.values()]), st.data())
def test_a_tar_with_wrong_bytes_is_read_or_refused_but_never_crashes(rows, form, data):
    try:
        tar = bytearray(written(rows, form)[: 512 * 12])
    except ValueError:
        return
    for _ in range(data.draw(st.integers(1, 4))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = found_in(bytes(tar), b"before", b"after")
    except ItemError:
        return
    assert sum(map(len, found.values())) <= 100 * len(tar)


def resized(header, size):
    """A member's header with another size, in base 256 where it is negative or huge."""
    header = bytearray(header)
    digits = b"%011o\0" % size if 0 <= size < 8**11 else (size % 256**12).to_bytes(12, "big")
    if size >= 8**11:
        digits = b"\x80" + size.to_bytes(11, "big")
    header[124:136] = digits
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize("size", [-1, -512, -513, -1024, -1536, -2048, -(2**62), 2**62, 2**80])
@pytest.mark.parametrize("kind", [b"0", b"L", b"x"])
def test_sizes_that_no_file_has(size, kind):
    """A size below nothing would send the reader back to where it was, for ever."""
    good = written([("a", b"data", b"0")], FORMATS["ustar"])[:1024]
    bad = tarfile.TarInfo("b")
    bad.type = kind
    tar = good + resized(bad.tobuf(), size) + good + bytes(1024)
    try:
        found = found_in(tar, before=b"x" * 4096)
    except ItemError as error:
        assert "Copy the file again" in str(error)
    else:
        assert kind != b"0", "a member cannot be smaller than nothing or larger than the file"
        assert found["a"] == b"data"


def test_a_folders_size_takes_no_room():
    """POSIX, pax, typeflag 5: a size may say how much the folder may hold; no data follows."""
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    rest = written([("a", b"data", b"0"), ("b", b"more", b"0")], FORMATS["ustar"])
    tar = resized(folder.tobuf(tarfile.USTAR_FORMAT), 1024) + rest
    assert found_in(tar) == expected_of(tar) == {"a": b"data", "b": b"more"}


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_long_name_of_a_hundred_megabytes_is_not_read_into_memory(tmp_path, kind):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 100_000_000
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(200_000_000)  # a hole, which takes no room on the disk
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            with pytest.raises(ItemError):
                tar_index(Stretch(file.fileno(), 0, path.stat().st_size), bool)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()


@given(st.binary(max_size=40), st.integers(0, 30), st.integers(0, 30), st.data())
def test_a_stretch_is_a_file_of_its_own(data, start, size, draw):
    """Against io.BytesIO of the same bytes, in any order of reading and seeking."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        stretch, plain = Stretch(file.fileno(), start, size), io.BytesIO(data[start : start + size])
        for _ in range(draw.draw(st.integers(1, 5))):
            at = draw.draw(st.integers(0, 40))
            assert stretch.seek(at) == plain.seek(at)
            wanted = draw.draw(st.integers(0, 40))
            assert stretch.read(wanted) == plain.read(wanted)
            assert stretch.tell() == plain.tell()
            assert stretch.pread(3, at) == data[start : start + size][at : at + 3]
        assert stretch.seek(0, os.SEEK_END) == size
        assert stretch.seek(-min(2, size), os.SEEK_CUR) == size - min(2, size)
        assert stretch.readable() and stretch.seekable()
        for wrong in (-1, MAX_HEADER + 1):  # no more is ever taken into memory than a header has
            with pytest.raises(ValueError, match="a header of"):
                stretch.read(wrong)


def test_a_long_set_of_attributes_costs_no_time():
    """Python's tarfile takes the square of its length: 300 kB would be minutes."""
    attributes = b"1" * 300_000
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(attributes)
    data = header.tobuf() + attributes + bytes(-len(attributes) % 512) + bytes(1024)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with pytest.raises(ItemError, match=r"a header of \d+ bytes"):
            tar_index(Stretch(file.fileno(), 0, len(data)), bool)


def test_a_hard_link_is_the_frame_it_points_to():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("a")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"data"))
        for name, target in (("b", "a"), ("c", "nowhere")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, target
            tar.addfile(link)
    with tempfile.TemporaryFile() as file:
        file.write(buffer.getvalue())
        file.flush()
        index = tar_index(Stretch(file.fileno(), 0, len(buffer.getvalue())), bool)
    assert index["b"] == index["a"] == (512, 4)
    assert "c" not in index
