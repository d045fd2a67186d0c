"""A real `lrmovienet tag` that is killed or interrupted ends as one that never was."""

import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from tagged import demo_frames, workspace_of, written

from lrmovienet.tagging.frames import ENTRY

# A shell starts what runs in its background with interrupts ignored; a person's terminal does not.
START = """
import signal
from lrmovienet.cli import entry
signal.signal(signal.SIGINT, signal.default_int_handler)
entry()
"""
COMMAND = [sys.executable, "-c", START, "tag"]
CLIPS, FRAMES = 12, 60


def many_clips(root):
    """Clips of different pictures, every second of which shows one frame of the clip before."""
    base, pictures = demo_frames(), []
    for number in range(FRAMES):
        # A comment (FF FE) in the file: other bytes, so another frame, of the same pixels.
        mark = f"{number:04d}".encode()
        jpeg = base[number % 6]
        pictures.append(jpeg[:2] + b"\xff\xfe\x00\x06" + mark + jpeg[2:])
    clips = {}
    for number in range(CLIPS):
        shown = pictures[5 * number : 5 * number + 5]
        clips[f"tt1_{number:04d}"] = shown + (pictures[5 * number - 1 :][:1] if number % 2 else [])
    workspace_of(root, clips)


def start(root):
    command = [*COMMAND, "--workspace", str(root), "--shard_size", "3"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def known(root):
    path = root / "cache" / "frames.sqlite"
    if not path.exists():
        return {}
    try:
        # Not read-only: what a kill left half-written has to be rolled back by the next who opens.
        with sqlite3.connect(path, timeout=10) as database:
            return dict(database.execute("SELECT key, value FROM results"))
    except sqlite3.OperationalError:  # not yet a table in it
        return {}


def end_after(process, root, frames):
    """Wait until so many frames are known, and a moment that differs each time."""
    deadline = time.monotonic() + 100
    while len(known(root)) < frames:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(random.Random(frames).random() * 0.05)


@pytest.mark.slow
def test_killed_at_several_moments_it_ends_as_unbroken(tmp_path):
    many_clips(tmp_path / "unbroken")
    many_clips(tmp_path / "broken")
    out, err = start(tmp_path / "unbroken").communicate()
    assert "image_labels: " in out, err
    for frames in (1, 9, 20, 33, 47):
        process = start(tmp_path / "broken")
        end_after(process, tmp_path / "broken", frames)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        before = known(tmp_path / "broken")
        assert frames <= len(before) < FRAMES
        assert all(len(value) % ENTRY.itemsize == 0 < len(value) for value in before.values())
        assert not (tmp_path / "broken" / "image_labels").exists()
    process = start(tmp_path / "broken")
    assert "image_labels: " in process.communicate()[0]
    assert known(tmp_path / "broken") == known(tmp_path / "unbroken")
    assert len(known(tmp_path / "broken")) == FRAMES
    assert written(tmp_path / "broken") == written(tmp_path / "unbroken")


@pytest.mark.slow
def test_ctrl_c_is_said_and_what_was_scored_is_kept(tmp_path):
    many_clips(tmp_path)
    process = start(tmp_path)
    end_after(process, tmp_path, 10)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == (
        "lrmovienet tag: interrupted; run the same command to go on."
    )
    assert "Traceback" not in err
    assert 10 <= len(known(tmp_path)) < FRAMES
