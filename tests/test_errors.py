"""The tree of errors in `modal_app/errors.py` is the one that the code has, and messages keep to its rule."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import modal_app.errors

ROOT = Path(modal_app.errors.__file__).parents[1]
LAYERS = {"w": "modal_app", "p": "resources", "d": "dawa_assets"}
BUILT_IN = {"Exception", "BaseException", "ValueError"}
OF_HTTP = ("RefusedRequestError", "dawa_assets/http/errors.py")


class ErrorClass(NamedTuple):
    name: str
    bases: tuple[str, ...]
    module: str


@cache
def _modules() -> dict[str, list[ast.ClassDef | ast.ImportFrom | ast.Call]]:
    """What each module of the project defines, imports and calls."""
    return {
        path.relative_to(ROOT).as_posix(): [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ClassDef | ast.ImportFrom | ast.Call)
        ]
        for folder in LAYERS.values()
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def _imported_by(module: str) -> set[str]:
    return {alias.name for node in _modules()[module] if isinstance(node, ast.ImportFrom) for alias in node.names}


@cache
def _error_classes() -> list[ErrorClass]:
    """Every exception of the project, in any order: known by a base that is one."""
    classes = [
        ErrorClass(node.name, tuple(ast.unparse(base) for base in node.bases), module)
        for module, nodes in _modules().items()
        for node in nodes
        if isinstance(node, ast.ClassDef)
    ]
    known = BUILT_IN | {"HTTPException"}
    found: list[ErrorClass] = []
    while new := [each for each in classes if each not in found and known.intersection(each.bases)]:
        found += new
        known |= {each.name for each in new}
    return found


@cache
def _tree() -> dict[str, tuple[tuple[str, ...], str]]:
    """Bases and module of every class in the docstring's trees."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    above: list[str] = []
    for line in (modal_app.errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ((?:  )*)(\w+Error) \(([wpd])\)(?:, (\w+))?", line)
        if match is None:
            continue
        depth = len(match[1]) // 2
        del above[depth:]
        bases = tuple(name for name in (*above[-1:], match[4]) if name)
        above.append(match[2])
        assert match[2] not in found, f"{match[2]} stands twice"
        found[match[2]] = (bases, f"{LAYERS[match[3]]}/errors.py")
    return found


def test_the_tree_has_every_error_with_its_bases_and_its_layer() -> None:
    public = [each for each in _error_classes() if not each.name.startswith("_")]
    assert len({each.name for each in public}) == len(public)
    here = {
        each.name: (tuple(base for base in each.bases if base not in BUILT_IN), each.module)
        for each in public
        if (each.name, each.module) != OF_HTTP
    }
    assert here == _tree()


def test_docstrings_name_errors_that_there_are() -> None:
    known = {each.name for each in _error_classes()} | set(dir(builtins))
    for module in _modules():
        text = (ROOT / module).read_text("utf-8")
        imported = _imported_by(module)
        raised = set(re.findall(r"^ +(?!Dagster)(\w+Error): ", text, re.MULTILINE))  # Dagster's own are named by dg.…
        assert raised <= known | imported, f"{module}: {sorted(raised - known - imported)}"


def test_private_errors_stay_in_their_module() -> None:
    private = {each.name: each.module for each in _error_classes() if each.name.startswith("_")}
    assert private
    assert not [f"{module}: {name}" for module in _modules() for name in private.keys() & _imported_by(module)]


FREE = {"InvalidKeyError", "ObjectNotFoundError", "TryLaterError", "RefusedQuestionError"}
"""Their messages are completed by others: see the rule."""

_HANDED_ON = re.compile(
    r"error|reason|'; '\.join\(reasons\)|plain_reason\(.*\)|_reason\(dict\(problem\)\)|.*\[0\]\[1\]"
)
"""What stands for another message, at the end of one."""


def _fault_of(message: ast.expr) -> str | None:
    """What is wrong with a message; None for a good one, or one that can't be read off the source."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        parts: list[ast.expr] = [message]
    elif isinstance(message, ast.JoinedStr):
        parts = message.values
    else:
        return None
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
    if "\n" in text or text != text.strip() or text.endswith("."):
        return "is not one line without a full stop"
    what, semicolon, way_out = text.rpartition("; ")
    if semicolon and way_out.strip():
        return None if ": " in what or " " in what else "names no thing with its reason"
    expressions = [ast.unparse(part.value) for part in parts[-2:] if isinstance(part, ast.FormattedValue)]
    if text.endswith("…") and any(_HANDED_ON.fullmatch(expression) for expression in expressions):
        return None
    return "has no way out behind a semicolon"


def _messages() -> Iterator[tuple[str, ast.expr]]:
    """Where each error of the project is made, and its message."""
    tree = _tree()

    def is_told(name: str) -> bool:
        return name == "DawaError" or any(is_told(base) for base in tree.get(name, ((), ""))[0])

    told = {name for name in tree if is_told(name)} - FREE
    for module, node in ((module, node) for module, nodes in _modules().items() for node in nodes):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = {**dict.fromkeys(told, 0), "BadRequestError": 1, "RefusedRequestError": 1}.get(node.func.id)
            if place is not None and len(node.args) > place:
                yield f"{module}:{node.lineno}", node.args[place]


def test_every_message_gives_thing_reason_and_way_out() -> None:
    messages = list(_messages())
    assert len(messages) > 400
    faults = [f"{place}: {fault}" for place, message in messages if (fault := _fault_of(message))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "message",
    [
        '"the file is damaged"',
        'f"{name}: is damaged"',
        'f"{name}: is damaged: {error.strerror}"',
        'f"{name}: is damaged; export it again."',
        'f"{name}: is damaged;\\nexport it again"',
        'f"{name}; export it again"',
    ],
)
def test_a_message_without_one_of_the_three_is_found(message: str) -> None:
    assert _fault_of(ast.parse(message, mode="eval").body)
