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
                elif _is_import_by_name(node) and path.name != "cli.py":
                    names = [node.args[0].value]
                else:
                    continue
                for name in names:
                    top = name.split(".")[0]
                    bare = isinstance(node, ast.Import) and top == "eval"
                    if (top in ROOMS and top not in MAY_IMPORT[room]) or bare:
                        found.append(f"{path.relative_to(root)}:{node.lineno}: {name}")
    return found


def _is_import_by_name(node: ast.AST) -> bool:
    """A call such as `importlib.import_module("a.b")`; only the command line may open doors so."""
    if (
        not isinstance(node, ast.Call)
        or not node.args
        or not isinstance(node.args[0], ast.Constant)
    ):
        return False
    called = (
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    )
    return called in ("import_module", "__import__")


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
        ("baselines", "import eval as judge"),
        ("eval", "class A:\n    from baselines import data"),
        ("lrmovienet", "import importlib\nimportlib.import_module('annotation.aggregate')"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, room, line):
    for name in ROOMS:
        (tmp_path / name).mkdir()
    (tmp_path / room / "x.py").write_text(line)
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("eval", "from eval.labels import normal_form\nimport numpy"),
        ("lrmovienet", "from eval import ndcg\neval('1')"),
        ("annotation", "from lrmovienet import schema"),
        ("baselines", "import lrmovienet.schema, baselines.data"),
        ("lrmovienet", "import annotations_of_others"),  # a longer name is another package
    ],
)
def test_what_follows_the_arrows_is_let_through(tmp_path, room, line):
    (tmp_path / room).mkdir()
    (tmp_path / room / "x.py").write_text(line)
    assert violations(tmp_path) == []


def test_help_and_options_need_no_heavy_package():
    code = (
        "import importlib, sys\n"
        "from lrmovienet.verbs import VERBS\n"
        "assert not {'jsonargparse', 'pyarrow', 'numpy'} & set(sys.modules), 'cli is heavy'\n"
        "for verb in VERBS.values(): getattr(importlib.import_module(verb.module), verb.config)\n"
        "heavy = {'torch', 'transformers', 'cv2', 'matplotlib', 'scenedetect', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
