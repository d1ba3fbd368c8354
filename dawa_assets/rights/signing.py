"""Signatures of documents with the project's key: the same document has the same signature each time."""

from dawa_assets.rights.certificate import private_key
from dawa_assets.rights.marks import signing_identity
from resources.settings import Settings


def sign_document(settings: Settings, content: bytes) -> tuple[bytes, bytes]:
    """Return the signature (ECDSA over SHA-256, in DER, by RFC 6979) and the certificates to check it with, in PEM.

    Raises:
        InputError: the key or the certificate can't be used.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    identity = signing_identity(settings)
    key = private_key(identity, "DAWA_MARKS_KEY")
    return key.sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)), identity.certificates
