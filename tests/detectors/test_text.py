from __future__ import annotations

import pytest

from detectors.records import Finding
from detectors.text import TextDetector, words
from tests.detectors.products import facts, product_batch

TITLE = "Cast iron casserole dish with lid"
OWN = "A casserole dish of cast iron with a heavy lid, good for stews and bread in every oven"
OTHER = "Running shoes made from breathable mesh, light and quick, whatever the weather on your favourite track"

COOKWARE = [(0.6, facts(str(n), title=f"Iron casserole dish {n}", description=OWN)) for n in range(6)]


def _one(description: str, title: str = TITLE, sound: int = 60) -> Finding | None:
    detector = TextDetector()
    rows = [{"title": TITLE, "description": OWN}] * sound
    assert detector.detect(product_batch(rows, [COOKWARE] * sound)) == []
    found = detector.detect(product_batch([{"title": title, "description": description}], [COOKWARE]))
    return found[0] if found else None


def test_a_description_of_another_product() -> None:
    found = _one(OTHER)
    assert found is not None
    assert (found.rule.name, found.suggestion) == ("text.mismatch", None)
    assert found.evidence.reason == (
        "The description repeats 0% of the title's words; those of similar products repeat 100% of theirs."
    )
    assert found.confidence == pytest.approx(0.95 - 10 * 2.5 / 111, abs=1e-4)


def test_chinese_by_pairs_of_characters() -> None:
    assert words("不锈钢锅 500ml 24") == {"不锈", "锈钢", "钢锅", "500ml"}
    assert words("不鏽鋼鍋") == {"不锈", "锈钢", "钢锅"}


@pytest.mark.parametrize(
    "description",
    [OWN, "", "Good.", "优质材料制成的跑步鞋，透气网面，轻便快速，适合各种天气和您最喜欢的跑道，值得信赖的选择"],
)
def test_what_says_too_little_or_speaks_another_language_is_no_finding(description: str) -> None:
    assert _one(description) is None


def test_silent_before_the_source_is_known_and_where_such_descriptions_are_usual() -> None:
    assert _one(OTHER, sound=10) is None
    detector = TextDetector()
    rows = [{"title": TITLE, "description": OTHER if n % 10 == 0 else OWN} for n in range(200)]
    detector.detect(product_batch(rows, [COOKWARE] * 200))
    assert detector.detect(product_batch([{"title": TITLE, "description": OTHER}], [COOKWARE])) == []
