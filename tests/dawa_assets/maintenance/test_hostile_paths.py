"""Paths in rows that lead elsewhere, or that no bucket may be asked for: each fails its own item, whoever reads it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from dawa_assets.ableton.summary import PARSER_VERSION
from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.datasets.build import build_dataset
from dawa_assets.defs.assets.ingest import _timelines
from dawa_assets.defs.jobs import CHAIN
from dawa_assets.defs.page_files import stored_picture
from dawa_assets.defs.step import Made
from dawa_assets.exports.export import export_dataset
from dawa_assets.intake.layout import export_folder, kept_set
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.maintenance.prune import prune
from dawa_assets.maintenance.retry import retry_rejected
from dawa_assets.maintenance.verify import verify
from dawa_assets.observability.assets import consistency_of
from dawa_assets.observability.status import artist_statuses
from dawa_assets.pipeline.file_transfer import local_copy
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.tables.artists import Artist
from resources.bucket.base import StoredObject
from resources.bucket.folder import FolderBucket
from resources.bucket.keys import check_key
from resources.database.base import Connection
from resources.errors import InvalidKeyError
from resources.ports import Ports
from tests.coexistence.dashboard import save
from tests.dawa_assets.intake.material import als, content, drop, identity, new_artist, rows, unguarded, wav
from tests.dawa_assets.training.catalogue import with_recorder

HOSTILE = [
    "artists/nova/../other/training/x/audio.mp3",
    "artists/nova/training/../../../../etc/passwd",
    "artists/nova/datasets/../../other/datasets/a.zip",
    "artists/nova/rejected/../../other/audio.mp3",
    "artists/nova/./training/audio.mp3",
    "artists/nova//audio.mp3",
    "artists/nova/",
    "artists/nova",
    "artists/other/audio.mp3",
    "artists/nova-2/audio.mp3",
    "ARTISTS/nova/audio.mp3",
    "inbox/nova/loose/audio.mp3",
    "/etc/passwd",
    "file:///etc/passwd",
    "artists/nova/a\\b.mp3",
    "artists/nova/a\nb.mp3",
    "artists/nova/a\x7fb.mp3",
    "artists/nova/" + "夜" * 400 + ".mp3",
    "artists/nova/" + "x" * 2000,
    "",
    ".",
    "..",
    " ",
]
SECRET = b"another artist's unreleased song"


class Watched(FolderBucket):
    """A bucket that says which key or folder it was asked for outside of the artist's own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.outside: list[str] = []

    def _watch(self, keys: Iterable[str]) -> None:
        for key in keys:
            own = key.startswith(("artists/nova/", "inbox/nova")) or key == "artists/nova"
            if not own or ".." in key.split("/"):
                self.outside.append(key)

    def put(self, key: str, source: Any, **more: Any) -> None:
        self._watch([key])
        super().put(key, source, **more)

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        self._watch([key])
        with super().open(key) as stream:
            yield stream

    def stat(self, key: str) -> StoredObject | None:
        self._watch([key])
        return super().stat(key)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._watch([prefix])
        return super().list(prefix)

    def copy(self, source: str, target: str) -> None:
        self._watch([source, target])
        super().copy(source, target)

    def delete(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self._watch(keys)
        super().delete(keys)

    def sign(self, key: str, seconds: int = 3600) -> str:
        self._watch([key])
        return super().sign(key, seconds)


def _lay_down(ports: Ports, nova: Artist) -> None:
    """Every hostile path in every column that names one, each in a row of its own."""
    with ports.database.transaction() as connection:
        connection.execute("set local session_replication_role = replica")
        for number, path in enumerate(HOSTILE):
            _lay_down_one(connection, nova.id, number, path)


def _lay_down_one(connection: Connection, nova: UUID, number: int, path: str) -> None:
    word = f"hostile {number}"
    connection.execute(
        "insert into training_items (artist_id, parse_id, als_filename, audio_path, prompt_text, prompt_text_at, "
        "status) values (%s, %s, %s, %s, 'Words.\nBPM: 1', now(), 'ready')",
        [nova, word, f"audio {number}.als", path],
    )
    connection.execute(  # of known audio, as if it had been looked at before
        "insert into training_items (artist_id, parse_id, als_filename, audio_path, audio_hash, audio_format, "
        "prompt_text, prompt_text_at, status) values (%s, %s, %s, %s, %s, 'wav', 'W.\nBPM: 1', now(), 'ready')",
        [nova, word, f"known {number}.als", path, f"{number:064x}"],
    )
    connection.execute(
        "insert into training_items (artist_id, parse_id, als_filename, prompt_path, status) "
        "values (%s, %s, %s, %s, 'needs_prompt')",
        [nova, word, f"text {number}.als", path],
    )
    connection.execute(
        "insert into als_summaries (artist_id, parse_id, als_filename, summary, export_path, source_key, "
        "parser_version) values (%s, %s, %s, %s, %s, %s, %s)",
        [nova, word, path or "..", Jsonb({}), path, path, None if number % 2 else PARSER_VERSION],
    )
    for state in ("building", "done"):
        connection.execute(
            "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count, "
            "finished_at) values (%s, %s, %s, %s, %s, 1, now() - %s * interval '1 day')",
            [nova, f"{state} {number}", state, path, path, number],
        )
    connection.execute(
        "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state, "
        "adapter_key, adapter_sha256, candidate_at, promoted, metrics) values "
        "(%s, %s, 'b', 'tiny', %s, '{}', 'done', %s, 'h', now(), true, %s)",
        [nova, word, word, path, Jsonb({"files": {"a.safetensors": "h"}, "sizes": {"a.safetensors": 1}})],
    )
    connection.execute(
        "insert into uploads (artist_id, upload_id, inbox_key, name, kind, sha256, size_bytes, state, final_key, "
        "reason) values (%s, 'u', %s, %s, 'audio', 'h', 1, 'rejected', %s, 'no audio')",
        [nova, f"{path} {number}", f"{word}.wav", path],
    )


def test_a_hostile_path_fails_only_its_item_in_every_reader(ports: Ports, tmp_path: Path) -> None:
    nova, other = new_artist(ports), new_artist(ports, "Other")
    watched = Watched(ports.settings.home / "bucket")
    for path in ("artists/other/audio.mp3", "artists/other/datasets/a.zip", "artists/other/training/x/audio.mp3"):
        ports.bucket.put(path, SECRET)
    good = save(ports, nova)
    drop(ports, "nova", {"Song/song.als": als(124), "Song/song.wav": wav(300)})
    _lay_down(ports, nova)
    mine, _ = with_recorder(replace(ports, bucket=watched))

    report = take_in_live_sets(mine, "nova")
    assert report.taken == ["Song/song.als"]
    refresh_prompts(mine, "nova")
    update_training_items(mine, "nova")
    dataset = build_dataset(mine, "nova")
    assert {track.item for track in dataset.tracks} == {str(good), "Song/song"}
    assert build_dataset(mine, "nova", new_items_only=True).state == "nothing ready"
    assert len(prepare_segments(mine, "nova").tracks) == 2
    assert export_dataset(mine, "nova", "ace-step", tmp_path / "out").tracks == 2
    for asset in CHAIN:
        consistency_of(mine, "nova", asset)
    for fix in (False, True):
        [found] = verify(mine, "nova", deep=True, fix=fix)
        named = {finding.name for finding in found.findings if finding.problem == "outside"}
        assert named >= {path for path in HOSTILE if not path.startswith(("artists/nova/夜", "artists/nova/xxx"))}
    retry_rejected(mine, "nova")
    prune(mine, keep=1, slug="nova", grace_hours=0)
    artist_statuses(mine, "nova")
    _timelines(Made(mine, "nova", None))
    for path in HOSTILE:
        assert stored_picture(mine, "nova", f"{path}/loss.png", "loss") == {}

    assert watched.outside == []
    for path in ("artists/other/audio.mp3", "artists/other/datasets/a.zip", "artists/other/training/x/audio.mp3"):
        assert content(ports.bucket, path) == SECRET
    failed = rows(
        ports, "select als_filename, error, status from training_items where als_filename ~ '^(audio|known) '"
    )
    assert {row["status"] for row in failed} == {"failed"}
    assert all("\n" not in row["error"] and len(row["error"]) < 300 for row in failed)
    assert rows(ports, "select id from training_items where artist_id = %s", other.id) == []


def test_a_foreign_folder_in_a_row_becomes_the_artists_own(ports: Ports) -> None:
    nova = new_artist(ports)
    for tempo, path in enumerate(HOSTILE[::5], start=60):
        unguarded(
            ports,
            "insert into als_summaries (artist_id, parse_id, als_filename, project_name, summary, export_path, "
            "source_key) values (%s, %s, %s, %s, '{}', %s, %s)",
            nova.id,
            identity(nova, als(tempo)),
            f"{path or 'x'}.als",
            path,
            path,
            path,
        )
    drop(ports, "nova", {f"P/{tempo}.als": als(tempo) for tempo in range(60, 60 + len(HOSTILE[::5]))})
    watched = Watched(ports.settings.home / "bucket")
    report = take_in_live_sets(replace(ports, bucket=watched), "nova")
    assert (len(report.unchanged), report.rejected, report.failed) == (len(HOSTILE[::5]), [], [])
    assert watched.outside == []
    for row in rows(ports, "select export_path, source_key from als_summaries"):
        assert is_own("nova", row["export_path"])
        assert ports.bucket.stat(row["source_key"]) is not None
        assert ports.bucket.stat(f"{row['export_path']}/summary.json") is not None


@pytest.mark.parametrize("name", ["../../x.als", "/etc/passwd", "..", ".", "", "a/b/", "x" * 300 + ".als", "夜" * 100])
def test_a_name_from_a_row_is_a_name_only(ports: Ports, name: str) -> None:
    ports.bucket.put("artists/nova/x", b"bytes")
    with local_copy(ports.bucket, "artists/nova/x", name) as local:
        assert local.path.parent.name.startswith("dawa-")
        assert local.path.resolve() == local.path
        assert local.path.read_bytes() == b"bytes"


_PATHS = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(["..", ".", "", "a", "nova", "夜", "\\", "\n"]) | st.text(max_size=3), max_size=5).map(
        lambda parts: "/".join(["artists", "nova", *parts])
    ),
)


@given(_PATHS)
def test_an_own_path_is_a_key_below_the_artists_folder(path: str) -> None:
    if is_own("nova", path):
        check_key(path)
        parts = path.split("/")
        assert parts[:2] == ["artists", "nova"]
        assert len(parts) > 2
        assert not {"", ".", ".."} & set(parts)
    assert shown_path(path).isprintable()


@given(_PATHS)
def test_the_database_rejects_every_path_that_is_not_own(path: str) -> None:
    simple = "\x00" not in path and not any("\ud800" <= letter <= "\udfff" for letter in path)
    if is_own("nova", path):
        assert simple
        return
    try:
        check_key(path)
    except InvalidKeyError:
        return
    outside = not path.startswith("artists/nova/")
    assert outside or any(letter == "\\" or not letter.isprintable() for letter in path)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_any_set_and_project_name_gives_a_folder_of_the_artist(project: str, stem: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in project + stem):
        return
    folder = export_folder("nova", project, stem, "0123456789ab")
    assert is_own("nova", kept_set(folder, stem))
    assert folder.count("/") == 5
