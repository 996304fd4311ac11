"""An authorization server for development, on Authlib's own, with Auth0's paths and tokens in Auth0's shape.

It gives a token to whoever asks, so it is for loopback addresses only, and production has no way to start it.
"""

import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from flask import Flask, Request, Response, abort, render_template, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.serving import WSGIRequestHandler, make_server

from resource_server.developing.clients import (
    CLIENTS,
    MACHINE,
    OIDC_SCOPES,
    AuthorizationCode,
    Client,
    User,
    sample_users,
)
from resource_server.developing.grants import (
    S256,
    AuthorizationCodes,
    ClientCredentials,
    has_a_challenge,
    names_one_audience,
)
from resource_server.developing.remembering import MemoryReplayCache
from resource_server.developing.signing import LIFETIME, SigningKeys
from resource_server.networks import is_local
from resource_server.tokens.dpop import PROOF_ALGORITHMS, DPoP
from resource_server.tokens.errors import QUOTABLE
from resource_server.tokens.issuer import is_loopback

SIGNING_ENDPOINT = "signing_endpoint"
"""The member of its metadata that says where it signs any claims, which no other issuer has."""


class DevelopmentIssuer(AuthorizationServer):  # type: ignore[misc]  # Authlib is not typed
    """The authorization server. Its state lives in memory and ends with it.

    Args:
        url: The issuer URL, with its final slash.
        scopes: Says what the API offers at the moment. The first sample user and the machine client may have all of it.
        claims: Says which further claims every token has at the moment.

    Raises:
        ValueError: The URL is not on a loopback address.
    """

    def __init__(
        self, url: str, scopes: Callable[[], Iterable[str]], claims: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        super().__init__()
        if not is_loopback(urlsplit(url).hostname or ""):
            raise ValueError(f"The development issuer is for loopback addresses only, not for {url}")
        self.url = url
        self.keys = SigningKeys()
        self._scopes = scopes
        self._claims = claims
        self.codes: dict[str, AuthorizationCode] = {}
        self.dpop = DPoP(MemoryReplayCache())
        self.register_grant(ClientCredentials)
        self.register_grant(AuthorizationCodes, [S256(required=True), names_one_audience, has_a_challenge])

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return f"{self.url}oauth/token"

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the API offers."""
        return tuple(self._scopes())

    @property
    def users(self) -> dict[str, User]:
        """The sample users, by `user_id`."""
        return sample_users(self.scopes)

    def query_client(self, client_id: str) -> Client | None:
        """Find a client, for Authlib."""
        return CLIENTS.get(client_id)

    def save_token(self, token: dict[str, Any], _: object) -> None:
        """Keep nothing: a JWT speaks for itself, and nothing accepts the opaque tokens."""

    def issue(
        self,
        client: Client,
        audience: str | None,
        scope: str,
        *,
        user: User | None = None,
        thumbprint: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The token response (RFC 6749, section 5.1), with what of the scope may be granted.

        Args:
            client: Who asks.
            audience: For which API; without one the token is opaque, as Auth0's is.
            scope: What is asked for. Nothing asked, nothing granted.
            user: On whose behalf.
            thumbprint: Of the key which the token is bound to (RFC 9449, section 6.1).
            claims: Claims in addition to Auth0's, or in place of them.
        """
        allowed = OIDC_SCOPES.union(user.scopes) if user else frozenset(self.scopes)
        granted = " ".join(dict.fromkeys(name for name in scope.split() if name in allowed))
        token = {
            "iss": self.url,
            "sub": user.user_id if user else f"{client.client_id}@clients",
            "aud": audience,
            "azp": client.client_id,
            **({"scope": granted} if granted else {}),
            **({} if user or "sub" in (claims or ()) else {"gty": "client-credentials"}),
            **self._claims(),
            **({"cnf": {"jkt": thumbprint}} if thumbprint else {}),
            **(claims or {}),
        }
        access_token = self.keys.sign(token) if audience else secrets.token_urlsafe(24)
        token_type = "DPoP" if thumbprint else "Bearer"
        response = {"access_token": access_token, "token_type": token_type, "expires_in": LIFETIME}
        return {**response, "scope": granted} if granted else response


class _Auth0Request(Request):
    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """Auth0's token endpoint takes JSON as well as a form."""
        if not self.is_json:
            return super().form
        members = self.get_json()
        members = members if isinstance(members, dict) else {}
        return ImmutableMultiDict({name: value for name, value in members.items() if isinstance(value, str)})


class _Endpoints:
    """The issuer's web pages, at Auth0's paths."""

    def __init__(self, issuer: DevelopmentIssuer) -> None:
        self._issuer = issuer

    def metadata(self) -> dict[str, Any]:
        url, scopes = self._issuer.url, self._issuer.scopes
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}authorize",
            "token_endpoint": self._issuer.token_endpoint,
            "jwks_uri": f"{url}.well-known/jwks.json",
            "scopes_supported": [*sorted(OIDC_SCOPES), *scopes],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "dpop_signing_alg_values_supported": sorted(PROOF_ALGORITHMS),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            SIGNING_ENDPOINT: f"{url}sign",
        }

    def key_set(self) -> dict[str, Any]:
        return self._issuer.keys.public()

    def login(self) -> str | tuple[str, int] | Response:
        try:
            grant = self._issuer.get_consent_grant()
        except OAuth2Error as error:
            if error.redirect_uri:
                refusal: Response = self._issuer.handle_error_response(None, error)
                return refusal
            return render_template("login.html", error=error.description or error.error), 400
        users = self._issuer.users.values()
        return render_template("login.html", users=users, client=grant.client, params=request.args)

    def authorize(self) -> str | tuple[str, int] | Response:
        user = self._issuer.users.get(request.form.get("user", ""))
        oauth2_request = self._issuer.create_oauth2_request(None)
        try:
            grant = self._issuer.get_authorization_grant(oauth2_request)
        except OAuth2Error:
            return self.login()
        response: Response = self._issuer.create_authorization_response(oauth2_request, grant_user=user, grant=grant)
        return response

    def token(self) -> Response:
        response: Response = self._issuer.create_token_response()
        return response

    def sign(self) -> dict[str, Any]:
        """A token with any claims, for contract tests: expired, for another audience, whatever is asked for."""
        asked = request.get_json()
        asked = asked if isinstance(asked, dict) else {}
        audience, claims = asked.get("audience"), asked.get("claims")
        if not isinstance(audience, str) or not isinstance(claims, dict):
            abort(400)
        return self._issuer.issue(MACHINE, audience, "", claims=claims)

    def rotate(self) -> dict[str, Any]:
        return {"kid": self._issuer.keys.rotate(withdraw="withdraw" in request.values)}


