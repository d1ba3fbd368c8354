"""Where pages of the Dagster UI find files of the bucket: the setting, or the port that this home keeps for them.

The port stays the same from one start to the next: what is written into the history of runs links to it.
"""

import socket
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from modal_app.data_root.atomic_writes import write_atomic
from resources.errors import SettingsError
from resources.settings import Settings

USUAL_PORT = 8923
LOOPBACK = "127.0.0.1"


def files_address(settings: Settings) -> str:
    """Return the address that links to files begin with.

    Raises:
        SettingsError: the home can't be written to.
    """
    return settings.serve_url or address_at(kept_port(settings))


def are_shown_to_everybody(settings: Settings) -> bool:
    """Return whether a browser gets files from there without saying who it is: a picture on a page can't say it.

    Only on this machine: what the UI serves beside itself, or a server that nothing protects.
    """
    address = settings.serve_url
    if address is None or not is_loopback(urlsplit(address).hostname or ""):
        return False
    if address == address_at(_read_port(settings) or USUAL_PORT):
        return True
    password = settings.app_password.get_secret_value() if settings.app_password is not None else ""
    return not (password.strip() or settings.supabase_url or settings.supabase_jwt_secret)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, to itself."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def address_at(port: int) -> str:
    """Return the address of a server of files at this port of this machine."""
    return f"http://{LOOPBACK}:{port}"


def kept_port(settings: Settings) -> int:
    """Return the port that this home keeps: the usual one, or a free one where that was taken when it was asked first.

    Raises:
        SettingsError: the home can't be written to.
    """
    if (port := _read_port(settings)) is not None:
        return port
    with listening_at_or_near(USUAL_PORT) as listener:
        return keep_port(settings, int(listener.getsockname()[1]))


def _read_port(settings: Settings) -> int | None:
    with suppress(OSError, ValueError):
        port = int((settings.home / "files.port").read_text("ascii"))
        if 0 < port < 65_536:
            return port
    return None


def keep_port(settings: Settings, port: int) -> int:
    """Keep another port for this home, and return it.

    Raises:
        SettingsError: the home can't be written to.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        write_atomic(settings.home / "files.port", f"{port}\n".encode())
    except OSError as error:
        raise SettingsError(
            f"{settings.home}: can't be written to ({error.strerror}); choose another with DAWA_HOME"
        ) from None
    return port


def listening_at_or_near(port: int) -> socket.socket:
    """Return a socket that listens at a port of this machine, or at a free one where somebody else listens there."""
    try:
        return _listening_at(port)
    except OSError:
        return _listening_at(0)


def _listening_at(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener
