"""The transformer encoder: multilingual-e5-small, for the GPU and for quality.

Wang et al., "Multilingual E5 Text Embeddings", 2024 (arXiv:2402.05672): the mean of the last layer's token vectors.
The model was trained with a prefix before each text, "query: " on both sides where the two sides are alike. Here
texts are compared with texts of their own kind, so every text gets "query: ".
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch.nn.functional import normalize
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from models.errors import EncoderError
from models.weights import digest

__all__ = ["PREFIX", "TransformerEncoder"]

PREFIX = "query: "
_MAX_TOKENS = 256  # a title has some 35; what is longer says nothing new of the product
_TOKENS_PER_BATCH = {"cuda": 65_536, "cpu": 2_048}


class TransformerEncoder:
    """Encodes texts by the transformer in `folder`; on a GPU in half precision where there is one.

    Raises: EncoderError where the folder cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        self.device, dtype = ("cuda", torch.float16) if torch.cuda.is_available() else ("cpu", torch.float32)
        try:
            with _quietly():
                model, report = AutoModel.from_pretrained(
                    folder, add_pooling_layer=False, dtype=dtype, local_files_only=True, output_loading_info=True
                )
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers raises bare Exception, transformers several kinds
            raise EncoderError(
                f"The encoder in {folder} cannot be loaded: {error}", "Delete the folder, and it is made anew."
            ) from error
        if report["missing_keys"]:
            raise EncoderError(
                f"The encoder in {folder} lacks weights: {', '.join(sorted(report['missing_keys'])[:3])} ...",
                "Delete the folder, and it is made anew.",
            )
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(_MAX_TOKENS)
        self.model = model.to(self.device).eval()
        self.dim = int(model.config.hidden_size)
        self.digest = digest(folder)
        self.name = f"multilingual-e5-small-{self.dim}-{self.digest}"

    @property
    def description(self) -> str:
        """What it is and where it runs."""
        what = "half precision" if self.device == "cuda" else f"{torch.get_num_threads()} threads"
        return f"multilingual-e5-small on {self.device} ({what}), {self.dim} dimensions"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (n, dim) float32 of n texts."""
        return self.pool(self.tokenizer.encode_batch([PREFIX + text for text in texts]))

    def pool(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Unit vectors (n, dim) float32 of texts that are tokens already."""
        vectors = np.empty((len(encodings), self.dim), np.float32)
        for rows in _batches([len(e.ids) for e in encodings], _TOKENS_PER_BATCH[self.device]):
            width = len(encodings[rows[-1]].ids)
            ids = torch.zeros((len(rows), width), dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for i, row in enumerate(rows):
                tokens = encodings[row].ids
                ids[i, : len(tokens)] = torch.tensor(tokens)
                mask[i, : len(tokens)] = 1
            vectors[rows] = self._forward(ids, mask)
        return vectors

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            ids, mask = ids.to(self.device), mask.to(self.device)
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            weights = mask.unsqueeze(-1)
            pooled: NDArray[np.float32] = normalize((states * weights).sum(1) / weights.sum(1)).cpu().numpy()
            return pooled


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Rows in batches of similar length, each at most `budget` tokens with its padding, the longest row last."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[row] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@contextmanager
def _quietly() -> Iterator[None]:
    """No progress bar, and no table about the pooler, which the hub's weights have and e5 does not use.

    That table would be a false alarm; a weight that is really missing is looked for by the caller.
    """

    def no_table(entry: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in entry.getMessage()

    logger = logging.getLogger("transformers.modeling_utils")
    bar = transformers_logging.is_progress_bar_enabled()
    logger.addFilter(no_table)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
    try:
        yield
    finally:
        logger.removeFilter(no_table)
        if bar:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
