"""The peers' own test suites: each case that is about a request, sent to an application of ours, byte for byte."""

import asyncio
import ipaddress
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
import uvicorn
from joserfc.jwk import Key, OctKey
from uvicorn.server import ServerState

from resource_server.developing.contract_tests.forging import key_like, segment, sign
from resource_server.serving.background import UVICORN
from resource_server.serving.http1 import Connection
from resource_server.settings import Settings
from resource_server.tokens.dpop import access_token_hash
from tests.processes import TESTS
from tests.sample import create_app
from tests.tenant import AUDIENCE

HEAD, *CASES = map(json.loads, (TESTS / "peers_suites.jsonl").read_text(encoding="utf-8").splitlines())

DISAGREEMENTS = {
    "Host": "RFC 9112, section 3.2: a bad Host is a 400, before anybody asks for credentials, needed or not.",
    "at+jwt": "RFC 9068, section 4: that is an access token's type. JWT is taken, too, as Auth0's tokens have it.",
    "bad proof": "RFC 9449, section 7.1: 401, and invalid_dpop_proof by section 4.3, also for none and for several.",
    "bad token": "RFC 6750, section 3.1: 401, invalid_token. Whether proof or token comes first, RFC 9449 leaves open.",
    "bound token as Bearer": "RFC 9449, section 7.2: who knows what the token is bound to must refuse it as Bearer.",
    "dot segments": "RFC 9449, section 4.3: one SHOULD normalize. Not here: servers take such segments for data, too.",
    "exp": "RFC 9068, section 2.2: it is required. RFC 7519, section 4.1.4: it ends the token on that very second.",
    "forwarded host": "RFC 9449, section 4.3: the URI is what counts. PUBLIC_URL says it, whatever a proxy adds.",
    "groups": "RFC 6750, section 3.1: the token is good, but lacks something: 403, insufficient_scope.",
    "iss and aud": "RFC 9068, section 4: both must be there and be the right ones.",
    "issuer spelled otherwise": "RFC 9068, section 4: `iss` must match exactly.",
    "issuer's fault": "RFC 9110, section 15.6.4: the token may be fine, so it is a 503.",
    "kid": "RFC 7515, section 4.1.4: it matches a key's. OpenID Connect Core, section 10.1: it chooses of several.",
    "malformed credentials": "RFC 6750, section 3.1, RFC 9449, figure 19: 400, invalid_request.",
    "no credentials": "RFC 6750, section 3.1: 401 without an error code, also for a scheme that isn't spoken.",
    "optional claims": "RFC 7519, section 4.1.5: nbf is one. RFC 9068, section 4: iat, auth_time, amr go unchecked.",
    "optional credentials": "RFC 6750, section 3.1: a token that is sent must be good, even where none is needed.",
    "other bindings": "RFC 8705, section 3, RFC 7800, section 3.1: what can't be confirmed is a 401, invalid_token.",
    "path": "RFC 3986, sections 2.2 and 3.3: an escaped slash is none, an empty segment is one.",
    "policy on proofs": "RFC 9449, section 4.3, items 5 and 11: algorithms and the time window are ours to say.",
    "proof beside a Bearer token": "RFC 9449, section 7.2: only bound tokens are refused. Other fields mean nothing.",
    "scope and scp": "TOKEN_SCOPE_CLAIMS (docs/settings.md): the claims that grant scopes are added up.",
    "shared secret": "RFC 9068, section 2.1: asymmetric is recommended. Who can verify a MAC can issue tokens.",
    "spelling of htu": "RFC 3986, sections 2 and 6.2.2, RFC 9110, section 4.2.4: ASCII, one spelling, no user.",
    "token elsewhere": "RFC 6750, section 2: only the header field must be taken. RFC 9700, section 4.3.2: no query.",
    "wrong key": "RFC 9449, figure 16: it is the token that is bound to another key, or to none: invalid_token.",
}
"""The kinds of difference, and what decides each."""

ISSUER, PUBLIC_URL = "https://tenant.example.com/", "https://api.example.com"
METHODS = ("get", "post", "put", "patch", "delete", "options")
BODIES = FORM, *_ = "application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data"
SCOPED = list(dict.fromkeys(json.dumps(case["request"]["scopes"]) for case in CASES if "scopes" in case["request"]))
"""What recipes need: any of some texts, and all the scopes that a text names."""
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    **{f"/scoped/{i}": [{"oauth2": each.split()} for each in json.loads(said)] for i, said in enumerate(SCOPED)},
    "/optional": [{}, {"oauth2": []}],
    "/public": [],
    "/{rest}": [{"oauth2": []}],
}
OF_APPLICATIONS = ("app", "keys", "jwks", "metadata", "down")


async def answer(**_: Any) -> dict[str, Any]:
    return {}


