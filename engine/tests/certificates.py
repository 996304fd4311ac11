"""Client certificates, self-signed, and how proxies pass them on."""

import datetime as dt
import ssl
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Certificate:
    """A certificate with its key. Its base64 has `+` and `/`, so that nobody can decode them wrongly unnoticed."""

    def __init__(self, name: str = "client.example.com") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        while True:
            self.der = self._signed(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            if {"+", "/"} <= set(self.base64):
                break

    def _signed(self, name: x509.Name) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        return builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    @property
    def base64(self) -> str:
        return b64encode(self.der).decode()

    @property
    def pem(self) -> str:
        return ssl.DER_cert_to_PEM_cert(self.der)

    @property
    def thumbprint(self) -> str:
        return urlsafe_b64encode(sha256(self.der).digest()).decode().rstrip("=")

    @property
    def cnf(self) -> dict[str, str]:
        return {"x5t#S256": self.thumbprint}

    @property
    def nginx(self) -> str:
        """As nginx writes `$ssl_client_escaped_cert`."""
        return quote(self.pem, safe="")

    @property
    def alb(self) -> str:
        """As AWS's load balancers write it."""
        return quote(self.pem, safe="+=/")

    @property
    def envoy(self) -> str:
        """As Envoy writes an element, with all that it can tell."""
        return f'By=spiffe://a/b;{self.hash};{self.cert};Subject="CN=a, b\\"c;d=e";URI=spiffe://c/d?e=f;DNS=localhost'

    @property
    def hash(self) -> str:
        return f"Hash={sha256(self.der).hexdigest()}"

    @property
    def cert(self) -> str:
        return f'Cert="{self.nginx}"'

    @property
    def rfc9440(self) -> str:
        return f":{self.base64}:"

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write the certificate and its key, in PEM."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_text(self.pem)
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key
