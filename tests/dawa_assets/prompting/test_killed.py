"""A refresh that is killed with SIGKILL: what was answered is stored, and is not asked for again."""

import signal
import subprocess
import sys
from pathlib import Path

from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.prompting.material import give_set, rows, summary
from tests.waiting import until

_SETS = 30
_CHILD = """
import sys, time
from pathlib import Path
from dawa_assets.prompting.refresh import refresh_prompts
from resources.database.base import Database
from resources.ports import Ports
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings

class Given(Database):
    def url(self):
        return sys.argv[1]

class Slow(OfflineWriter):
    def write(self, requests, budget_usd=None):
        for [answer] in super().write(requests):
            with Path(sys.argv[3]).open("a") as asked:
                asked.write(answer.key + chr(10))
            if len(Path(sys.argv[3]).read_text().split()) == int(sys.argv[5]):
                time.sleep(3600)  # here it is killed
            yield [answer]

ports = Ports(settings=Settings(home=Path(sys.argv[2])), database=Given(), bucket=None, prompt_writer=Slow(),
              compute=None)
refresh_prompts(ports, sys.argv[4])
"""


def test_a_killed_run_costs_at_most_the_answer_in_flight(ports: Ports, artist: Artist, tmp_path: Path) -> None:
    for number in range(_SETS):
        give_set(ports.database, artist, summary(60 + number), f"Set {number}")
    asked = tmp_path / "asked"
    for stop_after in (3, 9):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, ports.database.url(), tmp_path, asked, artist.slug, str(stop_after)]
        )
        until(lambda wanted=stop_after: asked.exists() and len(asked.read_text().split()) == wanted)  # type: ignore[misc]
        child.send_signal(signal.SIGKILL)
        child.wait()
    paid = asked.read_text().split()
    stored = len(rows(ports.database, "select * from prompts"))
    assert 0 < stored < _SETS
    assert len(paid) - stored <= 2, "at most the answer in flight at each kill is lost"
    report = refresh_prompts(ports, artist.slug)
    assert (report.written, report.unchanged, report.failed) == (_SETS - stored, stored, [])
    assert len(rows(ports.database, "select distinct fingerprint from prompts")) == _SETS