def contract(*, scoped: bool) -> dict[str, Any]:
    """Operations of all methods at any path; or those that need scopes."""
    scopes = {name: name for each in SECURITY.values() for needs in each for name in needs.get("oauth2", [])}
    flow = {"tokenUrl": f"{ISSUER}oauth/token", "scopes": scopes}
    scheme = {"type": "oauth2", "x-tokenInfoFunc": "security.token_info", "flows": {"clientCredentials": flow}}
    rest = {"name": "rest", "in": "path", "required": True, "schema": {"type": "string", "format": "path"}}
    body: dict[str, Any] = {"requestBody": {"content": {each: {} for each in BODIES}}}
    answers = {"responses": {"200": {"description": "Fine.", "content": {"application/json": {}}}}}
    paths: dict[str, Any] = {}
    for i, (path, security) in enumerate(SECURITY.items()):
        if scoped == path.startswith("/scoped"):
            paths[path] = {"parameters": [rest]} if "{" in path else {}
            for method in METHODS[: 2 if scoped else None]:
                globals()[f"{method}_{i}"] = answer
                operation = {"operationId": f"{method}_{i}", "security": security, **answers}
                paths[path][method] = operation | (body if method in ("post", "put", "patch") else {})
    head = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "x-openapi-router-controller": __name__}
    return {**head, "components": {"securitySchemes": {"oauth2": scheme}}, "paths": paths}


@cache
def key(name: str) -> Key:
    """The key of a name like `RS256`, or `RS256 other`, which begins with what it signs with."""
    alg = name.partition(" ")[0]
    return OctKey.generate_key(512) if alg.startswith("HS") else key_like(alg)


def public(name: str, **members: str) -> dict[str, Any]:
    return {**key(name).as_dict(private=name.startswith("HS")), **members}


@cache
def application(said: str) -> uvicorn.Config:
    """An application with the settings `app`, whose issuers publish `keys` and `metadata`, or are `down`."""
    recipe = json.loads(said)
    given = {"issuers": [ISSUER], "audience": AUDIENCE, "public_url": PUBLIC_URL, "port": 0, **recipe.get("app", {})}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    given["trusted_proxies"] = tuple(map(ipaddress.ip_network, given.get("trusted_proxies", ())))
    keys = [public(name, **({"kid": kid} if kid else {})) for kid, name in recipe.get("keys", {"": "RS256"}).items()]

    def issuer(request: httpx.Request) -> httpx.Response:
        if recipe.get("down"):
            raise httpx.ConnectError("down", request=request)
        if not request.url.path.endswith("openid-configuration"):
            return httpx.Response(200, json=recipe.get("jwks", {"keys": keys}))
        url = str(request.url).partition(".well-known")[0]
        url = url.rstrip("/") if url.rstrip("/") in given["issuers"] else url
        metadata = {"issuer": url, "jwks_uri": f"{url.rstrip('/')}/jwks.json", **recipe.get("metadata", {})}
        return httpx.Response(200, json=resolved(metadata, {}))

    with TemporaryDirectory() as folder:
        spec = Path(folder) / "openapi.json"
        spec.write_text(json.dumps(contract(scoped="scopes" in recipe)))
        app = create_app(Settings(**given, transport=httpx.MockTransport(issuer)), specification=spec)
    config = uvicorn.Config(app, log_config=None, **UVICORN)
    config.load()
    return config


def resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """A recipe's value: times like `now+60` as numbers, names in braces as what is known by them, without `null`."""
    if isinstance(value, dict):
        return {name: resolved(each, known) for name, each in value.items() if each is not None}
    if isinstance(value, str) and re.fullmatch(r"now[+-]\d+", value):
        return int(time.time()) + int(value[3:])
    return known.get(value, value) if isinstance(value, str) else value


def made(recipe: Mapping[str, Any], header: dict[str, Any], claims: dict[str, Any], known: Mapping[str, Any]) -> str:
    """A JWT with a recipe's `header`, `claims` and `key`, or all of `head` or `payload`; then changed to `text`."""
    name = recipe.get("key", "RS256")
    alg = name.partition(" ")[0]
    head = json.dumps(resolved({"alg": alg, **header, **recipe.get("header", {})}, known))
    body = json.dumps(resolved({**claims, **recipe.get("claims", {})}, known))
    parts = recipe.get("head", head).encode(), recipe.get("payload", body).encode()
    unsigned = f"{segment(parts[0])}.{segment(parts[1])}."
    jwt = unsigned if name == "none" else sign(*parts, key(name), alg)
    text = str(recipe.get("text", "{jwt}")).replace("{jwt}", jwt)
    for place, part in zip(("{header}", "{payload}", "{signature}"), jwt.split("."), strict=True):
        text = text.replace(place, part)
    return text


