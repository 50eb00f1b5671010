"""Distils the static encoder from the transformer: each word piece goes through the transformer once, by itself.

After Minish Lab's Model2Vec (Tulkens and van Dongen, 2024), with four differences that were measured:

- The vector of a piece is the last layer's state of the piece itself, standing after "query:" as in the training of
  e5, not the mean over all tokens.
- The states of the tokens around it hardly depend on the piece, so they are taken as constants: the keys and values
  that they give, averaged over a sample of pieces. One token goes through the network instead of six. Variance of the
  exact states that this keeps: 94 %; recall and correlation with the transformer are the same.
- Only the pieces that English and Chinese are made of go through it, some 78,000; those of other languages in Latin
  script, the Japanese ones and the rarest are estimated from them.
- The principal components are whitened (Su et al. 2021, arXiv:2103.15316). The states of e5 fill a narrow cone;
  without whitening, unrelated texts have a cosine of .4, and recall is worse.

Words weigh a / (a + p) with p their frequency, after Arora et al., "A simple but tough-to-beat baseline for sentence
embeddings", 2017; p comes from the vocabulary's own unigram model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import linear

from models.errors import EncoderError
from models.protocol import Progress
from models.static import DIM, StaticEncoder, student_name
from models.transformer import PREFIX, TransformerEncoder

__all__ = ["distil"]

_SCRIPTS = re.compile(r"[\0-\u024f\u1e00-\u1eff\u2000-\u2bff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]+")
"""Latin, Chinese and Japanese; numbers, signs and punctuation (and SentencePiece's mark of a word's begin)."""
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_COMMON_LATIN = 60_000  # pieces of ASCII letters that go through the transformer, beside all Chinese ones
_WORD_BEGIN = "▁"
_SMOOTHING = 3e-4
_PIECES_AT_ONCE = 1024
_FRAME_SAMPLE = 512

log = structlog.get_logger(__name__)


def distil(
    teacher: TransformerEncoder,
    *,
    dim: int = DIM,
    texts: Sequence[str] = (),
    pieces: int | None = None,
    progress: Progress | None = None,
) -> StaticEncoder:
    """A static student of `teacher`; half a minute on two cores for the full vocabulary.

    dim: length of its vectors, at most the teacher's. texts: their word pieces are kept whatever the script.
    pieces: keep only the most frequent ones, for a small and quick student; those of `texts` come on top.

    Raises: EncoderError where the teacher is no BERT, or has no unigram vocabulary.
    """
    if not 1 <= dim <= teacher.dim:
        raise EncoderError(f"A student of {teacher.dim} dimensions cannot have {dim}.", "Choose --dims below that.")
    if teacher.model.config.model_type != "bert":
        raise EncoderError(
            f"Only a BERT like e5 can be distilled, not a {teacher.model.config.model_type}.",
            'Set encoder to "transformer" to use it as it is.',
        )
    log.info("encoder.distilling", teacher=teacher.name, dim=dim)
    vocabulary = _vocabulary(teacher, texts, pieces)
    states = np.empty((len(vocabulary.ids), teacher.dim), np.float32)
    states[vocabulary.common] = _states(teacher, vocabulary.ids[vocabulary.common], progress)
    _estimate_rare(states, teacher, vocabulary)
    vectors = _whiten(states, np.sqrt(vocabulary.frequency) * vocabulary.common, dim)
    vectors *= (_SMOOTHING / (_SMOOTHING + vocabulary.frequency))[:, np.newaxis]
    scale = np.abs(vectors).max(axis=1) / 127
    if (mark := vocabulary.tokenizer.token_to_id(_WORD_BEGIN)) is not None:
        scale[mark - 1] = 0  # by itself it stands before every word in another script, and would make them all alike
    table = np.rint(vectors / np.maximum(scale, 1e-12)[:, np.newaxis]).clip(-127, 127).astype(np.int8)
    name = student_name(teacher.digest, dim, vocabulary.digest if len(texts) or pieces else "")
    return StaticEncoder(
        name,
        vocabulary.tokenizer,
        np.concatenate([np.zeros((1, dim), np.int8), table]),
        np.concatenate([np.zeros(1), scale]).astype(np.float32),
        teacher.name,
    )


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """ids: of the teacher's pieces that are kept (n,). frequency: (n,), sums to at most 1.

    common: (n,), the pieces that go through the transformer; the states of the others are estimated.
    tokenizer: cut down to them; its piece i + 1 is ids[i], piece 0 is the unknown one.
    """

    ids: NDArray[np.int64]
    frequency: NDArray[np.float64]
    common: NDArray[np.bool_]
    tokenizer: Tokenizer
    digest: str


def _vocabulary(teacher: TransformerEncoder, texts: Sequence[str], limit: int | None) -> _Vocabulary:
    description = json.loads(teacher.tokenizer.to_str())
    model = description["model"]
    if model["type"] != "Unigram":
        raise EncoderError(f"Only a unigram vocabulary can be distilled, not {model['type']}.", "Use e5.")
    vocabulary: list[tuple[str, float]] = model["vocab"]
    special = set(teacher.tokenizer.encode("").ids) | {model["unk_id"]}
    special |= {added["id"] for added in description["added_tokens"]}
    frequency = np.exp([score for _, score in vocabulary])
    kept = [i for i, (piece, score) in enumerate(vocabulary) if score < 0 and _SCRIPTS.fullmatch(piece)]
    if limit is not None:
        kept = sorted(kept, key=lambda i: -vocabulary[i][1])[:limit]
    latin = sorted((i for i in kept if vocabulary[i][0].lstrip(_WORD_BEGIN).isascii()), key=lambda i: -vocabulary[i][1])
    wanted = {i for i in kept if _CHINESE.search(vocabulary[i][0])} | set(latin[:_COMMON_LATIN])
    for start in range(0, len(texts), 1024):
        some = teacher.tokenizer.encode_batch(texts[start : start + 1024], add_special_tokens=False)
        wanted |= {i for encoding in some for i in encoding.ids}
    ids = np.array(sorted({*kept, *wanted} - special), np.int64)
    common = np.isin(ids, list(wanted))
    unknown = vocabulary[model["unk_id"]][0]
    model["vocab"] = [(unknown, 0.0)] + [vocabulary[i] for i in ids]
    model["unk_id"] = 0
    description["added_tokens"] = []
    description["post_processor"] = None
    description["truncation"] = None
    tokenizer = Tokenizer.from_str(json.dumps(description))
    digest = hashlib.blake2b(ids.tobytes() + common.tobytes(), digest_size=8).hexdigest()
    return _Vocabulary(ids, frequency[ids], common, tokenizer, digest)


def _states(teacher: TransformerEncoder, ids: NDArray[np.int64], progress: Progress | None) -> NDArray[np.float32]:
    """The last state of each piece by itself, unit length (n, hidden)."""
    network = _OneToken(teacher, ids)
    states = np.empty((len(ids), teacher.dim), np.float32)
    for start in range(0, len(ids), _PIECES_AT_ONCE):
        some = slice(start, start + _PIECES_AT_ONCE)
        states[some] = network(torch.from_numpy(ids[some]))
        if progress is not None:
            progress("making the static encoder", min(1.0, (start + _PIECES_AT_ONCE) / len(ids)))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    return states


def _estimate_rare(states: NDArray[np.float32], teacher: TransformerEncoder, vocabulary: _Vocabulary) -> None:
    """Fill in the states of rare pieces by ridge regression on the transformer's input vectors; R² is about .5."""
    common, rare = vocabulary.common, ~vocabulary.common
    if not rare.any():
        return
    inputs = teacher.model.embeddings.word_embeddings.weight.detach()[torch.from_numpy(vocabulary.ids)].float().cpu()
    x = np.concatenate([inputs.numpy(), np.ones((len(states), 1), np.float32)], axis=1)
    squares = (x[common].T @ x[common]).astype(np.float64)
    squares += np.eye(len(squares)) * 1e-3 * np.trace(squares) / len(squares)
    weights = np.linalg.solve(squares, (x[common].T @ states[common]).astype(np.float64))
    states[rare] = x[rare] @ weights.astype(np.float32)
    states[rare] /= np.linalg.norm(states[rare], axis=1, keepdims=True)


