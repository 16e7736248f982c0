"""The HTTPS side, with mutual TLS and faults on demand, and the certificates for it."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MERCHANT = "merchant.com.example.shop"
PATH = "/paymentservices/startSession"
Mode = Literal[
    "", "500", "hang", "redirect", "garbage", "list", "huge", "surrogate", "reset", "417"
]
MERCHANT_UID = x509.ObjectIdentifier(
    "0.9.2342.19200300.100.1.1"
)  # where Apple writes the merchant id


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def identities(folder: Path) -> dict[str, Identity]:
    """Return who plays a part: `authority`, Apple's `server`, the `merchant`, and a `stranger` whom nobody vouches for."""
    made: dict[str, Identity] = {}
    root = ec.generate_private_key(ec.SECP256R1())
    for name in ("authority", "server", "merchant", "stranger"):
        key = root if name == "authority" else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                *([x509.NameAttribute(MERCHANT_UID, MERCHANT)] if name == "merchant" else []),
            ]
        )
        issuer = subject if name == "stranger" else _named("authority")
        now = datetime.now(tz=UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if name in {"authority", "server", "merchant"}:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),
                critical=False,
            )
        if name == "authority":
            builder = builder.add_extension(
                x509.KeyUsage(
                    digital_signature=True, key_cert_sign=True, crl_sign=True,
                    content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )  # fmt: skip
        certificate = builder.sign(key if name == "stranger" else root, hashes.SHA256())
        made[name] = Identity(folder / f"{name}.pem", folder / f"{name}.key")
        made[name].certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        made[name].key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class AppleServer(ThreadingHTTPServer):
    """Runs on loopback until `stop`. `asked` is what was asked by merchants whom the authority vouches for."""

    daemon_threads = True

    def __init__(self, known: dict[str, Identity]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode: Mode = ""
        self.elsewhere = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.opened = 0
        self.stopped = threading.Event()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(known["server"].certificate, known["server"].key)
        tls.load_verify_locations(known["authority"].certificate)
        tls.verify_mode = ssl.CERT_REQUIRED
        self.tls = tls

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[Any, Any]:
        plain, address = super().get_request()
        self.opened += 1
        # The handshake is the thread's: one that hangs must not hold up the others.
        return self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def start(self) -> AppleServer:
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who is not let in, or went away, is none of the log's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AppleServer
    timeout = 10

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.close_connection = True
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, question))
        shown: Any = self.connection
        subject = dict(part[0] for part in shown.getpeercert()["subject"])
        if subject.get("userId") != question.get("merchantIdentifier"):
            self._send(417, b'{"statusMessage": "Payment Services Exception merchantId"}')
            return
        match self.server.mode:
            case "500" | "417":
                self._send(int(self.server.mode), b"{}")
            case "hang":
                self.server.stopped.wait(30)
            case "reset":
                pass
            case "redirect":
                self._send(302, b"", Location=self.server.elsewhere)
            case "garbage":
                self._send(200, b"<html>not now</html>")
            case "list":
                self._send(200, b"[1]")
            case "surrogate":
                self._send(200, b'{"nonce": "\\ud800"}')
            case "huge":
                self._send(200, json.dumps({"signature": "0" * 70_000}).encode())
            case _:
                self._send(200, json.dumps(session(question)).encode())

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def session(question: dict[str, Any]) -> dict[str, Any]:
    """Return what Apple answers; only the device reads it."""
    return {
        "epochTimestamp": 1795253400000,
        "expiresAt": 1795253700000,
        "merchantSessionIdentifier": "SSH9A1C0E0A1B2",
        "nonce": "4f1c2a4e",
        "merchantIdentifier": question["merchantIdentifier"],
        "domainName": question["initiativeContext"],
        "displayName": question["displayName"],
        "signature": "308006092a864886f70d010702",
    }
