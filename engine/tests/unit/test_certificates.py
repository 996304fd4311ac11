"""Certificates that tokens are bound to (RFC 8705, section 3): every form, and what is made of what is none."""

import asyncio
import time
from collections.abc import Callable
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resource_server.tokens import Auth0JWTBearerTokenValidator, Credentials, DPoP, MutualTLS, SQLiteReplayCache
from resource_server.tokens.certificates import MOST
from resource_server.tokens.claims import bound_to
from resource_server.tokens.errors import InvalidProof, InvalidToken, Refusal
from resource_server.tokens.wsgi import certificates_in, peer_in
from tests.cases import THOROUGH
from tests.certificates import Certificate
from tests.proofs import Prover
from tests.tenant import AUDIENCE, Tenant, streamed

PEM, XFCC, RFC9440 = "X-Client-Certificate", "X-Forwarded-Client-Cert", "Client-Cert"
PROXIES = ("127.0.0.0/8",)
OWN, OTHER = Certificate(), Certificate()
NONE, BAD, WRONG = Refusal.NO_CERTIFICATE, Refusal.BAD_CERTIFICATE, Refusal.OTHER_CERTIFICATE

Case = tuple[str, str, tuple[str, ...], Refusal | None]

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
UNQUOTED = "By=spiffe://a;{};URI={}"

# name, header field, its values, how a token is refused that is bound to OWN
CASES: list[Case] = [
    ("PEM: nginx", PEM, (OWN.nginx,), None),
    ("PEM: Amazon", PEM, (OWN.alb,), None),
    ("PEM: by Amazon's own name", "X-Amzn-Mtls-Clientcert", (OWN.alb,), None),
    ("PEM: not escaped, on one line", PEM, (OWN.pem.replace("\n", " "),), None),
    ("PEM: CRLF", PEM, (OWN.nginx.replace("%0A", "%0D%0A"),), None),
    ("PEM: escapes in small letters", PEM, (OWN.nginx.replace("%2B", "%2b").replace("%2F", "%2f"),), None),
    ("PEM: the client's first of a chain", PEM, (OWN.nginx + OTHER.nginx,), None),
    ("PEM: the client's first of three", PEM, (OWN.alb + OTHER.alb + OTHER.alb,), None),
    ("PEM: white space around", PEM, (f" {OWN.nginx} ",), None),
    ("PEM: another", PEM, (OTHER.nginx,), WRONG),
    ("PEM: the victim's as an authority of a chain", PEM, (OTHER.nginx + OWN.nginx,), WRONG),
    ("PEM: no field", PEM, (), NONE),
    ("PEM: an empty field", PEM, ("",), NONE),
    ("PEM: two fields", PEM, (OWN.nginx, OWN.nginx), BAD),
    ("PEM: two fields, one empty", PEM, (OWN.nginx, ""), BAD),
    ("PEM: two fields, as WSGI joins them", PEM, (f"{OWN.nginx},{OWN.nginx}",), BAD),
    ("PEM: Apache without a certificate", PEM, ("(null)",), BAD),
    ("PEM: a blank", PEM, ("%20",), BAD),
    ("PEM: escaped twice", PEM, (OWN.nginx.replace("%", "%25"),), BAD),
    ("PEM: escapes that are none", PEM, (OWN.nginx.replace("%0A", "%ZZ"),), BAD),
    ("PEM: an escape cut off", PEM, (OWN.nginx + "%",), BAD),
    ("PEM: without its end", PEM, (OWN.nginx[:-20],), BAD),
    ("PEM: without its beginning", PEM, (OWN.nginx[20:],), BAD),
    ("PEM: half of it", PEM, (BEGIN + OWN.base64[:101] + END,), BAD),
    ("PEM: nothing in it", PEM, (f"{BEGIN}%0A{END}",), BAD),
    ("PEM: a key", PEM, (OWN.nginx.replace("CERTIFICATE", "PUBLIC%20KEY"),), BAD),
    ("PEM: trusted certificate", PEM, (OWN.nginx.replace("CERTIFICATE", "TRUSTED%20CERTIFICATE"),), BAD),
    ("PEM: something before", PEM, (f"x{OWN.nginx}",), BAD),
    ("PEM: something behind", PEM, (f"{OWN.nginx}x",), BAD),
    ("PEM: not base64", PEM, (f"{BEGIN}MIIB*{END}",), BAD),
    ("PEM: base64url", PEM, (OWN.alb.replace("+", "-").replace("/", "_"),), BAD),
    ("PEM: base64 with padding within", PEM, (f"{BEGIN}{OWN.base64[:40]}=={OWN.base64[40:]}{END}",), BAD),
    ("PEM: NUL", PEM, (OWN.nginx.replace("%0A", "%00"),), BAD),
    ("PEM: not ASCII", PEM, (f"{OWN.nginx}\xff",), BAD),
    ("PEM: a thumbprint for a certificate", PEM, (OWN.thumbprint,), BAD),
    ("PEM: as RFC 9440 has it", PEM, (OWN.rfc9440,), BAD),
    ("PEM: as Envoy has it", PEM, (OWN.envoy,), BAD),
    ("PEM: as long as may be", PEM, (OWN.nginx + "%20" + " " * (MOST - len(OWN.nginx) - 3),), None),
    ("PEM: too long", PEM, (OWN.nginx + "%20" + " " * (MOST - len(OWN.nginx) - 2),), BAD),
    ("PEM: much too long", PEM, (OWN.nginx * 200,), BAD),
    ("RFC 9440: its form", RFC9440, (OWN.rfc9440,), None),
    ("RFC 9440: another", RFC9440, (OTHER.rfc9440,), WRONG),
    ("RFC 9440: no field", RFC9440, (), NONE),
    ("RFC 9440: empty", RFC9440, ("",), NONE),
    ("RFC 9440: nothing", RFC9440, ("::",), BAD),
    ("RFC 9440: one colon", RFC9440, (":",), BAD),
    ("RFC 9440: no colons", RFC9440, (OWN.base64,), BAD),
    ("RFC 9440: none behind", RFC9440, (f":{OWN.base64}",), BAD),
    ("RFC 9440: none before", RFC9440, (f"{OWN.base64}:",), BAD),
    ("RFC 9440: another character behind", RFC9440, (f":{OWN.base64}x",), BAD),
    ("RFC 9440: another character before", RFC9440, (f"x{OWN.base64}:",), BAD),
    ("RFC 9440: two items", RFC9440, (f"{OWN.rfc9440}, {OWN.rfc9440}",), BAD),
    ("RFC 9440: parameters", RFC9440, (f"{OWN.rfc9440};a=1",), BAD),
    ("RFC 9440: white space within", RFC9440, (f":{OWN.base64[:64]} {OWN.base64[64:]}:",), BAD),
    ("RFC 9440: base64url", RFC9440, (OWN.rfc9440.replace("+", "-").replace("/", "_"),), BAD),
    ("RFC 9440: not base64", RFC9440, (":*:",), BAD),
    ("RFC 9440: not ASCII", RFC9440, (":\xff:",), BAD),
    ("RFC 9440: PEM", RFC9440, (OWN.nginx,), BAD),
    ("RFC 9440: two fields", RFC9440, (OWN.rfc9440, OWN.rfc9440), BAD),
    ("Envoy: all that it can tell", XFCC, (OWN.envoy,), None),
    ("Envoy: only the hash", XFCC, (OWN.hash,), None),
    ("Envoy: only the certificate", XFCC, (OWN.cert,), None),
    ("Envoy: the certificate without quotes", XFCC, (OWN.cert.replace('"', ""),), None),
    ("Envoy: keys without case", XFCC, (OWN.hash.replace("Hash", "hASH"),), None),
    ("Envoy: hash in capitals", XFCC, (f"Hash={sha256(OWN.der).hexdigest().upper()}",), None),
    ("Envoy: hash in quotes", XFCC, (f'Hash="{sha256(OWN.der).hexdigest()}"',), None),
    ("Envoy: a comma in quotes", XFCC, (f'{OWN.hash};Subject="CN=a,Hash=b"',), None),
    ("Envoy: an escaped quote", XFCC, (f'Subject="a\\",\\"";{OWN.hash}',), None),
    ("Envoy: the same hash twice", XFCC, (f"{OWN.hash};{OWN.hash}",), None),
    ("Envoy: another's", XFCC, (OTHER.envoy,), WRONG),
    ("Envoy: another's hash", XFCC, (OTHER.hash,), WRONG),
    ("Envoy: another's certificate", XFCC, (OTHER.cert,), WRONG),
    ("Envoy: no field", XFCC, (), NONE),
    ("Envoy: empty", XFCC, ("",), NONE),
    ("Envoy: two elements", XFCC, (f"{OWN.envoy},{OTHER.envoy}",), BAD),
    ("Envoy: two elements, the other way round", XFCC, (f"{OTHER.envoy},{OWN.envoy}",), BAD),
    ("Envoy: the same element twice", XFCC, (f"{OWN.hash},{OWN.hash}",), BAD),
    ("Envoy: two fields", XFCC, (OWN.hash, OWN.hash), BAD),
    ("Envoy: an empty element behind", XFCC, (f"{OWN.hash},",), BAD),
    ("Envoy: an empty element before", XFCC, (f",{OWN.hash}",), BAD),
    ("Envoy: two hashes", XFCC, (f"{OTHER.hash};{OWN.hash}",), BAD),
    ("Envoy: two hashes, one in small letters", XFCC, (f"{OTHER.hash};{OWN.hash.lower()}",), BAD),
    ("Envoy: two certificates", XFCC, (f"{OTHER.cert};{OWN.cert}",), BAD),
    ("Envoy: hash and certificate of two", XFCC, (f"{OTHER.hash};{OWN.cert}",), BAD),
    ("Envoy: a hash in the client's own URI", XFCC, (UNQUOTED.format(OTHER.hash, f"x;{OWN.hash}"),), BAD),
    ("Envoy: a certificate in the client's own URI", XFCC, (UNQUOTED.format(OTHER.hash, f"x;{OWN.cert}"),), BAD),
    ("Envoy: an element in the client's own URI", XFCC, (UNQUOTED.format(OTHER.hash, f"x,{OWN.hash}"),), BAD),
    ("Envoy: a quote that a client has left open", XFCC, (f'{OWN.hash};Subject=",{OTHER.envoy}',), BAD),
    ("Envoy: a quote within a value", XFCC, (f'{OWN.hash};URI=x"y"',), BAD),
    ("Envoy: something behind a quote", XFCC, (f'{OWN.hash};Subject="x"y',), BAD),
    ("Envoy: neither hash nor certificate", XFCC, ("By=spiffe://a;URI=spiffe://b",), BAD),
    ("Envoy: chain only", XFCC, (f'Chain="{OWN.nginx}"',), BAD),
    ("Envoy: an empty hash", XFCC, ("Hash=",), BAD),
    ("Envoy: a short hash", XFCC, ("Hash=00",), BAD),
    ("Envoy: a hash between other characters", XFCC, (f"Hash=X{sha256(OWN.der).hexdigest()}X",), BAD),
    ("Envoy: a hash that is none", XFCC, ("Hash=xyz",), BAD),
    ("Envoy: an empty certificate", XFCC, ('Cert=""',), BAD),
    ("Envoy: no pairs", XFCC, ("x",), BAD),
    ("Envoy: PEM", XFCC, (OWN.nginx,), BAD),
    ("Envoy: as RFC 9440 has it", XFCC, (OWN.rfc9440,), BAD),
    ("Envoy: not ASCII", XFCC, (f"{OWN.hash};\xff=x",), BAD),
]


