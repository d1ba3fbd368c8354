"""Rejected uploads go through the intake again: each once, beside what they were uploaded with, killed anywhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.intake import set_files
from dawa_assets.intake.inbox import pending_uploads
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.maintenance.prune import prune
from dawa_assets.maintenance.retry import retry_rejected
from modal_app.errors import InputError
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.intake.material import als, content, drop, items, keys, ledger, new_artist, rows, wav
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases
from tests.dawa_assets.maintenance.typed import dawa


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(live_set: object, target: Path) -> None:  # noqa: ARG001
        target.write_bytes(b"picture")

    monkeypatch.setattr("dawa_assets.ableton.timeline.draw_timeline", draw)


def _build(ports: Ports, slug: str = "nova") -> None:
    take_in_live_sets(ports, slug)
    update_training_items(ports, slug)


def _with_a_reader_that_refuses(ports: Ports, slug: str = "nova") -> None:
    with pytest.MonkeyPatch.context() as patch:

        def refuse(path: Path) -> object:
            raise UnreadableLiveSetError(f"{path.name}: a version that is not known")

        patch.setattr(set_files, "read_live_set", refuse)
        _build(ports, slug)


def _with_quiet(ports: Ports) -> Ports:
    return replace(ports, settings=Settings(home=ports.settings.home, quiet_seconds=0))


def test_a_set_readable_by_a_newer_reader_is_taken_in_and_paired(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/song.als": als(), "P/song.wav": wav()})
    _with_a_reader_that_refuses(ports)
    assert ledger(ports)["song.als"] == ("rejected", "a version that is not known")
    [report] = retry_rejected(ports)
    assert (report.slug, report.sent, report.left) == ("nova", ["P/song.als"], [])
    assert keys(ports.bucket, "artists/nova/rejected") == []
    assert [pending.slug for pending in pending_uploads(ports)] == ["nova"]
    _build(ports)
    assert set(ledger(ports).values()) == {("taken", None)}
    assert items(ports)["P/song"]["status"] == "needs_prompt"
    assert keys(ports.bucket, "inbox") == []
    assert retry_rejected(ports) == []


def test_a_still_unreadable_file_is_rejected_to_the_same_place(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/broken.als": b"no set", "P/broken.mp3": b"no audio", "notes.txt": b"x"})
    _build(ports)
    kept = {key: content(ports.bucket, key) for key in keys(ports.bucket)}
    before = rows(ports, "select id, name, state, reason, final_key, sha256 from uploads order by id")
    assert len(kept) == 6
    [report] = retry_rejected(ports, "nova")
    assert sorted(report.sent) == ["P/broken.als", "P/broken.mp3", "notes.txt"]
    _build(ports)
    assert {key: content(ports.bucket, key) for key in keys(ports.bucket)} == kept
    assert rows(ports, "select id, name, state, reason, final_key, sha256 from uploads order by id") == before


def test_a_file_dropped_at_the_inbox_root_goes_back_there(ports: Ports) -> None:
    new_artist(ports)
    ports.bucket.put("inbox/nova/broken.als", b"no set")
    _build(_with_quiet(ports))
    assert ledger(ports)["broken.als"][0] == "rejected"
    retry_rejected(ports)
    assert keys(ports.bucket, "inbox") == ["inbox/nova/broken.als"]


def test_only_named_files_are_retried_and_unknown_names_refused(ports: Ports) -> None:
    new_artist(ports)
    drop(ports, "nova", {"P/a.als": b"no set", "Q/b.als": b"no set", "Q/c.als": b"no set either"})
    _build(ports)
    with pytest.raises(InputError, match=r"x\.als: no rejected upload is called so; rejected are: P/a\.als, Q/b\.als"):
        retry_rejected(ports, None, ["a.als", "x.als"])
    [report] = retry_rejected(ports, None, ["a.als", "Q/c.als"])
    assert sorted(report.sent) == ["P/a.als", "Q/c.als"]
    assert ledger(ports)["b.als"][0] == "rejected"


def test_files_that_cannot_be_retried_are_reported_and_kept(
    ports: Ports,
) -> None:
    new_artist(ports)
    upload_id = drop(ports, "nova", {"gone.als": b"1", "altered.als": b"2", "taken.als": b"3", "good.als": b"4"})
    _build(ports)
    ports.bucket.delete([f"artists/nova/rejected/{upload_id}/gone.als"])
    ports.bucket.put(f"artists/nova/rejected/{upload_id}/altered.als", b"other")
    ports.bucket.put(f"inbox/nova/{upload_id}/taken.als", b"newer")
    [report] = retry_rejected(ports)
    assert report.sent == ["good.als"]
    assert dict(report.left) == {
        "gone.als": "the copy that was kept is gone; upload the file again",
        "altered.als": "the copy that was kept is not the file that was rejected; upload the file again",
        "taken.als": "another file waits under its name; `dawa build --artist nova` first",
    }
    assert content(ports.bucket, f"inbox/nova/{upload_id}/taken.als") == b"newer"
    assert content(ports.bucket, f"artists/nova/rejected/{upload_id}/taken.als") == b"3"
    assert content(ports.bucket, f"artists/nova/rejected/{upload_id}/altered.als") == b"other"


@pytest.mark.parametrize("build_first", [False, True])
@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_after_any_change_it_ends_as_if_undisturbed(ports: Ports, build_first: bool, stride: int) -> None:
    ports, changes, burnt = with_short_leases(ports), 0, 99
    while changes <= burnt:
        slug = new_artist(ports, f"Killed {changes}").slug
        drop(ports, slug, {"P/song.als": als(), "P/song.wav": wav(), "P/broken.als": b"no set"}, f"u{changes}")
        _with_a_reader_that_refuses(ports, slug)
        fuse = Fuse(changes or None)
        try:
            retry_rejected(fused(ports, fuse), slug)
        except KilledError:
            if build_first:
                _build(_with_quiet(ports), slug)
            retry_rejected(ports, slug)
        burnt = burnt if changes else fuse.burnt
        _build(_with_quiet(ports), slug)
        states = rows(
            ports,
            "select u.name, u.state from uploads u join artists a on a.id = u.artist_id where slug = %s order by 1",
            slug,
        )
        assert [tuple(row.values()) for row in states] == [
            ("broken.als", "rejected"),
            ("song.als", "taken"),
            ("song.wav", "taken"),
        ], f"killed after change {changes}"
        assert keys(ports.bucket, f"inbox/{slug}") == []
        prune(ports, keep=1, slug=slug, grace_hours=0)  # a build after a kill leaves the kept copy behind
        kept = f"artists/{slug}/rejected/u{changes}/P/broken.als"
        assert keys(ports.bucket, f"artists/{slug}/rejected") == [kept, f"{kept}.reason.txt"]
        changes += stride if changes else 1
    assert burnt >= 8


def test_the_command_says_what_it_did_and_how_to_go_on(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_artist(ports)
    assert dawa(monkeypatch, ports, "retry-rejected") == 0
    assert capsys.readouterr().out == "No upload is rejected.\n"
    drop(ports, "nova", {"P/broken.als": b"no set"})
    _build(ports)
    assert dawa(monkeypatch, ports, "retry-rejected", "nothing.als") == 2
    assert "rejected are: P/broken.als" in capsys.readouterr().err
    assert dawa(monkeypatch, ports, "retry-rejected", "--artist", "nova") == 0
    assert capsys.readouterr().out == (
        "Nova: 1 file is in the inbox again.\n  P/broken.als\nNext: dawa build --artist nova\n"
    )
    _build(ports)
    assert dawa(monkeypatch, ports, "retry-rejected", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"slug": "nova", "artist_name": "Nova", "sent": ["P/broken.als"], "left": []}
    ]


_SEGMENTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: name not in (".", "..", "_complete")
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_SEGMENTS, max_size=2), _SEGMENTS, st.sampled_from(["", ".als", ".mp3"]))
@example(["P" * 60, "夜" * 30], "a\\b\u202e", ".als")
@example([], "broken.als.reason.txt", "")
@example(["loose"], "x", ".als")
def test_whatever_a_file_is_called_it_comes_and_goes_unharmed(
    ports: Ports, folders: list[str], name: str, suffix: str
) -> None:
    new_artist(ports)
    upload_id = drop(ports, "nova", {"/".join([*folders, name + suffix]): b"nothing that can be read"})
    inbox = keys(ports.bucket, "inbox")
    _build(ports)
    kept = {key: content(ports.bucket, key) for key in keys(ports.bucket, "artists")}
    assert b"nothing that can be read" in kept.values()
    [report] = retry_rejected(ports)
    assert (len(report.sent), report.left) == (1, [])
    assert keys(ports.bucket) == inbox
    _build(ports)
    assert {key: content(ports.bucket, key) for key in keys(ports.bucket)} == kept
    with ports.database.transaction() as connection:
        connection.execute("delete from uploads where upload_id = %s", [upload_id])
    ports.bucket.delete(list(kept))
