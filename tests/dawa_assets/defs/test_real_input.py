"""The chain on real Live Sets, real audio and hostile files, in one upload.

Real sets and sounds are large: what the file's tests look at takes ten seconds, and `make test-slow` trains on it.
"""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.defs.run import BuildResult, run_job
from dawa_assets.intake.inbox import upload
from dawa_assets.items.acceptances import set_accepted
from dawa_assets.observability.status import ArtistStatus, artist_statuses
from dawa_assets.tables.artists import Artist, ensure_artist
from dawa_assets.tables.item_findings import shown_findings
from tests.given_pipeline import GivenPipeline
from tests.shared_data import shared

# set (what is special about it) → audio that becomes its bounce, under the set's stem
PAIRS = {
    "live8.1_dawtool_markers-auto.als": "solo_trumpet_f_90bpm.ogg",  # Live 8, automated tempo, unnamed tracks
    "live9.5_markhenry_plainxml.als": "sonicpi_loop_mika.flac",  # plain XML
    "live12.3_krahd_vst3.als": "sonicpi_loop_garzul.flac",  # Live 12, session clips only
    "live11.3_owenbush_fascination.als": "vibe_ace_vbr_noxing.mp3",  # VBR without a Xing header
    "live12.2_owenbush_broombap.als": "vibe_ace_aac.m4a",
}
WITHOUT_BOUNCE = "live10.0_jpiringer_au.als"
BAD = ["04_truncated_gzip.als", "17_billion_laughs.als", "34_bomb_whitespace_1.2GB.als"]


@pytest.fixture(scope="module")
def artist(pipeline_here: GivenPipeline, tmp_path_factory: pytest.TempPathFactory) -> Artist:
    sets, audio, bad = shared("als"), shared("audio"), shared("als-bad")
    folder = tmp_path_factory.mktemp("real") / "Real Music"
    folder.mkdir()
    for name, bounce in PAIRS.items():
        shutil.copy(sets / name, folder / name)
        shutil.copy(audio / bounce, folder / f"{Path(name).stem}{Path(bounce).suffix}")
    shutil.copy(sets / WITHOUT_BOUNCE, folder / WITHOUT_BOUNCE)
    for name in BAD:
        shutil.copy(bad / name, folder / name)
    (folder / "torn.mp3").write_bytes(b"not audio at all" * 100)
    ports = pipeline_here.ports()
    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, "Real Music")
    upload(ports, artist, [folder])
    return artist


@pytest.fixture(scope="module")
def built(pipeline_here: GivenPipeline, artist: Artist) -> list[BuildResult]:
    instance = dg.DagsterInstance.ephemeral()
    taken_in = run_job(instance, pipeline_here, "ingest_job", artist.slug)
    # the sets are one person's and the sounds another's, two of them one song's: who pairs them has to say that
    database = pipeline_here.ports().database
    with database.transaction() as connection:
        blocking = [found for found in shown_findings(connection, artist.id) if found.blocks]
    assert {found.kind for found in blocking} == {"duplicate", "wrong_pair"}
    for found in blocking:
        set_accepted(database, str(found.item_id), found.kind, reason="a test's pair", author="a person")
    return [taken_in, run_job(instance, pipeline_here, "dataset_job", artist.slug)]


@pytest.fixture(scope="module")
def status(pipeline_here: GivenPipeline, artist: Artist, built: list[BuildResult]) -> ArtistStatus:
    assert [each.failures for each in built] == [[], []]
    return artist_statuses(pipeline_here.ports(), artist.slug)[0]


def test_every_pair_ends_in_the_dataset_and_the_rest_waits(status: ArtistStatus) -> None:
    assert status.by_status == {"exported": len(PAIRS), "needs_audio": 1}
    assert status.live_sets == len(PAIRS) + 1
    assert status.dataset_items == len(PAIRS)
    assert status.tagged == status.segments > len(PAIRS)


@pytest.mark.slow
def test_a_lora_is_trained_on_it(status: ArtistStatus, pipeline_here: GivenPipeline, artist: Artist) -> None:
    assert status.dataset_items == len(PAIRS)
    assert run_job(dg.DagsterInstance.ephemeral(), pipeline_here, "build_job", artist.slug).failures == []
    assert artist_statuses(pipeline_here.ports(), artist.slug)[0].lora_is_current


def test_bad_files_are_rejected_with_their_reason_and_kept(
    status: ArtistStatus, pipeline_here: GivenPipeline, artist: Artist
) -> None:
    rejected = {each.name: each.reason for each in status.notices if each.what == "rejected upload"}
    assert set(rejected) == {*BAD, "torn.mp3"}
    assert all(rejected.values())
    kept = {Path(each.key).name for each in pipeline_here.ports().bucket.list(f"artists/{artist.slug}/rejected")}
    assert {f"{name}.reason.txt" for name in rejected} <= kept


def test_prompts_carry_the_tempo_of_their_set(
    status: ArtistStatus, pipeline_here: GivenPipeline, artist: Artist
) -> None:
    assert status.items == len(PAIRS) + 1
    with pipeline_here.ports().database.transaction() as connection:
        rows = connection.execute(
            "select t.prompt_text, s.summary from training_items t join als_summaries s on s.id = t.als_summary_id "
            "where t.artist_id = %s",
            [artist.id],
        ).fetchall()
    for row in rows:
        tempo = float(row["summary"]["overview"]["tempo"])
        assert row["prompt_text"].rstrip().endswith(f"BPM: {tempo:g}")


def test_nothing_is_left_in_the_inbox(status: ArtistStatus, pipeline_here: GivenPipeline, artist: Artist) -> None:
    assert status.uploads_waiting == 0
    assert list(pipeline_here.ports().bucket.list(f"inbox/{artist.slug}")) == []