def refused(fields: tuple[str, ...], thumbprint: str | None, header: str = PEM, **options: bool) -> Refusal | None:
    try:
        MutualTLS(header, PROXIES, **options).check(fields, thumbprint)
    except InvalidToken as error:
        return error.refusal
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_certificate_is_the_one_or_is_refused(case: Case) -> None:
    _, header, fields, expected = case
    assert refused(fields, OWN.thumbprint, header) is expected
    assert refused(fields, OWN.thumbprint, header.upper()) is expected


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({case[0] for case in CASES}) == len(CASES) > 90


def test_plus_is_no_blank() -> None:
    assert refused((OWN.alb.replace("+", " "),), OWN.thumbprint) in (BAD, WRONG)


@pytest.mark.parametrize(
    "thumbprint",
    [
        *("", "=", "\xff", "\ud800", "x" * 43, "x" * 10_000, OWN.thumbprint[:-1], OWN.thumbprint.swapcase()),
        *(f"{OWN.thumbprint}=", f" {OWN.thumbprint}", f"{OWN.thumbprint}\n", sha256(OWN.der).hexdigest()),
    ],
)
def test_thumbprint_that_is_none_is_no_certificates(thumbprint: str) -> None:
    assert refused((OWN.nginx,), thumbprint) is WRONG
    assert refused((), thumbprint) is NONE


