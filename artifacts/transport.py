"""What keeps other users of this machine from our own workers: TLS with a key that never leaves the processes' memory.

Whoever reaches a Dask scheduler runs code as its user. `distributed.Security.temporary` is the like, but its
certificate begins now and ends in a year: workers that start after a clock was set back, or next year, would find no
scheduler.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from distributed import Security

NAME = "skimflow-workers"
_FROM, _UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)  # both ends check no clock


def own_security() -> "Security":
    """One certificate, new at each call, that scheduler, workers and client show and that all of them ask for."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from distributed import Security

    private = ec.generate_private_key(ec.SECP256R1())
    key = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    certificate = _certificate(private)
    shown = {"key": key, "cert": certificate}
    parts = {f"tls_{who}_{what}": text for who in ("scheduler", "worker", "client") for what, text in shown.items()}
    return Security(require_encryption=True, tls_ca_file=certificate, **parts)


def _certificate(private: "EllipticCurvePrivateKey") -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .sign(private, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()
