"""What becomes of each frame that a release refers to, in copies of the films of every kind."""

import pytest
from small_releases import again, differ, look, picture, put_frames, ref, sha256

from lrmovienet.keyframes import KeyframeReader
from lrmovienet.release.join import ABSENT, HERE, KINDS, Found, coverage, join_film

A, B, C, D = (picture(seed) for seed in range(4))
A_ANEW = again(A)
LAYOUTS = ("folders", "tars", "zip")


def told(number, data, hashed=True):
    """What a release says of a picture."""
    return {"ref": ref("fa", number), "sha256": sha256(data), "phash": look(data) if hashed else
            None}  # fmt: skip


def join(root, frames, told_of, bits=4, layout="folders", film="fa"):
    reader = KeyframeReader(put_frames(root, frames, layout))
    return join_film(reader, film, told_of, bits)


def test_what_these_tests_rest_on():
    """The picture encoded anew has other bytes and looks the same; the others do not."""
    assert sha256(A) != sha256(A_ANEW)
    assert differ(A, A_ANEW) <= 4
    assert all(differ(A, other) > 10 for other in (B, C, D))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_kind_in_each_layout(tmp_path, layout):
    frames = {
        ref("fa", 0): A, ref("fa", 1): C, ref("fa", 7): B, ref("fa", 3): A_ANEW,
        ref("fb", 5): D,
    }  # fmt: skip
    wanted = [told(0, A), told(1, B), told(2, D), told(3, A), told(4, C), told(7, D)]
    assert join(tmp_path, frames, wanted, layout=layout) == {
        ref("fa", 0): Found("same", ref("fa", 0), sha256(A)),
        ref("fa", 1): Found("moved", ref("fa", 7), sha256(B)),
        ref("fa", 2): Found("missing", ref("fa", 2), sha256(D)),  # only another film has it
        # Its bytes are there under another name: they are taken before what looks like them.
        ref("fa", 3): Found("moved", ref("fa", 0), sha256(A)),
        ref("fa", 4): Found("moved", ref("fa", 1), sha256(C)),
        ref("fa", 7): Found("other", ref("fa", 7), sha256(D)),
    }


def test_an_alike_frame_keeps_its_name_and_has_its_own_hash(tmp_path):
    (found,) = join(tmp_path, {ref("fa", 3): A_ANEW}, [told(3, A)]).values()
    assert found == Found("alike", ref("fa", 3), sha256(A_ANEW))


@pytest.mark.parametrize("turned", [1 << 63, 1, 0b101, (1 << 63) + 1, 2**64 - 1])
def test_alike_up_to_as_many_bits_and_not_one_less(tmp_path, turned):
    """The release's hash is the copy's with some of its 64 bits turned, the top one among them."""
    bits = bin(turned).count("1")
    value = int(look(A), 16) ^ turned
    wanted = [{"ref": ref("fa", 0), "sha256": "0" * 64, "phash": f"{value:016x}"}]
    frames = {ref("fa", 0): A}
    assert join(tmp_path, frames, wanted, bits)[ref("fa", 0)].kind == "alike"
    assert join(tmp_path, frames, wanted, bits - 1)[ref("fa", 0)].kind == "other"


def test_without_perceptual_hashes_other_bytes_are_another_picture(tmp_path):
    (found,) = join(tmp_path, {ref("fa", 3): A_ANEW}, [told(3, A, hashed=False)], 64).values()
    assert found == Found("other", ref("fa", 3), sha256(A))


def test_two_frames_that_changed_names_are_each_found_again(tmp_path):
    found = join(tmp_path, {ref("fa", 0): B, ref("fa", 1): A}, [told(0, A), told(1, B)])
    assert [(f.kind, f.ref) for f in found.values()] == [
        ("moved", ref("fa", 1)), ("moved", ref("fa", 0)),
    ]  # fmt: skip


def test_of_several_copies_of_a_picture_the_first_by_name_is_taken(tmp_path):
    frames = {ref("fa", 9): A, ref("fa", 2, 1): A, ref("fa", 2, 0): A, ref("fa", 1): B}
    assert join(tmp_path, frames, [told(5, A)])[ref("fa", 5)].ref == ref("fa", 2, 0)


def test_bytes_that_are_no_picture_are_another_picture_unless_they_are_the_very_bytes(tmp_path):
    garbage = b"not a JPEG"
    frames = {ref("fa", 0): garbage, ref("fa", 1): garbage}
    wanted = [
        told(0, A), {"ref": ref("fa", 1), "sha256": sha256(garbage), "phash": None},
    ]  # fmt: skip
    kinds = [found.kind for found in join(tmp_path, frames, wanted, 64).values()]
    assert kinds == ["other", "same"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_film_that_is_not_there_has_all_frames_missing(tmp_path, layout):
    found = join(tmp_path, {ref("fb", 0): A}, [told(0, A), told(1, B)], layout=layout)
    assert [f.kind for f in found.values()] == ["missing", "missing"]


def test_a_frame_is_read_for_what_it_is_not_for_its_film_s_other_frames(tmp_path):
    """A film of which all is right has nothing else read."""

    class Watching(KeyframeReader):
        def read(self, name, sha256=None):
            read.append(name)
            return super().read(name, sha256)

    frames, read = {ref("fa", i): picture(i) for i in range(5)}, []
    reader = Watching(put_frames(tmp_path, frames))
    join_film(reader, "fa", [told(1, picture(1)), told(3, picture(3))], 4)
    assert read == [ref("fa", 1), ref("fa", 3)]


def test_coverage_by_hand():
    def film(*kinds):
        return {f"r{i}": Found(kind, f"r{i}", "0" * 64) for i, kind in enumerate(kinds)}

    films = {
        "fb": film("same", "moved", "alike"), "fa": film("same", "other", "missing", "missing"),
        "fc": film("missing", "other"), "fd": film("missing"), "fe": film("alike"),
    }  # fmt: skip
    report = coverage(films)
    assert report["frames"] == {
        "same": 2, "moved": 1, "alike": 2, "other": 2, "missing": 4, "all": 11, "joined": 5,
    }  # fmt: skip
    assert report["films"] == {"all": 5, "whole": 2, "in part": 1, "absent": 2}
    assert list(report["by_film"]) == ["fa", "fb", "fc", "fd", "fe"]
    assert report["by_film"]["fa"] == {
        "same": 1, "moved": 0, "alike": 0, "other": 1, "missing": 2,
    }  # fmt: skip


def test_every_kind_is_either_here_or_absent():
    assert sorted([*HERE, *ABSENT]) == sorted(KINDS)
    assert coverage({}) == {
        "frames": {**dict.fromkeys(KINDS, 0), "all": 0, "joined": 0},
        "films": {"all": 0, "whole": 0, "in part": 0, "absent": 0}, "by_film": {},
    }  # fmt: skip