@pytest.mark.parametrize("fields", [(), ("",), ("x", "y"), (OWN.nginx,)])
def test_unbound_token_needs_no_certificate_unless_all_have_to_be_bound(fields: tuple[str, ...]) -> None:
    assert refused(fields, None) is None
    assert refused(fields, None, required=True) is Refusal.NO_CERTIFICATE_BINDING


def test_bound_token_is_checked_where_all_have_to_be_bound() -> None:
    assert refused((OWN.nginx,), OWN.thumbprint, required=True) is None
    assert refused((OTHER.nginx,), OWN.thumbprint, required=True) is WRONG


@THOROUGH
@given(
    st.sampled_from([PEM, XFCC, RFC9440]),
    st.lists(st.text() | st.text('Hashcert=,;"\\%:0A+/-'), max_size=2).map(tuple),
    st.text(),
)
def test_nothing_but_a_refusal_comes_of_any_text(header: str, fields: tuple[str, ...], thumbprint: str) -> None:
    assert refused(fields, thumbprint, header) in (NONE, BAD, WRONG)


@pytest.mark.parametrize("header", [PEM, XFCC, RFC9440])
@pytest.mark.parametrize("part", ["a", "=", ";", '"', '\\"', 'a="', "a=b;", " \n", f"{BEGIN}A{END}", BEGIN, "%0A"])
def test_time_is_linear_in_the_length(header: str, part: str) -> None:
    value = (part * MOST)[:MOST]
    began = time.process_time()
    for text in (value, f'{value[:-1]}"', f"{BEGIN}{value[: MOST - 60]}"):
        assert refused((text,), OWN.thumbprint, header) in (BAD, WRONG)
    assert time.process_time() - began < 0.2


def test_proxies_have_to_be_named() -> None:
    said = "Anybody can write a header field: name the proxies that certificates are believed from"
    with pytest.raises(ValueError, match=f"^{said}$"):
        MutualTLS(PEM, [])
    for proxy in ("proxy.example.com", "10.0.0.1/8", ""):
        with pytest.raises(ValueError, match=r"IPv4|host bits"):
            MutualTLS(PEM, ["127.0.0.1", proxy])


def test_certificate_is_in_no_text_of_credentials() -> None:
    assert "CERTIFICATE" not in repr(Credentials("Bearer", "x", certificates=(OWN.pem,)))


TEXT, BOUND = {"x5t#S256": OWN.thumbprint}, {"jkt": "x", "x5t#S256": OWN.thumbprint}


NOWHERE = (False,) * 4
UNUSABLE: list[object] = [
    *({**TEXT, name: "x"} for name in ("jwk", "jwe", "kid", "jku", "osc")),
    *({"x5t#S256": None}, {"x5t#S256": 1}, {"x5t#S256": True}, {"x5t#S256": [OWN.thumbprint]}, {"x5t#S256": TEXT}),
    *({"jkt": "x", "x5t#S256": None}, {"jkt": None, **TEXT}, {"jkt": 1, **TEXT}),
    *({}, None, [], [TEXT], "x", OWN.thumbprint, 1, {"x5t": "x"}, {"another": 1}),
]