class _OneToken:
    """The transformer for one token between constant neighbours.

    Attention over the constant tokens becomes two matrix products: with their keys, block by head, and their values.
    """

    def __init__(self, teacher: TransformerEncoder, ids: NDArray[np.int64]) -> None:
        self.model = teacher.model
        self.device = teacher.device
        self.heads = int(self.model.config.num_attention_heads)
        before, after = self._frame(teacher)
        self.position = len(before)
        sample = ids[np.linspace(0, len(ids) - 1, min(_FRAME_SAMPLE, len(ids))).astype(np.int64)]
        with torch.inference_mode():
            tokens = torch.from_numpy(np.array([[*before, i, *after] for i in sample])).to(self.device)
            states = self.model(input_ids=tokens, output_hidden_states=True).hidden_states
            around = [i for i in range(tokens.shape[1]) if i != self.position]
            self.layers = [
                self._constants(layer, state[:, around].mean(dim=0))
                for layer, state in zip(self.model.encoder.layer, states[:-1], strict=True)
            ]

    @staticmethod
    def _frame(teacher: TransformerEncoder) -> tuple[list[int], list[int]]:
        """The tokens before and after a piece."""
        framed = teacher.tokenizer.encode(PREFIX.strip()).ids
        prefix = teacher.tokenizer.encode(PREFIX.strip(), add_special_tokens=False).ids
        end = len(framed) - framed[::-1].index(prefix[-1])
        return framed[:end], framed[end:]

    def _constants(self, layer: Any, state: Tensor) -> tuple[Any, Tensor, Tensor, Tensor, Tensor]:
        attention = layer.attention.self
        hidden, count = state.shape[1], state.shape[0]
        size = hidden // self.heads
        root = size**0.5
        weight = torch.cat([attention.query.weight / root, attention.key.weight, attention.value.weight])
        bias = torch.cat([attention.query.bias / root, attention.key.bias, attention.value.bias])
        keys = attention.key(state).view(count, self.heads, size).permute(1, 2, 0)  # heads, size, count
        values = attention.value(state).view(count, self.heads, size).transpose(0, 1)  # heads, count, size
        return layer, weight, bias, _block_diagonal(keys), _block_diagonal(values)

    def __call__(self, ids: Tensor) -> NDArray[np.float32]:
        """Last states (n, hidden) float32 of the pieces `ids` (n,)."""
        n, heads = len(ids), self.heads
        embeddings = self.model.embeddings
        with torch.inference_mode():
            state = embeddings.LayerNorm(
                embeddings.word_embeddings(ids.to(self.device))
                + embeddings.position_embeddings.weight[self.position]
                + embeddings.token_type_embeddings.weight[0]
            )
            for layer, weight, bias, keys, values in self.layers:
                query, key, value = linear(state, weight, bias).chunk(3, dim=1)
                own = (query * key).view(n, heads, -1).sum(dim=2, keepdim=True)
                attended = torch.cat([(query @ keys).view(n, heads, -1), own], dim=2).softmax(dim=2)
                context = attended[..., :-1].reshape(n, -1) @ values
                context += (attended[..., -1:] * value.view(n, heads, -1)).reshape(n, -1)
                state = layer.attention.output(context, state)
                state = layer.output(layer.intermediate(state), state)
            result: NDArray[np.float32] = state.float().cpu().numpy()
            return result


def _block_diagonal(blocks: Tensor) -> Tensor:
    diagonal: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]  # torch gives it no types
    return diagonal


def _whiten(states: NDArray[np.float32], weights: NDArray[np.float64], dim: int) -> NDArray[np.float32]:
    """The first `dim` principal components (n, dim), centred, each of variance 1; rows weighted.

    The sign of a component is fixed, so that two machines that make the same student make the same axes.
    """
    weights = weights / weights.sum()
    centred = states - (weights @ states).astype(np.float32)
    covariance = np.zeros((states.shape[1], states.shape[1]))
    for start in range(0, len(states), 8192):  # products in float32, their sum in float64: quick and exact enough
        block = centred[start : start + 8192] * np.sqrt(weights[start : start + 8192]).astype(np.float32)[:, np.newaxis]
        covariance += block.T @ block
    variances, axes = np.linalg.eigh(covariance)
    axes = axes[:, ::-1][:, :dim] / np.sqrt(np.maximum(variances[::-1][:dim], 1e-12))
    axes *= np.where(np.sum(axes**3, axis=0) < 0, -1, 1)
    components: NDArray[np.float32] = centred @ axes.astype(np.float32)
    return components
