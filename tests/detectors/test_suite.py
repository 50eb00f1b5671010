"""The list of rules, and the page made from it."""

from __future__ import annotations

from pathlib import Path

from detectors.repair import DEFAULT_AUTO_APPLY
from detectors.suite import all_rules, rules_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"


def test_the_page_of_rules_is_up_to_date() -> None:
    made = rules_page(all_rules())
    command = "from detectors.suite import *; open('docs/rules.md', 'w').write(rules_page(all_rules()))"
    assert PAGE.read_text(encoding="utf-8") == made, f'docs/rules.md is stale; make it anew: python -c "{command}"'


def test_rules_have_one_name_each_and_are_told_in_a_sentence() -> None:
    rules = all_rules()
    assert len({rule.name for rule in rules}) == len(rules)
    assert all("." in rule.name and rule.name == rule.name.lower() for rule in rules)
    assert all(len(rule.description) > 15 for rule in rules)


def test_only_rules_that_exist_are_applied() -> None:
    assert DEFAULT_AUTO_APPLY.keys() <= {rule.name for rule in all_rules()}
