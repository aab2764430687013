"""The home's own certificate authority, judged by a real TLS handshake."""

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from headrace.drivers.tls.authority import RENEW_DAYS, SERVER_DAYS, ServerCertificate, ensure_certificate
from headrace.testing.clock import FakeClock

NAMES = ["localhost", "127.0.0.1", "::1"]
DAY_SECONDS = 86_400


@pytest.fixture
def clock() -> FakeClock:
    # The handshake looks at the machine's own clock, so the certificate has to be valid by it.
    return FakeClock(time.time_ns() // 1_000)


def handshake(files: ServerCertificate, name: str, *, strict: bool = True) -> None:
    """Shake hands in memory; raises SSLError when the client does not accept the certificate."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.certificate_file, files.key_file)
    client_context = ssl.create_default_context(cafile=str(files.authority_file))
    if strict:
        client_context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = {client, server}
    for side in (client, server) * 4:
        if side in waiting:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.discard(side)
    assert not waiting


def serial(file: Path) -> int:
    return x509.load_pem_x509_certificate(file.read_bytes()).serial_number


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strict", [True, False])
def test_clients_that_trust_the_authority_accept_every_name(
    tmp_path: Path, clock: FakeClock, name: str, strict: bool
) -> None:
    handshake(ensure_certificate(tmp_path, NAMES, clock), name, strict=strict)


def test_a_name_that_was_not_asked_for_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    files = ensure_certificate(tmp_path, NAMES, clock)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(files, "example.com")


def test_a_good_certificate_is_kept(tmp_path: Path, clock: FakeClock) -> None:
    first = ensure_certificate(tmp_path, NAMES, clock)
    before = serial(first.authority_file), serial(first.certificate_file)
    clock.advance((SERVER_DAYS - RENEW_DAYS - 2) * DAY_SECONDS)
    second = ensure_certificate(tmp_path, NAMES[:1], clock)
    assert (serial(second.authority_file), serial(second.certificate_file)) == before


def test_a_certificate_near_its_end_is_renewed_by_the_same_authority(tmp_path: Path, clock: FakeClock) -> None:
    first = ensure_certificate(tmp_path, NAMES, clock)
    authority, server = serial(first.authority_file), serial(first.certificate_file)
    clock.advance((SERVER_DAYS - RENEW_DAYS + 1) * DAY_SECONDS)
    second = ensure_certificate(tmp_path, NAMES, clock)
    assert serial(second.authority_file) == authority
    assert serial(second.certificate_file) != server


def test_a_new_name_makes_a_new_certificate(tmp_path: Path, clock: FakeClock) -> None:
    ensure_certificate(tmp_path, NAMES, clock)
    files = ensure_certificate(tmp_path, [*NAMES, "gateway.example.com"], clock)
    handshake(files, "gateway.example.com")
    handshake(files, "localhost")


@pytest.mark.parametrize("lost", ["server.key", "server.pem", "ca.key", "ca.pem"])
def test_a_lost_file_is_made_anew_and_all_fit_together(tmp_path: Path, clock: FakeClock, lost: str) -> None:
    ensure_certificate(tmp_path, NAMES, clock)
    (tmp_path / "tls" / lost).unlink()
    handshake(ensure_certificate(tmp_path, NAMES, clock), "localhost")


def test_an_authority_key_of_another_kind_is_replaced(tmp_path: Path, clock: FakeClock) -> None:
    files = ensure_certificate(tmp_path, NAMES, clock)
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.authority_file.with_name("ca.key").write_bytes(other)
    handshake(ensure_certificate(tmp_path, NAMES, clock), "localhost")


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path, clock: FakeClock) -> None:
    files = ensure_certificate(tmp_path, NAMES, clock)
    keys = [files.key_file, files.authority_file.with_name("ca.key")]
    assert [key.stat().st_mode & 0o777 for key in keys] == [0o600] * 2
    assert files.key_file.parent.stat().st_mode & 0o777 == 0o700


def test_the_server_key_cannot_sign_for_others(tmp_path: Path, clock: FakeClock) -> None:
    files = ensure_certificate(tmp_path, NAMES, clock)
    certificate = x509.load_pem_x509_certificate(files.certificate_file.read_bytes())
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    authority = x509.load_pem_x509_certificate(files.authority_file.read_bytes())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_a_long_name_is_served_too(tmp_path: Path, clock: FakeClock) -> None:
    name = "a" * 60 + "." + "b" * 60 + ".example.com"
    handshake(ensure_certificate(tmp_path, [name], clock), name)
