"""Training as processes of their own: by torchrun, interrupted, and told to TensorBoard."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from lrmovienet import __version__
from lrmovienet.cli import main

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT),
}  # fmt: skip
WORDS = ["train", "lr2ppo-base", "--epochs", "2"]


@pytest.fixture
def root(filled, tmp_path) -> Path:
    return Path(shutil.copytree(filled.root, tmp_path / "w"))


def on_two(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in two processes."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
        "-m", "lrmovienet", *words, "--workspace", str(root),
    ]  # fmt: skip
    return subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, timeout=180, check=False
    )


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_the_package_runs_as_the_command_does():
    done = subprocess.run(
        [sys.executable, "-m", "lrmovienet", "--version"],
        capture_output=True, text=True, env=ENVIRONMENT, check=True,
    )  # fmt: skip
    assert done.stdout == f"lrmovienet {__version__}\n"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_one_ranker_and_speak_once(root):
    words = ["train", "lr2ppo", "--iterations", "1"]
    done = on_two(root, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = ["lr2ppo-base", "lr2ppo-reward", "lr2ppo"]
    made = {line.removeprefix("rankers/").split(":")[0] for line in lines}
    assert made >= set(names)
    assert len(lines) == len(made), "a line was said twice"
    for name in made:
        manifest = json.loads((root / "rankers" / name / "manifest.json").read_bytes())
        assert manifest["processes"] == 2
    logged = [json.loads(line)["table"] for line in (root / "runs.jsonl").open()]
    assert sorted(t for t in logged if t.startswith("rankers/")) == sorted(
        f"rankers/{name}" for name in made
    )
    assert not list((root / ".building").rglob("*.*"))
    before = contents(root)
    again = on_two(root, *words)
    assert (again.returncode, again.stdout) == (0, "".join(f"{line.split(':')[0]}: up to date\n"
                                                           for line in lines))  # fmt: skip
    assert contents(root) == before
    assert main(["predict", "--workspace", str(root)]) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("wrong", ["locked", "option", "data"])
def test_two_processes_fail_with_one_message_and_none_hangs(root, tmp_path, wrong):
    words = {
        "locked": WORDS,
        "option": ["train", "lr2ppo-base", "--epochs", "0"],
        "data": [*WORDS, "--data", str(tmp_path)],
    }[wrong]
    message = {
        "locked": "another lrmovienet run is writing here",
        "option": "--epochs 0: give 1 or more",
        "data": "no release here",
    }[wrong]
    before = contents(root)
    with (root / ".lock").open("w") as lock:
        if wrong == "locked":
            fcntl.flock(lock, fcntl.LOCK_EX)
        done = on_two(root, *words)
    assert done.returncode == 1  # torchrun's own, whatever the processes end with
    assert done.stdout == ""
    assert done.stderr.count("lrmovienet train lr2ppo-base: error:") == 1
    assert message in done.stderr
    assert "exitcode  : 2" in done.stderr
    # The one traceback is torchrun's own.
    assert done.stderr.count("Traceback") == 1 and "ChildFailedError" in done.stderr
    assert contents(root) == before


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_interrupted_training_ends_in_130_and_goes_on(root, tmp_path):
    whole = shutil.copytree(root, tmp_path / "whole")
    words = ["train", "lr2ppo-base", "--epochs", "40", "--workspace"]
    command = [sys.executable, "-m", "lrmovienet", *words, str(root)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        # Ctrl-C is not listened to in what a script started in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    building = root / ".building" / "rankers" / "lr2ppo-base"
    deadline = time.monotonic() + 120
    while not list(building.glob("*/trainer_state.pt")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "lrmovienet train lr2ppo-base: interrupted; run the same command to go on.\n"
    assert not (root / "rankers").exists()
    state = next(building.glob("*/trainer_state.pt"))
    assert state.stat().st_size > 0
    for folder in (root, whole):
        assert main([*words, str(folder)]) == 0
    name = Path("rankers") / "lr2ppo-base"
    assert contents(root / name) == contents(whole / name)
    assert not state.exists()


@pytest.mark.skipif(find_spec("tensorboard") is not None, reason="tensorboard is installed")
def test_without_tensorboard_it_is_said_how_to_install_it(root, capsys):
    before = contents(root)
    assert main([*WORDS, "--tensorboard", "--workspace", str(root)]) == 2
    said = capsys.readouterr().err
    assert "needs the package 'tensorboard'" in said and "pip install -e '.[tensorboard]'" in said
    assert contents(root) == before


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs the extra `tensorboard`")
def test_tensorboard_shows_what_the_metrics_say(root):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def shown() -> dict[str, list[tuple[int, float]]]:
        events = EventAccumulator(str(root / "tensorboard" / "lr2ppo-base"))
        events.Reload()
        tags = events.Tags()["scalars"]
        return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}

    words = [*WORDS, "--tensorboard", "--workspace", str(root)]
    assert main(words) == 0
    lines = (root / "rankers/lr2ppo-base/metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    found = shown()
    assert set(found) >= {"loss", "learning_rate", "dev_ndcg@20"}
    for tag, values in found.items():
        wanted = [(m["step"], pytest.approx(m[tag], rel=1e-6)) for m in metrics]
        assert values == wanted
    # Another training of that name begins a new curve; the same one leaves it as it is.
    assert main(words) == 0
    assert shown() == found
    assert main([*words, "--learning_rate", "0.01"]) == 0
    assert [step for step, _ in shown()["loss"]] == [m["step"] for m in metrics]
    assert shown()["loss"] != found["loss"]
