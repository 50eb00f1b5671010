"""The list of rules, and the page made from it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from detectors.contract.model import ConstraintKind
from detectors.repair import DEFAULT_AUTO_APPLY
from detectors.suite import NOTATION, all_rules, rules_page

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "rules.md"


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


def test_every_constraint_is_among_the_rules() -> None:
    assert {f"contract.{kind}" for kind in ConstraintKind} <= {rule.name for rule in all_rules()}


def test_everything_that_findings_and_corrections_name_is_on_the_page() -> None:
    """Every name in the code of the detectors that is written like a rule, the only way in which they get one."""
    listed = {rule.name for rule in all_rules()} | NOTATION.keys()
    families = {name.partition(".")[0] for name in listed}
    named = {
        text
        for file in (ROOT / "detectors").rglob("*.py")
        if file.name != "suite.py"
        for text in _texts(file)
        if text.count(".") == 1
        and text.partition(".")[0] in families
        and text.partition(".")[2].replace("_", "").isalpha()
    }
    assert {"price.notation", "missing.empty", "brand.typo"} <= named
    assert named <= listed
    assert all(f"| `{name}` |" in PAGE.read_text(encoding="utf-8") for name in listed)
    # And nothing is listed that nobody names; the constraints' names are made of their kinds.
    assert listed - named <= {f"contract.{kind}" for kind in ConstraintKind}


def _texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
