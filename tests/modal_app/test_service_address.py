"""Where a key may be sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.service_address import ServiceAddress, service_address


def _address(url: str) -> ServiceAddress:
    return service_address(url, setting="DAWA_X_URL", example="https://x.example")


@pytest.mark.parametrize(
    ("url", "shown", "is_here"),
    [
        ("https://api.example.com/v1/", "api.example.com", False),
        (" https://api.example.com:8443 ", "api.example.com:8443", False),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000", True),
        ("http://localhost", "localhost", True),
        ("http://[::1]:9", "::1:9", True),
    ],
)
def test_over_tls_or_on_this_machine(url: str, shown: str, is_here: bool) -> None:
    address = _address(url)
    assert (address.shown, address.is_here) == (shown, is_here)
    assert address.url == url.strip().rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "api.example.com", "ftp://x", "https://", "https://user:pw@x.example", "https://x.example/?key=1"),
        *("https://x.example/#a", "https://x.example:99999", "http://[::1", "file:///etc/passwd"),
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"\ADAWA_X_URL: not an address to ask; it looks like https://x.example\Z"):
        _address(url)


@pytest.mark.parametrize("host", ["x.example", "10.0.0.1", "127.0.0.1.x.example", "localhost.x.example", "[::]"])
def test_no_key_goes_over_the_network_in_the_clear(host: str) -> None:
    with pytest.raises(ValueError, match="in the clear; use https://"):
        _address(f"http://{host}/v1")


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_one_line(url: str) -> None:
    try:
        address = _address(url)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either is fine
    else:
        assert address.url.startswith("https://") or address.is_here