@pytest.mark.parametrize(
    ("cnf", "taken"),  # as Bearer, as Bearer where certificates are looked at, as DPoP, as DPoP where they are
    [
        (TEXT, (False, True, False, True)),
        (BOUND, (False, False, False, True)),
        ({"jkt": "x"}, (False, False, True, True)),
        ({**TEXT, "another": {}}, (False, True, False, True)),  # RFC 7800, section 3.1
        *((cnf, NOWHERE) for cnf in UNUSABLE),
    ],
)
def test_what_is_not_looked_at_is_refused(cnf: Any, taken: tuple[bool, ...]) -> None:
    for (bearer, certificates), expected in zip(product((True, False), (False, True)), taken, strict=True):
        if expected:
            found = bound_to({"cnf": cnf}, bearer=bearer, certificates=certificates)
            assert found == (cnf.get("jkt"), cnf.get("x5t#S256"))
        else:
            with pytest.raises(InvalidToken) as error:
                bound_to({"cnf": cnf}, bearer=bearer, certificates=certificates)
            assert error.value.refusal is (Refusal.SENDER_CONSTRAINED if bearer else Refusal.OTHER_BINDING)


@pytest.mark.parametrize(("environ", "found"), [
    ({}, ()),
    ({"HTTP_X_CLIENT_CERTIFICATE": " x\t"}, ("x",)),
    ({"HTTP_X_CLIENT_CERTIFICATE": ""}, ("",)),
    ({"X_CLIENT_CERTIFICATE": "x"}, ()),
])  # fmt: skip
def test_environment_holds_the_field(environ: dict[str, str], found: tuple[str, ...]) -> None:
    assert certificates_in(environ, "x-client-certificate") == found


