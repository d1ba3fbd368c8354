"""The page's own files, without a browser: nothing of it makes markup of text, and everything it names is there."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import dawa_assets.http

FOLDER = Path(dawa_assets.http.__file__).parent / "train_mode"
MODULES = sorted(FOLDER.glob("*.js"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_inserts_no_markup_and_reaches_no_other_host(module: Path) -> None:
    code = module.read_text(encoding="utf-8")
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
    ):
        assert forbidden not in code
    assert 'setAttribute("style"' not in code
    assert re.findall(r"https?://(?!www\.w3\.org/)[\w.]+", code) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_what_a_module_imports_is_there_and_is_exported(module: Path) -> None:
    code = module.read_text(encoding="utf-8")
    for names, source in re.findall(r'^import \{([^}]*)\} from "\./([\w.]+)";', code, re.MULTILINE):
        other = (FOLDER / source).read_text(encoding="utf-8")
        exported = set(re.findall(r"^export (?:async )?(?:function|class|const|let) (\w+)", other, re.MULTILINE))
        wanted = {name.strip().partition(" as ")[0] for name in names.split(",") if name.strip()}
        assert wanted <= exported, f"{module.name} wants {wanted - exported} of {source}"
        for name in wanted:
            assert len(re.findall(rf"\b{name}\b", code)) > 1, f"{module.name} imports {name} and does not use it"
    for source in re.findall(r'import\("\./([\w.]+)"\)', code):
        assert (FOLDER / source).is_file()


def test_the_page_names_files_of_its_own_and_has_nothing_inline() -> None:
    named: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            assert "style" not in given
            assert not [name for name in given if name.startswith("on")]
            assert tag != "script" or given.get("src")
            assert tag != "style"
            links = [str(given[name]) for name in ("src", "href") if name in given]
            named.extend(link for link in links if not link.startswith("#"))

    Reader().feed((FOLDER / "index.html").read_text(encoding="utf-8"))
    assert {"/train-mode/main.js", "/train-mode/style.css"} <= set(named)
    for file in named:
        assert (FOLDER / file.removeprefix("/train-mode/")).is_file()


def test_every_file_is_one_concept_and_says_what_it_is() -> None:
    for module in MODULES:
        lines = module.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("/**"), module.name
        assert len(lines) <= 420, module.name
