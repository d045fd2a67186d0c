"""Imports point one way: eval <- lrmovienet <- annotation, baselines."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("eval", "lrmovienet", "annotation", "baselines")
MAY_IMPORT = {
    "eval": {"eval"},
    "lrmovienet": {"eval", "lrmovienet"},
    "annotation": {"eval", "lrmovienet", "annotation"},
    "baselines": {"eval", "lrmovienet", "baselines"},
}


def violations(root: Path) -> list[str]:
    """Every import, at any depth, that points against the arrows, and every bare `import eval`."""
    found = []
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module]
                else:
                    continue
                for name in names:
                    top = name.split(".")[0]
                    bare = isinstance(node, ast.Import) and top == "eval"
                    if (top in ROOMS and top not in MAY_IMPORT[room]) or bare:
                        found.append(f"{path.relative_to(root)}:{node.lineno}: {name}")
    return found


def test_imports_point_one_way():
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("eval", "from lrmovienet.schema import CLIPS"),
        ("lrmovienet", "def f():\n    import baselines.ranker"),
        ("annotation", "from baselines import data"),
        ("baselines", "from annotation.aggregate import run"),
        ("lrmovienet", "import eval.ndcg"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, room, line):
    for name in ROOMS:
        (tmp_path / name).mkdir()
    (tmp_path / room / "x.py").write_text(line)
    assert len(violations(tmp_path)) == 1


def test_help_and_options_need_no_heavy_package():
    code = (
        "import importlib, sys\n"
        "from lrmovienet.cli import VERBS\n"
        "assert not {'jsonargparse', 'pyarrow', 'numpy'} & set(sys.modules), 'cli is heavy'\n"
        "for verb in VERBS.values(): getattr(importlib.import_module(verb.module), verb.config)\n"
        "heavy = {'torch', 'transformers', 'cv2', 'matplotlib', 'scenedetect'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
