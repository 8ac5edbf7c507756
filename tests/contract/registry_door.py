"""A door in front of a real registry: asks for a login or a client certificate, or fails."""

from __future__ import annotations

import datetime
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FORWARD_SECONDS_MAX = 20.0


@dataclass
class Door:
    """What the door asks for, and where it stands."""

    behind: str
    authorization: str | None = None
    """The only value of the Authorization header that passes."""
    answer: tuple[int, str] | None = None
    """Answered to everything, in place of the registry's answer."""
    url: str = ""


@contextmanager
def open_door(door: Door, tls: ssl.SSLContext | None = None) -> Iterator[Door]:
    """The door, listening for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if door.answer is not None:
                self.reply(door.answer[0], door.answer[1].encode())
            elif door.authorization not in (None, self.headers["Authorization"]):
                self.reply(401, b'{"error_code": 401, "message": "Unauthorized"}')
            else:
                self.reply(*forward(door.behind, self))

        do_POST = do_GET  # noqa: N815 - the name that the server looks for

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    door.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def forward(behind: str, asked: BaseHTTPRequestHandler) -> tuple[int, bytes]:
    """The registry's own answer."""
    length = int(asked.headers["Content-Length"] or 0)
    request = urllib.request.Request(
        behind + asked.path,
        data=asked.rfile.read(length) if length else None,
        headers={"Content-Type": "application/json"},
        method=asked.command,
    )
    try:
        with urllib.request.urlopen(request, timeout=FORWARD_SECONDS_MAX) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@dataclass(frozen=True)
class Certificate:
    """A certificate that vouches for itself, with its key, as files."""

    certificate_file: Path
    key_file: Path

    @classmethod
    def made(cls, folder: Path, name: str) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(address, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        made = cls(folder / f"{name}.pem", folder / f"{name}.key")
        made.certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made

    def asking_for(self, client: Certificate) -> ssl.SSLContext:
        """A server's side that lets in only who holds `client`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        context.load_verify_locations(client.certificate_file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context
