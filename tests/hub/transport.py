"""The HTTP of the double of the Hub: bodies in one piece or in chunks, ranges, and connections that are cut."""

import contextlib
import json
import re
import socket
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Ask(NamedTuple):
    """A request; `user` is the name that its token stands for."""

    method: str
    path: str
    query: dict
    user: str | None
    body: bytes

    def json(self):
        return json.loads(self.body or b"{}")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that has gone is no bug
            self.hub._bugs.append(sys.exc_info()[1])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        fault = self.server.hub._arrived(self.command, url.path)
        limit = fault.after_bytes if fault else None
        if limit is not None and self.command != "GET":
            self._body(limit)
            return self._hang_up()
        ask = Ask(self.command, url.path, parse_qs(url.query), None, self._body())
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        answer = fault.answer if fault and fault.answer else self.server.hub._answer(ask, token)
        self._send(*answer, limit)

    do_HEAD = do_POST = do_PUT = do_GET

    def _body(self, limit=None):
        """The body, as far as `limit` where one is given."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            return self._chunks(limit)
        length = int(self.headers.get("Content-Length", 0))
        return self._read(length if limit is None else min(limit, length))

    def _chunks(self, limit):
        body = b""
        while length := int(self.rfile.readline() or b"0", 16):
            wanted = length if limit is None else min(length, limit - len(body))
            body += self._read(wanted)
            if wanted < length:
                return body
            self._read(2)  # the end of the line after a chunk
        self._read(2)
        return body

    def _read(self, length):
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionResetError("the client has gone")
        return data

    def _send(self, status, headers, body, limit):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and status == 200 and "Accept-Ranges" in headers:
            size, first = len(body), int(wanted[1])
            last = min(int(wanted[2] or size - 1), size - 1)
            status, body = (206, body[first : last + 1]) if first < size else (416, b"")
            where = f"{first}-{last}" if body else "*"
            headers = headers | {"Content-Range": f"bytes {where}/{size}"}
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if limit is None else body[:limit])
        if limit is not None:
            self._hang_up()

    def _hang_up(self):
        """Ends the connection; what still arrives is thrown away, as a reset would be seen now as this, now as that."""
        self.close_connection = True
        with contextlib.suppress(OSError):  # the client has gone already, or does not go
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(10)
            while self.rfile.read1(2**16):
                pass

    def log_message(self, *_):
        """Writes nothing: `requests` tells it all."""
