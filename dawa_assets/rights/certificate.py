"""The key and the certificate that marks and reports are signed with: given ones, or one that this project makes.

A certificate that was made here names nobody that others trust: a verifier finds the signature valid and the signer
unknown. Its key never leaves its file, which only its owner may read.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modal_app.data_root.atomic_writes import read_or_create
from modal_app.errors import InputError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DAYS = 3650
_FILE = "signing.pem"


@dataclass(frozen=True)
class Identity:
    """A certificate (with those that it hangs on) and its key, in PEM."""

    certificates: bytes
    key: bytes = field(repr=False)
    is_self_made: bool


def own_identity(folder: Path) -> Identity:
    """Return the identity that lies in this folder, made when it is first asked for.

    Raises:
        InputError: it can't be made, or is no identity.
    """
    path = folder / _FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        both = read_or_create(path, _made, mode=0o600)
    except OSError as error:
        raise InputError(f"{path}: can't be made or read: {error.strerror or error}; set DAWA_HOME") from None
    return checked(Identity(both, both, is_self_made=True), str(path))


def given_identity(certificates: Path, key: Path) -> Identity:
    """Return the identity of two PEM files.

    Raises:
        InputError: one can't be read, or they don't belong together; the message holds nothing of the key.
    """
    parts = []
    for path in (certificates, key):
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: can't be read: {error.strerror or error}; name a PEM file") from None
    return checked(Identity(parts[0], parts[1], is_self_made=False), str(key))


def checked(identity: Identity, where: str) -> Identity:
    """Return an identity of which key and certificate are known to belong together, each with nothing beside it.

    Raises:
        InputError: they don't, or the key is none of the curve P-256.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = private_key(identity, where)
    try:
        chain = x509.load_pem_x509_certificates(identity.certificates)
        leaf = chain[0]
    except (ValueError, IndexError):
        raise InputError(f"{where}: has no certificate in PEM; name a certificate, or remove it") from None
    if leaf.public_key() != private.public_key():
        raise InputError(f"{where}: the key is not the certificate's; name the two that belong together")
    if leaf.not_valid_after_utc < datetime.now(UTC):
        raise InputError(f"{where}: the certificate ran out on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it")
    return Identity(
        b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        identity.is_self_made,
    )


def private_key(identity: Identity, where: str) -> "EllipticCurvePrivateKey":
    """Return the key of an identity.

    Raises:
        InputError: it is no key of the curve P-256, or it is encrypted.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(identity.key, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError(f"{where}: is no unencrypted private key of the curve P-256 in PEM; name one (ES256)")
    return key


def _made() -> bytes:
    """Return a new key and its certificate: a leaf, signed by itself, that may sign manifests."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "DAWA assets (self-signed)"),
            x509.NameAttribute(NameOID.COMMON_NAME, "DAWA assets on one machine"),
        ]
    )
    now = datetime.now(UTC)
    signs_only = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **signs_only), critical=True)
        # C2PA asks for an extended usage; without one every verifier calls the certificate invalid
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
