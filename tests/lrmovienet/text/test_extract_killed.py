"""Whatever moment `extract` is killed at, the next run ends with the same table."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_extract import BATCH
from scripted import make_clips, written

HERE = Path(__file__).parent
SENTENCES = [
    f"{who} {does} the {what}."
    for who, does, what in zip(
        ["Neo", "Nobody", "Trinity", "Marta", "Nobody", "Ann", "Bill", "Cleo"] * 2,
        ["fights", "sees", "drives", "burns", "hears"] * 3 + ["eats"],
        ["crew", "truck", "letter", "gate", "dojo", "cake", "car"] * 2 + ["bus", "cat"],
        strict=True,
    )
]


def start(root, log, *arguments):
    command = [sys.executable, HERE / "kill_extract.py", root, log, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The table of a run that nobody stopped, and its calls of the model."""
    folder = tmp_path_factory.mktemp("unbroken")
    make_clips(folder / "w", SENTENCES)
    finish(start(folder / "w", folder / "log", "before"))
    calls = (folder / "log").read_text().splitlines()
    # Two kinds of 16 clips, and four clips whose first answers held no label, twice each.
    assert len(SENTENCES) == 16
    assert len(calls) == len(set(calls)) == 2 * 16 + 2 * 4
    return written(folder / "w"), sorted(calls)


def test_killed_ten_times_before_a_call_nothing_is_asked_twice(tmp_path, unbroken):
    table, calls = unbroken
    draw = random.Random(1)
    make_clips(tmp_path / "w", SENTENCES)
    # Before the first call, before one of those that come next, …, and before the last.
    numbers = [0, *(draw.randrange(0, 8) for _ in range(8))]
    numbers.append(len(calls) - 1 - sum(numbers))
    assert numbers[-1] > 0
    counts = finish(start(tmp_path / "w", tmp_path / "log", "before", *numbers)).split()
    # Each run goes on exactly where the one before was killed.
    assert list(map(int, counts)) == [sum(numbers[: i + 1]) for i in range(10)]
    assert sorted((tmp_path / "log").read_text().splitlines()) == calls
    assert written(tmp_path / "w") == table


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_from_outside_at_any_moment(tmp_path, unbroken):
    """In batches: a kill costs the batch under way, and the table is what it would have been."""
    table, calls = unbroken
    draw, kills, round_ = random.Random(7), 0, 0
    while kills < 12:
        root, log = tmp_path / f"w{round_}", tmp_path / f"log{round_}"
        make_clips(root, SENTENCES)
        here = 0
        for _ in range(4):
            before = len(log.read_text().splitlines()) if log.exists() else 0
            process = start(root, log, "slow")
            # From the first call on: everything before it is the loading of packages.
            while process.poll() is None and (
                not log.exists() or len(log.read_text().splitlines()) == before < len(calls)
            ):
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.25))
            if process.poll() is None:
                process.kill()
                here += 1
            process.communicate()
        finish(start(root, log, "slow"))
        asked = log.read_text().splitlines()
        assert set(asked) == set(calls)
        assert len(asked) <= len(calls) + here * BATCH
        assert written(root) == table
        kills, round_ = kills + here, round_ + 1
        assert round_ < 12
