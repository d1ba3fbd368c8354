"""Which bounce goes with which set, and which waits."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.intake.pairing import Bounce, Origin, Pairing, SetOrigin, Target, pair

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _bounce(where: str, *, sha256: str | None = None, minutes: int = 0) -> Bounce:
    origin, name = _split(where)
    return Bounce(where, origin, name, sha256 or where, _NOW + timedelta(minutes=minutes))


def _set(where: str, item: str | None) -> SetOrigin:
    origin, name = _split(where)
    return SetOrigin(origin, name, item)


def _target(item: str, *names: str, arrived: int | None = None) -> Target:
    project = item.partition("/")[0]
    when = None if arrived is None else _NOW + timedelta(minutes=arrived)
    return Target(item, item, project, frozenset(names or (item.partition("/")[2] + ".als",)), when)


def _split(where: str) -> tuple[Origin, str]:
    upload, _, rest = where.partition(":")
    folder, _, name = rest.rpartition("/")
    return Origin(upload, folder), name


def _pair(bounces: list[Bounce], sets: list[SetOrigin], targets: list[Target], *taken: str) -> Pairing:
    names = [(bounce.origin, bounce.name) for bounce in bounces] + [_split(where) for where in taken]
    return pair(bounces, sets, targets, names)


def _matched(pairing: Pairing) -> dict[object, object]:
    return {bounce.id: item for bounce, item in pairing.matches}


def _reasons(pairing: Pairing) -> dict[object, str]:
    return {bounce.id: reason for bounce, reason in pairing.waits}


def test_a_lone_set_and_bounce_in_one_folder_are_paired() -> None:
    pairing = _pair([_bounce("u1:P/mixdown.wav")], [_set("u1:P/song.als", "P/song")], [_target("P/song")])
    assert _matched(pairing) == {"u1:P/mixdown.wav": "P/song"}


def test_a_bounce_with_the_sets_name_is_paired_from_anywhere() -> None:
    pairing = _pair([_bounce("u2:My_Song.WAV")], [_set("u1:P/my song.als", "P/my song")], [_target("P/my song")])
    assert _matched(pairing) == {"u2:My_Song.WAV": "P/my song"}


def test_of_two_bounces_beside_a_set_its_namesake_is_paired() -> None:
    bounces = [_bounce("u1:P/song.wav"), _bounce("u1:P/other.wav")]
    pairing = _pair(bounces, [_set("u1:P/song.als", "P/song")], [_target("P/song")])
    assert _matched(pairing) == {"u1:P/song.wav": "P/song"}
    assert "1 set and 2 bounces" in _reasons(pairing)["u1:P/other.wav"]


def test_two_different_bounces_of_one_name_in_an_upload_wait() -> None:
    bounces = [_bounce("u1:song.wav"), _bounce("u1:song.mp3")]
    pairing = _pair(bounces, [_set("u1:song.als", "song/song")], [_target("song/song")])
    assert pairing.matches == []
    assert "song.mp3, song.wav all fit song/song" in _reasons(pairing)["u1:song.wav"]


def test_the_same_bytes_twice_are_no_rivals() -> None:
    bounces = [_bounce("u1:song.wav", sha256="x"), _bounce("u1:Song_.wav", sha256="x")]
    assert len(_pair(bounces, [], [_target("P/song")]).matches) == 2


def test_bounces_of_several_uploads_pair_in_order_of_arrival() -> None:
    bounces = [_bounce("u1:song.wav", minutes=1), _bounce("u2:song.mp3", minutes=2)]
    assert [bounce.id for bounce, _ in _pair(bounces, [], [_target("P/song")]).matches] == [
        "u1:song.wav",
        "u2:song.mp3",
    ]


def test_an_older_bounce_does_not_replace_a_newer_one() -> None:
    pairing = _pair([_bounce("u1:song.wav", minutes=1)], [], [_target("P/song", arrived=5)])
    assert "came later" in _reasons(pairing)["u1:song.wav"]


def test_a_name_that_several_sets_have_waits() -> None:
    pairing = _pair([_bounce("u9:song.wav")], [], [_target("A/song"), _target("B/Song")])
    assert "several sets (A/song, B/Song)" in _reasons(pairing)["u9:song.wav"]


def test_of_several_sets_of_the_name_the_one_beside_it_is_meant() -> None:
    sets = [_set("u1:B/song.als", "B/song"), _set("u1:B/sketch.als", "B/sketch")]
    pairing = _pair([_bounce("u1:B/song.wav")], sets, [_target("A/song"), _target("B/song"), _target("B/sketch")])
    assert _matched(pairing) == {"u1:B/song.wav": "B/song"}


def test_of_several_sets_the_one_in_its_folders_project_is_meant() -> None:
    pairing = _pair(
        [_bounce("u2:x/A/song.wav")], [_set("u1:A/song.als", "A/song")], [_target("A/song"), _target("B/song")]
    )
    assert _matched(pairing) == {"u2:x/A/song.wav": "A/song"}


def test_a_bounce_beside_one_set_named_like_another_is_ambiguous() -> None:
    pairing = _pair(
        [_bounce("u2:other.wav")], [_set("u2:new.als", "new/new")], [_target("new/new"), _target("P/other")]
    )
    assert "beside new/new but has the name of P/other" in _reasons(pairing)["u2:other.wav"]


def test_a_bounce_beside_a_rejected_set_waits_and_says_so() -> None:
    pairing = _pair([_bounce("u1:mix.wav")], [_set("u1:broken.als", None)], [])
    assert "broken.als" in _reasons(pairing)["u1:mix.wav"]


def test_a_rejected_set_beside_the_bounce_makes_it_ambiguous() -> None:
    sets = [_set("u1:broken.als", None), _set("u1:good.als", "good/good")]
    assert _pair([_bounce("u1:mix.wav")], sets, [_target("good/good")]).matches == []


def test_a_bounce_that_was_taken_before_still_counts_as_beside() -> None:
    pairing = _pair([_bounce("u1:b.wav")], [_set("u1:song.als", "song/song")], [_target("song/song")], "u1:song.wav")
    assert pairing.matches == []


def test_every_name_that_a_set_was_uploaded_under_counts() -> None:
    pairing = _pair([_bounce("u3:new name.wav")], [], [_target("P/old", "old.als", "New-Name.als")])
    assert _matched(pairing) == {"u3:new name.wav": "P/old"}


def test_names_of_blanks_alone_fit_nothing() -> None:
    assert _pair([_bounce("u1:- _.wav")], [], [_target("P/__", "__.als")]).matches == []


_WHERE = st.builds(
    "{}:{}{}".format,
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["", "A/", "B/"]),
    st.sampled_from(["a", "b", "A_", "c"]),
)


@given(
    bounces=st.lists(_WHERE, max_size=6, unique=True),
    sets=st.lists(st.tuples(_WHERE, st.sampled_from(["A/a", "B/a", "B/b", None])), max_size=6),
)
def test_every_bounce_is_matched_once_or_waits_with_a_reason(
    bounces: list[str], sets: list[tuple[str, str | None]]
) -> None:
    waiting = [_bounce(f"{where}.wav") for where in bounces]
    origins = [_set(f"{where}.als", item) for where, item in sets]
    targets = [_target(item) for item in ("A/a", "B/a", "B/b")]
    pairing = _pair(waiting, origins, targets)
    decided = [bounce.id for bounce, _ in pairing.matches] + [bounce.id for bounce, _ in pairing.waits]
    assert sorted(map(str, decided)) == sorted(str(bounce.id) for bounce in waiting)
    assert all(reason for _, reason in pairing.waits)
    winners = [(item, bounce.origin.upload_id) for bounce, item in pairing.matches]
    assert len(winners) == len(set(winners))
