"""A stretch of network before a server: passes bytes on in both directions until it is told to break a connection."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingProxy:
    """Listens on loopback. What clients send is counted piece by piece, over all connections; a query is a piece."""

    target: int
    listener: socket.socket
    pieces: int = 0
    connections: int = 0
    cuts: int = 0
    cut_at: set[int] = field(default_factory=set)
    """Numbers of pieces at which their connection breaks."""
    answer_lost: bool = False
    """Whether such a piece still gets through and only its answer does not come back."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with self._lock:
                    self.connections += 1
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as server:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            deaf = threading.Event()
            back = threading.Thread(target=_answers, args=(server, client, deaf), daemon=True)
            back.start()
            while piece := client.recv(1 << 16):
                with self._lock:
                    number, self.pieces = self.pieces, self.pieces + 1
                if number not in self.cut_at:
                    server.sendall(piece)
                    continue
                with self._lock:
                    self.cuts += 1
                if self.answer_lost:
                    deaf.set()
                    server.sendall(piece)
                    server.shutdown(socket.SHUT_WR)
                    back.join(240)  # the server is done with it
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                server.shutdown(socket.SHUT_RDWR)  # closing alone would leave it open for as long as `_answers` reads
                return
            server.shutdown(socket.SHUT_WR)
            back.join(240)


def _answers(server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
    with suppress(OSError):
        while piece := server.recv(1 << 16):
            if not deaf.is_set():
                client.sendall(piece)
        client.shutdown(socket.SHUT_WR)


@contextmanager
def cutting_proxy(target: int) -> Iterator[CuttingProxy]:
    """A proxy before a port of this machine, for the length of the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        proxy = CuttingProxy(target, listener)
        thread = threading.Thread(target=proxy.serve, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
