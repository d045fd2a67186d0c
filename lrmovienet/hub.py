"""Model files: a path on this machine, or an id on the Hugging Face Hub that is downloaded once.

Nothing is ever downloaded unless an option names it: ``owner/name``, ``owner/name:file``, or either
with ``@revision`` behind the name.
"""

import re
from collections.abc import Callable
from pathlib import Path

from lrmovienet.errors import UserError

_ID = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?(?::(?P<file>[\w./-]+))?", re.ASCII
)
MODEL_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
"""What a model's folder needs. Older weight formats run code when they are loaded."""


def model_file(given: str, option: str, default: str | None = None) -> Path:
    """One file of a model: the path that is given, or the file of a hub id.

    Args:
        given: what the user gave.
        option: the option's name, for messages.
        default: the file's name where a hub id names none.

    Raises:
        UserError: it is neither a file nor a hub id, or it cannot be downloaded.
    """
    path, match = Path(given).expanduser(), _ID.fullmatch(given)
    if path.is_file():
        return path
    name = match and (match["file"] or default)
    if path.exists() or match is None or not name:
        also = " with the file's name, owner/name:file" if match and not default else ""
        raise UserError(f"--{option} {given}: no such file. Give a path, or a hub id{also}.")
    from huggingface_hub import hf_hub_download

    return Path(
        _download(
            given, option, lambda: hf_hub_download(match["repo"], name, revision=match["revision"])
        )
    )


def model_folder(given: str, option: str) -> Path:
    """A model's folder or single file: the path that is given, or the files of a hub id.

    Raises:
        UserError: as `model_file`.
    """
    path, match = Path(given).expanduser(), _ID.fullmatch(given)
    if given and path.exists():
        return path
    if match is None:
        raise UserError(f"--{option} {given}: no such folder or file, and no hub id (owner/name).")
    if match["file"]:
        return model_file(given, option)
    from huggingface_hub import snapshot_download

    def download() -> str:
        return snapshot_download(
            match["repo"], revision=match["revision"], allow_patterns=MODEL_FILES
        )

    return Path(_download(given, option, download))


def _download(given: str, option: str, download: Callable[[], str]) -> str:
    """Run a download; whatever goes wrong on the way is said in a line."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from_the_hub = (HfHubHTTPError, LocalEntryNotFoundError)
    try:
        return download()
    except Exception as error:  # of the library, of its HTTP client, and of that one's
        if isinstance(error, OSError) and error.errno and not isinstance(error, from_the_hub):
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"--{option} {given}: no such path here, and as a hub id it cannot be downloaded "
            f"({reason}). Check the name, log in where the model asks for it, or download the "
            "file by other means and give its path."
        ) from None
