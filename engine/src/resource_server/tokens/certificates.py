"""Client certificates that access tokens are bound to, as a proxy passes them on: mutual TLS (RFC 8705, section 3)."""

import ipaddress
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from resource_server.tokens.errors import InvalidToken, Refusal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST = 16_384
"""Characters of a certificate's header field."""


class MutualTLS:
    """Checks that a request has come over mutual TLS with the certificate which its token is bound to.

    TLS ends at a proxy. It has made sure that the client has the certificate's private key, and writes the certificate
    into a header field, over whatever the client has sent there. How it is written follows from the field's name:

    - `X-Forwarded-Client-Cert`: Envoy's elements, with `Hash` or `Cert`. There must be one element.
    - `Client-Cert`: DER in base64 between colons (RFC 9440, section 2.2).
    - any other: PEM, percent-encoded, as nginx's `$ssl_client_escaped_cert`, and AWS's load balancers. Of a chain the
      first is the client's (RFC 8446, section 4.4.2).

    Checks the SHA-256 of the certificate (RFC 8705, section 3.1), and neither who issued it nor until when it is good:
    that is the proxy's to check, if anybody trusts more than the thumbprint.

    Args:
        header: The name of the field.
        trusted_proxies: The proxies' addresses or networks. From anybody else the field counts for nothing; callers
            ask `networks.comes_from`.
        required: Whether tokens that are bound to no certificate are refused.

    Raises:
        ValueError: There are no proxies, or one isn't an address or network.
    """

    def __init__(self, header: str, trusted_proxies: Iterable[str | Network], *, required: bool = False) -> None:
        self.header = header.lower()
        self.trusted_proxies = tuple(map(ipaddress.ip_network, trusted_proxies))
        if not self.trusted_proxies:
            raise ValueError("Anybody can write a header field: name the proxies that certificates are believed from")
        self.required = required
        self._digest = _FORMS.get(self.header, _digest_of_pem)

    def check(self, fields: Sequence[str], thumbprint: str | None) -> None:
        """Check the certificate of a request.

        Args:
            fields: The values of all header fields of its name, if a trusted proxy has sent them.
            thumbprint: Of the certificate which the token is bound to, its `x5t#S256`; `None` if it is bound to none.

        Raises:
            InvalidToken: It is another, there is none, or it can't be read; or the token isn't bound, but has to be.
        """
        if thumbprint is None:
            if self.required:
                raise InvalidToken(Refusal.NO_CERTIFICATE_BINDING)
            return
        if not any(fields):
            raise InvalidToken(Refusal.NO_CERTIFICATE)
        if len(fields) > 1 or len(fields[0]) > MOST:
            raise InvalidToken(Refusal.BAD_CERTIFICATE)
        try:
            digest = self._digest(fields[0])
        except ValueError as error:
            raise InvalidToken(Refusal.BAD_CERTIFICATE) from error
        if not compare_digest(urlsafe_b64encode(digest).removesuffix(b"="), thumbprint.encode(errors="surrogatepass")):
            raise InvalidToken(Refusal.OTHER_CERTIFICATE)


def _digest_of_pem(value: str) -> bytes:
    found = _PEM.fullmatch(unquote_to_bytes(value))  # which leaves + as it is
    if not found:
        raise ValueError
    return _digest_of_der(b"".join(found[1].split()))


def _digest_of_byte_sequence(value: str) -> bytes:
    if not (value.startswith(":") and value.endswith(":")):
        raise ValueError
    return _digest_of_der(value[1:-1].encode())


def _digest_of_element(value: str) -> bytes:
    """The one SHA-256 that an element of Envoy's names, however often. What is named twice may be the client's work."""
    if not _ELEMENT.fullmatch(value):
        raise ValueError
    pairs = [(name.lower(), text.strip('"')) for name, text in _PAIR.findall(value)]
    digests = {bytes.fromhex(text) for name, text in pairs if name == "hash"}
    digests |= {_digest_of_pem(text) for name, text in pairs if name == "cert"}
    if [len(digest) for digest in digests] != [32]:
        raise ValueError
    return digests.pop()


def _digest_of_der(base64: bytes) -> bytes:
    der = b64decode(base64, validate=True)
    if not der:
        raise ValueError
    return sha256(der).digest()


_FORMS: dict[str, Callable[[str], bytes]] = {
    "x-forwarded-client-cert": _digest_of_element,
    "client-cert": _digest_of_byte_sequence,
}
_ONE = rb"-----BEGIN CERTIFICATE-----%s-----END CERTIFICATE-----\s*"
_BASE64 = rb"[A-Za-z0-9+/=\s]+"
_PEM = re.compile(rb"\s*" + _ONE % (rb"(" + _BASE64 + rb")") + rb"(?:" + _ONE % _BASE64 + rb")*")
_PAIR = re.compile(r'([A-Za-z]+)=("[^"\\]*(?:\\.[^"\\]*)*"|[^",;]*)(?:;|\Z)')
_ELEMENT = re.compile(rf"(?:{_PAIR.pattern})+")  # a comma would begin another