def message(recipe: Mapping[str, Any]) -> bytes:
    """The request of a recipe, as it goes over the wire; `{}` in it stands for the token."""
    proofs = recipe.get("proof", [])
    proofs = proofs if isinstance(proofs, list) else [proofs]
    method, path = recipe.get("method", "GET"), recipe.get("path", "/resource")
    path = f"/scoped/{SCOPED.index(json.dumps(recipe['scopes']))}" if "scopes" in recipe else path
    bound = recipe.get("bound", next((each.get("key", "ES256 client") for each in proofs), None))
    known = {"{jkt}": bound and key(bound).thumbprint(), "{private}": key("ES256 client").as_dict(private=True)}
    known["{cnf}"] = {"jkt": known["{jkt}"]}
    claims = {"iss": ISSUER, "sub": "ada", "aud": AUDIENCE, "iat": "now+0", "exp": "now+3600"}
    token = made(recipe.get("token", {}), {"typ": "JWT"}, {**claims, **({"cnf": "{cnf}"} if bound else {})}, known)
    url, sent = recipe.get("app", {}).get("public_url", PUBLIC_URL) + path.partition("?")[0], []
    for each in proofs:
        name, ath = each.get("key", "ES256 client"), access_token_hash(token)
        says = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": "now+0", "ath": ath}
        known["{jwk}"] = public(name)
        sent.append(made({"key": name, **each}, {"typ": "dpop+jwt", "jwk": "{jwk}"}, says, known))
    sent = [recipe["dpop"].format(*sent)] if "dpop" in recipe else sent
    fields = [("Host", recipe.get("host", "api.example.com")), ("Connection", "close")]
    fields += [("Authorization", each) for each in recipe.get("authorization", ["DPoP {}" if sent else "Bearer {}"])]
    fields += [*(("DPoP", proof) for proof in sent), *recipe.get("fields", {}).items()]
    body = str(recipe.get("body", "")).replace("{}", token)
    fields += [("Content-Type", recipe.get("type", FORM)), ("Content-Length", str(len(body)))] if body else []
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields if value is not None)]
    return ("\r\n".join([*lines, "", ""]).replace("{}", token) + body).encode("latin-1")


class Wire(asyncio.Transport):
    """What a connection writes to, in place of a socket."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 5)})
        self.written, self.ended = bytearray(), asyncio.Event()
        self.write = self.written.extend  # type: ignore[method-assign, assignment]
        self.write_eof, self.is_closing = self.ended.set, self.ended.is_set  # type: ignore[method-assign]
        self.pause_reading = self.resume_reading = lambda: None  # type: ignore[method-assign]


async def exchanged(app: uvicorn.Config, request: bytes) -> str:
    """The head of the answer to a request, by the server's own protocol."""
    connection, wire = Connection(app, ServerState(), {}), Wire()
    connection.connection_made(wire)
    connection.data_received(request)
    await asyncio.wait_for(wire.ended.wait(), 10)
    connection.connection_lost(None)
    return wire.written.partition(b"\r\n\r\n")[0].decode("latin-1")


def outcome(recipe: Mapping[str, Any]) -> str:
    """What we answer: `ok`, or the status and what a challenge has for an error."""
    said = {name: recipe[name] for name in OF_APPLICATIONS if name in recipe}
    app = application(json.dumps(said | ({"scopes": []} if "scopes" in recipe else {})))
    request = message(recipe)
    *_, head = [asyncio.run(exchanged(app, request)) for _ in range(recipe.get("times", 1))]
    status, error = head.split(" ")[1], re.search(r'(?im)^www-authenticate:.*\berror="(\w+)"', head)
    return "ok" if status == "200" else " ".join([status, *(error.groups() if error else ())])


def level(case: Mapping[str, Any]) -> str:
    """Whether our answer has all that the peer's suite says of its own: `ok`, `refused`, a status, a code."""
    theirs, ours = case["theirs"], case.get("ours", case["theirs"])
    if ours != "ok" if theirs == "refused" else set(theirs.split()) <= set(ours.split()):
        return "agree"
    return "differ" if "ok" in (theirs, ours) else "other code"


@pytest.mark.parametrize("case", CASES, ids=[f"{case['peer']} {case['test']}" for case in CASES])
def test_case_of_a_peer_has_the_outcome_that_is_written(case: dict[str, Any]) -> None:
    assert outcome(case["request"]) == case.get("ours", case["theirs"])
    assert ("differs" in case) == (level(case) != "agree")


def test_every_difference_is_of_a_kind_and_every_kind_is_there() -> None:
    assert {case["differs"] for case in CASES if "differs" in case} == set(DISAGREEMENTS)


def test_no_case_is_missing_or_there_twice() -> None:
    counted = Counter((case["peer"], level(case)) for case in CASES)
    assert counted == {(peer, each): n for peer, of in HEAD["counts"].items() for each, n in of.items() if n}
    assert len({(case["peer"], case["file"], case["test"]) for case in CASES}) == len(CASES)
