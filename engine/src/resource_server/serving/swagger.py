"""Swagger UI, and the contract that it reads: the repository's, made concrete.

Version 5 comes from flask-swagger-ui, of which only the plain files are used; version 4, which shows OpenAPI 3.0 only,
from swagger-ui-bundle. A strict content security policy holds. The issuer's endpoints come from its metadata, which is
fetched when first asked for.
"""

import asyncio
import copy
import html
import json
import logging
import math
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from resource_server.contract.files import as_yaml
from resource_server.contract.spec import (
    Contract,
    claim_rules,
    declared_scopes,
    operations,
    security_schemes,
    takes_access_token,
)
from resource_server.serving.authorization import takes_proofs
from resource_server.serving.edge import own_path
from resource_server.serving.exchange import Page
from resource_server.tokens.issuer import Endpoints, Issuer, IssuerError
from resource_server.tokens.resource import ProtectedResource

logger = logging.getLogger(__name__)

_INDEX = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>%(title)s</title>
<link rel="stylesheet" href="swagger-ui.css">
<link rel="stylesheet" href="index.css">
<link rel="icon" type="image/png" href="favicon-32x32.png" sizes="32x32">
</head>
<body>
<div id="swagger-ui"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="swagger-ui-standalone-preset.js"></script>
<script src="swagger-initializer.js"></script>
</body>
</html>
"""

_INITIALIZER = """\
window.onload = function () {
  window.ui = SwaggerUIBundle({
    url: %(url)s,
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl],
    layout: "StandaloneLayout",
  });
  window.ui.initOAuth(%(oauth)s);
};
"""


class SwaggerUI:
    """Serves `/ui/`, `/openapi.json` and `/openapi.yaml` below a contract's base path, and leads `/` to the first.

    Args:
        contract: What is shown.
        base: Its base path.
        resource: Whose issuer people log in at, for its audience: without one Auth0 hands out an opaque token.
        version: Of Swagger UI, 4 or 5.
        client_id: The client that Swagger UI logs in as; without one its dialog asks.
        public_url: Where the server is reached from outside; by default the path that the request came by.
    """

    def __init__(
        self,
        contract: Contract,
        base: str,
        *,
        resource: ProtectedResource,
        version: int,
        client_id: str | None,
        public_url: str | None,
    ) -> None:
        self._contract = contract
        self._base = base
        self._resource = resource
        self._issuer = next(iter(resource.validator.issuers.values()), None)
        self._client_id = client_id
        self._public_url = public_url
        self._folder = _FOLDERS[version]()
        self._files = StaticFiles(directory=self._folder)
        self._styles = _styles(self._folder / "swagger-ui-standalone-preset.js")
        self._endpoints: Endpoints | None = None
        self._discovery: Future[None] | None = None
        self._discover_at = -math.inf
        self._texts: dict[tuple[str, str, Endpoints | None], bytes] = {}

    def pages(self) -> dict[str, Page]:
        """What is answered, by path."""
        ui = f"{self._base}/ui"
        names = [path.relative_to(self._folder) for path in self._folder.rglob("*") if path.is_file()]
        return {f"{ui}/{file.as_posix()}": self._file for file in names} | {
            "/": self._redirect,
            ui: self._redirect,
            f"{ui}/": self._index,
            f"{ui}/index.html": self._index,
            f"{ui}/swagger-initializer.js": self._initializer,
            f"{self._base}/openapi.json": self._json,
            f"{self._base}/openapi.yaml": self._yaml,
        }

    async def _redirect(self, scope: Scope) -> Response:
        return RedirectResponse(f"{_prefix(scope)}{self._base}/ui/")

    async def _index(self, _: Scope) -> Response:
        title = html.escape(self._contract["info"]["title"])
        page = _INDEX % {"title": title}
        return Response(page, media_type="text/html", headers=await self._policy("'self'"))

    async def _initializer(self, scope: Scope) -> Response:
        oauth = {
            "clientId": self._client_id or "",
            "scopes": declared_scopes(self._contract),
            "usePkceWithAuthorizationCodeGrant": True,
            "additionalQueryStringParams": {"audience": self._resource.validator.audience},
        }
        url = f"{_prefix(scope)}{self._base}/openapi.json"
        script = _INITIALIZER % {"url": json.dumps(url), "oauth": json.dumps(oauth)}
        return Response(script, media_type="text/javascript", headers=_NO_CACHE)

    async def _file(self, scope: Scope) -> Response:
        name = own_path(scope).removeprefix(f"{self._base}/ui/")
        response = await self._files.get_response(name, scope)
        if response.headers.get("content-type", "").startswith("text/html"):
            redirect = name == "oauth2-redirect.html"
            response.headers.update(await self._policy(_scripts(self._folder / name) if redirect else "'none'"))
        return response

    async def _json(self, scope: Scope) -> Response:
        text = await self._contract_as("json", json.dumps, scope)
        return Response(text, media_type="application/json", headers=_NO_CACHE)

    async def _yaml(self, scope: Scope) -> Response:
        text = await self._contract_as("yaml", as_yaml, scope)
        return Response(text, media_type="text/yaml", headers=_NO_CACHE)

    async def _contract_as(self, form: str, dump: Callable[[Contract], str], scope: Scope) -> bytes:
        """The contract with this server's URL and the issuer's endpoints, as text."""
        server = f"{self._public_url or _prefix(scope)}{self._base}" or "/"
        wanted = (form, server, await self._discover())
        if wanted not in self._texts:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            text = await asyncio.to_thread(lambda: dump(self._concrete(server, wanted[2])))  # seconds, if it is long
            self._texts[wanted] = text.encode()
        return self._texts[wanted]

    def _concrete(self, server: str, endpoints: Endpoints | None) -> Contract:
        contract = copy.deepcopy(self._contract)
        contract["servers"] = [{"url": server}]
        _describe_claims(contract)
        urls = {"authorizationUrl": endpoints.authorization, "tokenUrl": endpoints.token} if endpoints else {}
        for scheme in contract.get("components", {}).get("securitySchemes", {}).values():
            for flow in scheme.get("flows", {}).values():
                flow.update({name: url for name, url in urls.items() if name in flow})
            if takes_proofs(scheme) and "DPoP" in self._resource.protection.schemes:
                required = "Bearer" not in self._resource.protection.schemes
                scheme["x-dpop"] = {"required": required, "algorithms": list(self._resource.protection.algorithms)}
        return contract

    async def _discover(self) -> Endpoints | None:
        """The first issuer's endpoints; until it has named them, after a second at the most, those it should have.

        If only a resolver names issuers, there are none, and the contract keeps its own.
        """
        if self._issuer is None:
            return None
        if self._endpoints is None and time.monotonic() >= self._discover_at:
            self._discover_at = time.monotonic() + _DISCOVERY_INTERVAL
            self._discovery = Future()
            # A daemon: a server that stops doesn't wait for an issuer.
            threading.Thread(target=self._ask_issuer, args=(self._issuer, self._discovery), daemon=True).start()
        if self._endpoints is None and self._discovery:
            await asyncio.wait([asyncio.wrap_future(self._discovery)], timeout=1)
        return self._endpoints or self._issuer.usual_endpoints()

    def _ask_issuer(self, issuer: Issuer, discovery: "Future[None]") -> None:
        try:
            discovery.set_running_or_notify_cancel()
            self._endpoints = issuer.endpoints()
        except IssuerError as error:
            logger.warning("Swagger UI guesses where people log in: %s", error)
        finally:
            discovery.set_result(None)

    async def _policy(self, scripts: str) -> dict[str, str]:
        endpoints = await self._discover()
        token = urlsplit(endpoints.token) if endpoints else None
        asked = f" {token.scheme}://{token.netloc}" if token else ""
        policy = (
            f"default-src 'none'; script-src {scripts}; style-src {self._styles}; img-src 'self' data:; "
            f"connect-src 'self'{asked}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return {"Content-Security-Policy": policy, **_NO_CACHE}


def _describe_claims(contract: Contract) -> None:
    """Say in the description of each operation what its access token's claims must be."""
    schemes = security_schemes(contract)
    for _, _, operation, security in operations(contract):
        if takes_access_token(security, schemes) and (rules := claim_rules(contract, operation)):
            needed = f"Needs an access token of which {', and '.join(map(str, rules))}."
            before = operation.get("description", "")
            if needed not in before:  # paths may share an operation
                cast(dict[str, Any], operation)["description"] = f"{before}\n\n{needed}".strip()


