from hypothesis import given
from hypothesis import strategies as st

from detectors.records import Version, identity_of, split_identity


@given(st.text(), st.text())
def test_identity_gives_source_and_id_back(source: str, product_id: str) -> None:
    assert split_identity(identity_of(source, product_id)) == (source, product_id)


def test_identity_reads_plainly_in_the_common_case() -> None:
    assert identity_of("京东", "10/42") == "京东/10/42"
    assert identity_of("a/b", "1") == "a%2Fb/1"


def test_versions_are_ordered_by_generation_then_offset() -> None:
    assert Version(1, 0) > Version(0, 900) > Version(0, 12)