def issuer_app(issuer: DevelopmentIssuer) -> Flask:
    """The issuer's web application."""
    app = Flask(__name__)
    app.request_class = _Auth0Request
    app.before_request(_refuse_other_sites)
    app.before_request(_refuse_what_has_no_name)
    endpoints = _Endpoints(issuer)
    app.get("/.well-known/openid-configuration")(endpoints.metadata)
    app.get("/.well-known/jwks.json")(endpoints.key_set)
    app.get("/authorize")(endpoints.login)
    app.post("/authorize")(endpoints.authorize)
    app.post("/oauth/token")(endpoints.token)
    app.post("/sign")(endpoints.sign)
    app.post("/rotate")(endpoints.rotate)
    app.after_request(_guard_browsers)
    return app


def _refuse_what_has_no_name() -> None:
    """What an error couldn't name is refused at once (RFC 6749, section 4.1.2.1): Authlib would fail at it."""
    named = (request.values.get(name) for name in ("client_id", "redirect_uri", "response_type", "scope"))
    if not all(QUOTABLE.fullmatch(value) for value in named if value):
        abort(400)


def _refuse_other_sites() -> None:
    """No other site may bring its name to this address, or have a browser post here."""
    if not is_local(f"//{request.host}"):
        abort(400)
    if request.method == "POST" and not is_local(request.headers.get("Origin", "//localhost")):
        abort(403)


def _guard_browsers(response: Response) -> Response:
    """Let pages of this machine fetch tokens themselves: Swagger UI, single-page applications. No page frames ours."""
    response.headers["Content-Security-Policy"] = "frame-ancestors 'none'"
    response.headers["X-Frame-Options"] = "DENY"
    origin = request.headers.get("Origin", "")
    if is_local(origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, DPoP, X-Requested-With"
        response.vary.add("Origin")
    return response


def serve_in_background(listener: socket.socket, issuer: DevelopmentIssuer) -> None:
    """Serve an issuer on a listening socket until the process ends."""
    host, port = listener.getsockname()[:2]
    app = issuer_app(issuer)
    server = make_server(host, port, app, threaded=True, fd=listener.fileno(), request_handler=_QuietHandler)
    threading.Thread(target=server.serve_forever, name="development-issuer", daemon=True).start()


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Not logged: the query holds authorization codes, and the API's own log is what a developer reads."""