_MAX_TEXTS = 16
_DISCOVERY_INTERVAL = 30.0  # seconds between attempts while the issuer can't be asked
_NO_CACHE = {"Cache-Control": "no-cache"}


def _prefix(scope: Scope) -> str:
    """The path that a proxy has put in front of the application's."""
    return str(scope.get("root_path", "")).rstrip("/")


def _scripts(page: Path) -> str:
    """What allows a page's own scripts: those within, by their hashes (CSP 3, section 8.3), or files."""
    return _hashes(re.findall(r"(?s)<script>(.+?)</script>", page.read_text())) or "'self'"


def _styles(script: Path) -> str:
    """What allows the styles of the files, and the one that a script writes into the page, for its logo."""
    written = re.findall(r'\("style",null,"([^"]+)"\)', script.read_text())
    return f"'self' {_hashes(written)}".strip()


def _hashes(inline: Iterable[str]) -> str:
    return " ".join(f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in inline)


def _bundle() -> Path:
    import swagger_ui_bundle

    return Path(swagger_ui_bundle.swagger_ui_path)


_FOLDERS: Mapping[int, Callable[[], Path]] = {
    4: _bundle,
    5: lambda: Path(str(files("flask_swagger_ui"))) / "dist",
}
"""By version, where its files are."""
