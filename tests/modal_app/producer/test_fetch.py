"""Fetching strangers' URLs, against servers on this machine: what is public is reached, and nothing else ever."""

import re
from pathlib import Path

import pytest

from modal_app.errors import DawaError, InputError, JobError
from modal_app.producer.fetch import Fetcher, FetchLimits, is_public
from tests.modal_app.producer.conftest import Answer, Internet, song

PRIVATE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *(
        "100.64.0.1",
        "100.100.100.200",
        "198.18.0.1",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "224.0.0.1",
        "239.1.1.1",
    ),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
    *("2002:7f00:1::", "2001:0:7f00:1::1", "fec0::1", "2001:db8::1", "localhost", "", "2130706433"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_an_address_that_is_public_is_known_as_such(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_file_is_fetched_by_its_hosts_name(internet: Internet, tmp_path: Path, scheme: str) -> None:
    internet.answers["/beat1.wav"] = Answer(song())

    internet.fetcher().fetch(f"{scheme}://example.com/beat1.wav?sig=s3cret", tmp_path / "file", "beat1.wav")

    assert (tmp_path / "file").read_bytes() == song()
    assert internet.seen[-1] == ("example.com", "/beat1.wav?sig=s3cret")


def test_a_certificate_of_another_host_is_refused(internet: Internet, tmp_path: Path) -> None:
    internet.addresses["other.test"] = ["127.0.0.1"]
    fetcher = Fetcher(
        FetchLimits(pauses=()),
        resolve=lambda _host, _port: [internet.secure],
        permitted=[internet.secure],
        trusted=internet._trusted,
    )

    with pytest.raises(JobError, match="the download failed"):
        fetcher.fetch("https://other.test/beat1.wav", tmp_path / "file", "beat1.wav")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "100.64.0.1"]
)
def test_a_name_that_means_a_private_address_leads_nowhere(internet: Internet, tmp_path: Path, address: str) -> None:
    internet.addresses["rebound.test"] = ["93.184.216.34", address]
    before = len(internet.seen)

    with pytest.raises(InputError, match="not on the public internet"):
        internet.fetcher().fetch("http://rebound.test/beat.wav", tmp_path / "file", "beat.wav")
    assert len(internet.seen) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "2130706433"])
def test_the_systems_own_resolver_is_checked_too(tmp_path: Path, host: str) -> None:
    with pytest.raises(DawaError, match=r"not on the public internet|its host|a host that is none"):
        Fetcher(FetchLimits(pauses=())).fetch(f"http://{host}/beat.wav", tmp_path / "file", "beat.wav")


def test_localhost_is_not_reached(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not on the public internet"):
        Fetcher(FetchLimits(pauses=())).fetch("http://localhost/beat.wav", tmp_path / "file", "beat.wav")


def test_a_redirect_is_followed(internet: Internet, tmp_path: Path) -> None:
    internet.answers["/old.wav"] = Answer(status=302, headers={"Location": "//files.example.com/new.wav"})
    internet.answers["/new.wav"] = Answer(song())

    internet.fetcher().fetch("https://example.com/old.wav", tmp_path / "file", "old.wav")

    assert (tmp_path / "file").read_bytes() == song()
    assert internet.seen[-1] == ("files.example.com", "/new.wav")


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/", "not on the public internet"),
        ("http://169.254.169.254/latest/meta-data/", "not on the public internet"),
        ("http://[::ffff:10.0.0.1]/", "not on the public internet"),
        ("http://example.com:8080/", "port 8080"),
        ("http://user:pass@example.com/", "a user name"),
        ("file:///etc/passwd", "neither http nor https"),
        ("ftp://example.com/", "neither http nor https"),
        ("http://[", "can't be read|no URL"),
        ("/round", "more than 5 times"),
    ],
)
def test_a_redirect_to_where_nothing_may_be_fetched(
    internet: Internet, tmp_path: Path, location: str, reason: str
) -> None:
    internet.answers["/round"] = Answer(status=307, headers={"Location": location})

    with pytest.raises(InputError, match=reason):
        internet.fetcher().fetch("http://example.com/round", tmp_path / "file", "beat.wav")


def test_a_redirect_from_https_to_http_is_refused(internet: Internet, tmp_path: Path) -> None:
    internet.answers["/down"] = Answer(status=301, headers={"Location": "http://example.com/beat1.wav"})

    with pytest.raises(InputError, match="from https to http"):
        internet.fetcher().fetch("https://example.com/down", tmp_path / "file", "beat.wav")


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (Answer(b"no", 404), InputError, "HTTP 404"),
        (Answer(b"no", 403), InputError, "HTTP 403"),
        (Answer(b"no", 503), JobError, "HTTP 503"),
        (Answer(b""), InputError, "an empty file"),
        (Answer(b"x" * 2000), InputError, "more than 1000 bytes"),
        (Answer(forever=True), InputError, "more than 1000 bytes"),
        (Answer(b"x" * 10, headers={"Content-Encoding": "gzip"}), InputError, "compressed"),
        (Answer(b"x" * 10, declared=500), JobError, "the download failed"),
    ],
)
def test_an_unusable_answer_is_one_line_without_the_url(
    internet: Internet, tmp_path: Path, answer: Answer, error: type[DawaError], reason: str
) -> None:
    internet.answers["/bad.wav"] = answer
    fetcher = internet.fetcher(most_bytes=1000, silent_seconds=2.0)

    with pytest.raises(error, match=reason) as caught:
        fetcher.fetch("http://example.com/bad.wav?token=s3cret", tmp_path / "file", "bad.wav")

    assert re.fullmatch(r"bad\.wav: [^\n]+", str(caught.value))
    assert "s3cret" not in repr(caught.value)


def test_a_file_that_never_ends_is_given_up(internet: Internet, tmp_path: Path) -> None:
    internet.answers["/endless.wav"] = Answer(forever=True)

    with pytest.raises(InputError, match=r"longer than 0\.5 s|more than"):
        internet.fetcher(seconds=0.5).fetch("http://example.com/endless.wav", tmp_path / "file", "endless.wav")


def test_a_file_that_comes_too_slowly_is_given_up(internet: Internet, tmp_path: Path) -> None:
    internet.answers["/slow.wav"] = Answer(forever=True, pause=0.05)

    with pytest.raises(InputError, match="bytes a second"):
        internet.fetcher(slow_after_seconds=0.2).fetch("http://example.com/slow.wav", tmp_path / "file", "slow.wav")


def test_a_transfer_that_broke_is_begun_again(internet: Internet, tmp_path: Path) -> None:
    internet.answers["/later.wav"] = Answer(b"busy", 503)
    fetcher = internet.fetcher(pauses=(0.0, 0.0))
    before = len(internet.seen)

    with pytest.raises(JobError, match="HTTP 503"):
        fetcher.fetch("http://example.com/later.wav", tmp_path / "file", "later.wav")
    assert len(internet.seen) - before == 3