def test_peer_is_who_has_sent_the_request_whatever_a_middleware_makes_of_it() -> None:
    assert peer_in({}) is None
    assert peer_in({"REMOTE_ADDR": "10.0.0.1"}) == "10.0.0.1"
    assert peer_in({"REMOTE_ADDR": "10.0.0.1", "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "9.9.9.9"}}) == "9.9.9.9"


# The validator, with each of what tokens can be bound to.


class Validating:
    """A validator for each of some options, and tokens."""

    def __init__(self, path: str, **options: Any) -> None:
        self.tenant = Tenant()
        transport = httpx.MockTransport(lambda request: streamed(*self.tenant.answer(request.url.path)))
        dpop = options.pop("dpop", None)
        self.validator = Auth0JWTBearerTokenValidator(
            self.tenant.url, AUDIENCE, transport=transport, **options,
            dpop=None if dpop is None else DPoP(SQLiteReplayCache(path), required=dpop),
        )  # fmt: skip

    def refusal(self, scheme: str, cnf: Any, certificates: tuple[str, ...], prover: Prover | None = None) -> Any:
        """How it is refused, if it is; asked for twice in both ways, so that what is remembered is asked, too."""
        token = self.tenant.token(**({} if cnf is None else {"cnf": cnf}))
        return [self.ask(scheme, token, certificates, prover, later=later) for later in (False, True, False)]

    def ask(self, scheme: str, token: str, certificates: tuple[str, ...], prover: Prover | None, *, later: bool) -> Any:
        url = "https://api.example.com/a"
        proofs = (prover.headers(url, token)["DPoP"],) if prover else ()
        credentials = Credentials(scheme, token, proofs, "GET", url, certificates=certificates)
        try:
            if later:
                asyncio.run(self.validator.validate(credentials))
            else:
                self.validator.check(credentials)
        except (InvalidToken, InvalidProof) as error:
            return error.refusal
        return None


@pytest.fixture
def validating(tmp_path: Path) -> Callable[..., Validating]:
    return lambda **options: Validating(f"{tmp_path}/proofs.sqlite3", **options)


ALLOWED, REQUIRED = MutualTLS(PEM, PROXIES), MutualTLS(PEM, PROXIES, required=True)
GOOD, PROVER = (OWN.nginx,), Prover()
BOTH = {**PROVER.cnf, **OWN.cnf}


@pytest.mark.parametrize(
    ("options", "asked", "refusal"),
    [
        ({}, ("Bearer", OWN.cnf, GOOD, None), Refusal.SENDER_CONSTRAINED),
        ({"mtls": ALLOWED}, ("Bearer", OWN.cnf, GOOD, None), None),
        ({"mtls": ALLOWED}, ("Bearer", OWN.cnf, (), None), NONE),
        ({"mtls": ALLOWED}, ("Bearer", OWN.cnf, (OTHER.nginx,), None), WRONG),
        ({"mtls": ALLOWED}, ("Bearer", OWN.cnf, ("x",), None), BAD),
        ({"mtls": ALLOWED}, ("Bearer", None, GOOD, None), None),
        ({"mtls": ALLOWED}, ("Bearer", None, (), None), None),
        ({"mtls": ALLOWED}, ("Bearer", PROVER.cnf, GOOD, None), Refusal.SENDER_CONSTRAINED),
        ({"mtls": ALLOWED}, ("Bearer", BOTH, GOOD, None), Refusal.SENDER_CONSTRAINED),
        ({"mtls": REQUIRED}, ("Bearer", OWN.cnf, GOOD, None), None),
        ({"mtls": REQUIRED}, ("Bearer", None, GOOD, None), Refusal.NO_CERTIFICATE_BINDING),
        ({"mtls": ALLOWED}, ("DPoP", BOTH, GOOD, PROVER), Refusal.NOT_BOUND),  # no proof is looked at
        ({"mtls": ALLOWED, "dpop": False}, ("Bearer", OWN.cnf, GOOD, None), None),
        ({"mtls": ALLOWED, "dpop": False}, ("Bearer", BOTH, GOOD, PROVER), Refusal.SENDER_CONSTRAINED),
        ({"mtls": ALLOWED, "dpop": False}, ("DPoP", PROVER.cnf, (), PROVER), None),
        ({"mtls": ALLOWED, "dpop": False}, ("DPoP", OWN.cnf, GOOD, PROVER), Refusal.NOT_BOUND),
        ({"mtls": ALLOWED, "dpop": False}, ("DPoP", BOTH, GOOD, PROVER), None),
        ({"mtls": ALLOWED, "dpop": False}, ("DPoP", BOTH, (), PROVER), NONE),
        ({"mtls": ALLOWED, "dpop": False}, ("DPoP", BOTH, (OTHER.nginx,), PROVER), WRONG),
        ({"mtls": ALLOWED, "dpop": False}, ("DPoP", BOTH, GOOD, Prover()), Refusal.OTHER_KEY),
        ({"dpop": False}, ("DPoP", BOTH, GOOD, PROVER), Refusal.OTHER_BINDING),
        ({"mtls": ALLOWED, "dpop": True}, ("Bearer", OWN.cnf, GOOD, None), Refusal.NOT_BOUND),
        ({"mtls": REQUIRED, "dpop": False}, ("DPoP", PROVER.cnf, GOOD, PROVER), Refusal.NO_CERTIFICATE_BINDING),
        ({"mtls": REQUIRED, "dpop": True}, ("DPoP", BOTH, GOOD, PROVER), None),
        ({"mtls": REQUIRED, "dpop": True}, ("DPoP", PROVER.cnf, GOOD, PROVER), Refusal.NO_CERTIFICATE_BINDING),
        ({"mtls": REQUIRED, "dpop": True}, ("Bearer", OWN.cnf, GOOD, None), Refusal.NOT_BOUND),
    ],
)
def test_each_thing_that_a_token_is_bound_to_is_proven(
    validating: Callable[..., Validating], options: dict[str, Any], asked: tuple[Any, ...], refusal: Refusal | None
) -> None:
    assert validating(**options).refusal(*asked) == [refusal] * 3


def test_token_that_is_remembered_is_refused_with_another_certificate(validating: Callable[..., Validating]) -> None:
    subject = validating(mtls=ALLOWED)
    token = subject.tenant.token(cnf=OWN.cnf)
    found = [subject.ask("Bearer", token, fields, None, later=False) for fields in (GOOD, (OTHER.nginx,), (), GOOD)]
    assert found == [None, WRONG, NONE, None]
