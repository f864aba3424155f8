"""Reading a portfolio's YAML: errors name file and line, what was got and what was expected."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.spec import PortfolioSpec

# Tags of the label definitions' union.
_DEFINITIONS = ("days_past_due", "last_payment_and_status", "charged_off", "ready_flag", "repayment_dates")
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")


def expand_variables(text: str, *, where: str) -> str:
    """``${NAME}`` and ``${NAME:-default}`` replaced from the environment.

    Raises:
        SpecError: a variable without default is not set.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise SpecError(
                f"{where} uses ${{{match[1]}}}, which is not set.",
                remedy=f"export {match[1]}=... (for a tape, --tape PATH does as well)",
            )
        return found

    return _VARIABLE.sub(value, text)


def load_spec(path: Path) -> PortfolioSpec:
    """The portfolio declared in a ``defs.yaml``.

    Raises:
        SpecError: not YAML, not a Portfolio, or a wrong value: file, line, what was got and expected.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise SpecError(f"{path}:{line}: {error.reason} at byte {error.start}.", expected="UTF-8 text") from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {error}", remedy="mend the syntax at the place named") from error
    if not isinstance(document, dict) or "attributes" not in document:
        raise SpecError(f"{path} has no `attributes:`.", expected="type: pdx_assets.Portfolio and attributes:")
    _refuse_repeated_keys(node, path)
    return validate_spec(document["attributes"], node=_child(node, "attributes"), path=path)


def validate_spec(attributes: Any, *, node: Any, path: Path) -> PortfolioSpec:
    """Validate parsed attributes; ``node`` is their YAML node, for line numbers."""
    from pydantic import ValidationError

    try:
        return PortfolioSpec.model_validate(attributes)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            at = getattr(problem.get("ctx", {}).get("error"), "at", ())
            line, where = _locate(node, (*problem["loc"], *at))
            message = problem["msg"].removeprefix("Value error, ")
            got = f" (got {problem['input']!r})" if problem["type"] not in ("value_error", "missing") else ""
            lines.append(f"{path}:{line}: {where or 'portfolio'}: {message}{got}")
        raise SpecError(
            "\n".join(lines), remedy="correct the lines named; docs/portfolio.md explains every key"
        ) from error


def _refuse_repeated_keys(node: Any, path: Path) -> None:
    """YAML keeps the last of two equal keys without a word: of a column declared twice, one would be lost."""
    import yaml

    children = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in first:
                raise SpecError(
                    f"{path}:{line}: {key.value!r} is declared already on line {first[key.value]}.",
                    expected="each key once",
                    remedy="delete one of the two",
                )
            first[key.value] = line
            children.append(value)
    for child in children:
        _refuse_repeated_keys(child, path)


def _child(node: Any, key: Any) -> Any:
    import yaml

    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return value
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key]
    return None


def _locate(node: Any, location: tuple[int | str, ...]) -> tuple[int, str]:
    """Line (from 1) of the deepest existing YAML node along a pydantic location, and the path to it."""
    line = node.start_mark.line + 1
    names: list[str] = []
    for key in location:
        found = _child(node, key)
        if found is None:
            # A discriminated union adds its tag to the location; a missing key has no node.
            if key not in _DEFINITIONS:
                names.append(str(key))
            continue
        node = found
        line = node.start_mark.line + 1
        names.append(str(key))
    return line, ".".join(names)
