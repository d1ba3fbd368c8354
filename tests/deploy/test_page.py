import re

import pytest

from tests.deploy.commands import check_command
from tests.deploy.files import ROOT, compose

PAGE = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
LINES = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)).splitlines()
OURS = re.compile(r"^(?:\.venv/bin/|docker compose exec [a-z-]+ )((?:dawa|dagster|dagster-daemon) [^#]*)")
COMMANDS = sorted({found[1].strip() for line in LINES if (found := OURS.match(line))})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_s_commands_exist(command: str) -> None:
    check_command(command.split())


def test_the_page_s_services_files_and_volumes_exist() -> None:
    asked = re.findall(r"docker compose (?:exec|run|stop)(?: --?\w+)* ([a-z-]+)", PAGE)
    assert set(asked) <= set(compose()["services"])
    for path in re.findall(r"deploy/[\w.-]+\w", PAGE):
        assert (ROOT / path).exists() or path == "deploy/.env", path
    named = {volume["name"] for volume in compose()["volumes"].values()} - {"dawa-secrets"}
    assert [name for name in named if f"`{name}`" not in PAGE] == []
