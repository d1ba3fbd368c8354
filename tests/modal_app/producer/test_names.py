"""Names, paths, URLs and facts that strangers give: what can be used goes through as it is, all else is one line."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modal_app.data_root.layout import DataRoot
from modal_app.errors import InputError
from modal_app.producer.dataset_files import normalize_dataset
from modal_app.producer.uploads import checked_filename, checked_upload_path, checked_url, find_upload

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def require_one_line(error: InputError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) <= 400


def test_files_are_paired_with_what_is_told_of_them() -> None:
    first, second = normalize_dataset(
        ["https://example.com/beat%201.wav?sig=x", "/data/uploads/p/j/beat2.mp3"],
        [
            {"title": " Track  1 ", "bpm": "124.5", "tags": "dub, deep,dub,", "key": "Am", "mood": {"x": 1}},
            {"bpm": 90, "tags": ["lofi"], "prompt": "Lofi beat.", "musical_key": "F# major"},
        ],
    )

    assert (first.title, first.bpm, first.tags, first.musical_key) == ("Track 1", 124.5, ("dub", "deep"), "A minor")
    assert (second.title, second.prompt, second.tags) == ("beat2", "Lofi beat.", ("lofi",))
    assert second.musical_key == "F# major"
    assert normalize_dataset(["https://example.com/beat%201.wav?sig=x"])[0].title == "beat 1"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ([{}], "1 entries for 2 files"),
        ([{}, {}, {}], "3 entries for 2 files"),
        ([{}, "x"], r"metadata_per_file\[1\]: is no object"),
        ([{}, {"title": 7}], r"metadata_per_file\[1\]\.title: is no text"),
        ([{}, {"title": "a\0b"}], "control characters"),
        ([{}, {"title": "\ud800"}], "control characters"),
        ([{}, {"title": "x" * 201}], "201 characters, 200 are the most"),
        ([{}, {"prompt": "x" * 2001}], "2000 are the most"),
        ([{}, {"bpm": "fast"}], r"\.bpm: is no tempo"),
        ([{}, {"bpm": True}], r"\.bpm: is no tempo"),
        ([{}, {"bpm": math.nan}], r"\.bpm: is no tempo"),
        ([{}, {"bpm": 1e999}], r"\.bpm: is no tempo"),
        ([{}, {"bpm": 10**400}], r"\.bpm: is no tempo"),
        ([{}, {"bpm": 0}], r"\.bpm: is no tempo"),
        ([{}, {"tags": 5}], "neither a list nor"),
        ([{}, {"tags": ["a", 5]}], r"\.tags\[1\]: is no text"),
        ([{}, {"tags": ["a"] * 51}], "51 tags"),
        ([{}, {"key": "8A"}], "is no key"),
    ],
)
def test_what_can_not_be_used_is_named(metadata: list[object], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        normalize_dataset(["a.wav", "b.wav"], metadata)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@RELAXED
@given(st.dictionaries(st.sampled_from(["title", "prompt", "tags", "bpm", "key", "other"]), ANYTHING))
def test_whatever_is_told_is_used_or_refused(told: dict[str, object]) -> None:
    try:
        file = normalize_dataset(["night drive.wav"], [told])[0]
    except InputError as error:
        require_one_line(error)
        return
    for text in (file.title, file.prompt or "-", *file.tags):
        assert text.strip()
        assert "\n" not in text
        text.encode()
    assert file.bpm is None or 1 <= file.bpm <= 1000


@pytest.mark.parametrize("name", ["beat.wav", "Größe 7.MP3", "a.b.flac", "ビート.aiff", "-x.ogg", "x" * 196 + ".wav"])
def test_a_plain_name_is_kept(name: str) -> None:
    assert checked_filename(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a", "a.txt", ".wav", ".hidden.wav", "a/b.wav", "../b.wav", "..\\b.wav", "/etc/x.wav"),
        *("a\0.wav", "a\n.wav", "a\u202egpj.wav", " a.wav", "a.wav ", "a.wav.", "x" * 197 + ".wav", "\ud800.wav"),
    ],
)
def test_a_name_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="filename") as caught:
        checked_filename(name)
    assert str(caught.value).isprintable()


@RELAXED
@given(st.text(max_size=300))
def test_any_name_stays_in_its_folder(name: str) -> None:
    try:
        checked_filename(name)
    except InputError as error:
        require_one_line(error)
        return
    assert not set(name) & set("/\\\0\n")
    assert name not in (".", "..")
    assert len(name.encode()) <= 200


@pytest.mark.parametrize(
    "path",
    [
        *("", "beat.wav", "/etc/passwd", "uploads/p", "uploads/p/", "/data/uploads/other/j/beat.wav"),
        *("/data/uploads/p/../other/j/beat.wav", "/data/uploads/p/./beat.wav", "/data/uploads/p//beat.wav"),
        *("/data/loras/p_x.safetensors", "/data/../etc/passwd", "//data/uploads/p/j/beat.wav", "uploads/p/j/a\0.wav"),
        *("uploads/p/" + "x/" * 600 + "a.wav", "data/uploads/p/j/beat.wav", "/data//data/uploads/p/j/b.wav"),
    ],
)
def test_a_path_outside_of_the_producers_uploads_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="is none of this producer"):
        checked_upload_path(path, "p")


@RELAXED
@given(st.lists(st.sampled_from(["..", ".", "", "uploads", "p", "other", "data", "a.wav", "\\"]), max_size=8))
def test_any_path_leads_below_the_producers_uploads(parts: list[str]) -> None:
    try:
        below = checked_upload_path("/".join(parts), "p")
    except InputError:
        return
    assert below.startswith("uploads/p/")
    assert not {"..", ".", ""} & set(below.split("/"))


def test_an_upload_is_found_and_a_link_out_is_not(root: DataRoot) -> None:
    own = root.uploads("p") / "j"
    own.mkdir(parents=True)
    (own / "beat.wav").write_bytes(b"x")
    (root.root / "secret.wav").write_bytes(b"x")
    (own / "link.wav").symlink_to(root.root / "secret.wav")
    (own / "loop.wav").symlink_to(own / "loop.wav")
    (root.uploads("p") / "away").symlink_to(root.root)
    (root.uploads("q")).symlink_to(root.uploads("p"))

    assert find_upload(root, "/data/uploads/p/j/beat.wav", "p") == (own / "beat.wav").resolve()
    for path in ("uploads/p/j/link.wav", "uploads/p/j/loop.wav", "uploads/p/away/secret.wav", "uploads/p/j/no.wav"):
        with pytest.raises(InputError, match="there is no such upload"):
            find_upload(root, path, "p")
    with pytest.raises(InputError, match="there is no such upload"):
        find_upload(root, "uploads/p/j", "p")


def test_a_producers_folder_that_is_a_link_out_is_not_followed(
    root: DataRoot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "beat.wav").write_bytes(b"x")
    root.uploads("p").parent.mkdir(parents=True)
    root.uploads("p").symlink_to(elsewhere)

    with pytest.raises(InputError, match="there is no such upload"):
        find_upload(root, "uploads/p/beat.wav", "p")


@pytest.mark.parametrize(
    "url",
    [
        *("", "beat.wav", "file:///etc/passwd", "ftp://example.com/a.wav", "javascript:alert(1)", "https://"),
        *("https://user@example.com/a.wav", "https://:x@example.com/a.wav", "https://example.com:8443/a.wav"),
        *("http://example.com:443/a.wav", "https://example.com:99999/a.wav", "https://[::1/a.wav"),
        *("http://[", "http://[::1", "http://0177.0.0.1/", "http://0x7f.1/", "http://2130706433/", "http://1.2.3/"),
        *(
            "http://999.1.1.1/",
            "http://a..b/",
            "http://xn--a/",
            "http://%/",
            "http://-a.com/",
            f"http://{'a' * 64}.com/",
        ),
        *("http://[fe80::1%25lo]/a.wav", "http://example.com\\@other.com/a.wav", "http://exa%6Dple.com/"),
        *("https://exämple.com/a.wav", "https://example.com/a b.wav", "https://example.com/\n", "h" * 5000),
    ],
)
def test_a_url_that_may_not_be_fetched_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="URL"):
        checked_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.com", "http://EXAMPLE.com/a.wav", "https://example.com./a.wav", "https://example.com:443/a"),
        *("https://xn--bcher-kva.example/a.wav", "http://1.1.1.1/a.wav", "http://[2606:4700::1111]/a.wav"),
        *("https://a_b.example/a.wav?token=x.y&z=%20", "https://3.example/a.wav"),
    ],
)
def test_a_url_of_a_host_that_is_one_is_used(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize("url", ["http://[", "http://[/a.wav", "x://[::1/b.wav"])
def test_a_url_that_can_not_be_read_has_a_title_all_the_same(url: str) -> None:
    assert normalize_dataset([url])[0].title == "untitled"


@RELAXED
@given(st.text(max_size=60) | st.builds("https://{}/{}".format, st.text(max_size=20), st.text(max_size=20)))
def test_any_url_is_used_or_refused(url: str) -> None:
    try:
        assert checked_url(url) == url
    except InputError as error:
        require_one_line(error)
