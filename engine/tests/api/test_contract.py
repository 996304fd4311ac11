"""The contract: valid, honest about its operations, and refused with a useful sentence when it isn't."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from api import handlers
from resource_server.contract.loading import load_contract
from resource_server.contract.spec import ContractError, declared_scopes, operations, usage
from resource_server.settings import Settings
from tests.sample import SPECIFICATION, create_app

CONTRACT: dict[str, Any] = load_contract(SPECIFICATION).contract
SETTINGS = Settings(issuers=("https://tenant.example.com/",), audience="https://api.example.com")


def test_contract_declares_three_operations_and_one_scope() -> None:
    declared = {
        f"{method} {path}": (operation["operationId"], security)
        for method, path, operation, security in operations(CONTRACT)
    }
    assert declared == {
        "GET /api/public": ("api.handlers.public", []),
        "GET /api/private": ("api.handlers.private", [{"oauth2": []}]),
        "GET /api/private-scoped": ("api.handlers.private_scoped", [{"oauth2": ["read:messages"]}]),
    }
    assert declared_scopes(CONTRACT) == ["read:messages"]
    assert CONTRACT["security"] == [{"oauth2": []}]


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/api/public", handlers.public),
        ("/api/private", handlers.private),
        ("/api/private-scoped", handlers.private_scoped),
    ],
)
def test_examples_are_what_the_handlers_answer(path: str, handler: Callable[[], object]) -> None:
    media_type = CONTRACT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
    assert media_type["example"] == handler()


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    contract = copy.deepcopy(CONTRACT)
    change(contract)
    return contract


def private(contract: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = contract["paths"]["/api/private"]["get"]
    return operation


def scheme(contract: dict[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = contract["components"]["securitySchemes"]["oauth2"]
    return definition


def add_basic(contract: dict[str, Any]) -> None:
    contract["components"]["securitySchemes"]["token"] = {
        "type": "http",
        "scheme": "Bearer",
        "x-bearerInfoFunc": "security.token_info",
    }
    private(contract)["security"] = [{"token": ["read:messages"]}]


def add_second_oauth2(contract: dict[str, Any]) -> None:
    other = {**copy.deepcopy(scheme(contract)), "x-tokenInfoFunc": "api.handlers.private"}
    contract["components"]["securitySchemes"]["other"] = other
    private(contract)["security"] = [{"oauth2": [], "other": []}]


FILE = {"type": "string", "format": "binary"}


def limited(limit: int) -> dict[str, int]:
    return {"limit": limit}


COMPLAINTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another version": (
        lambda c: c.update(openapi="4.0.0"),
        "`openapi: 4.0.0` is not supported: write `openapi: 3.1.0`, or a version of 3.0 or 3.2 in quotes",
    ),
    "Swagger 2.0": (
        lambda c: (c.pop("openapi"), c.update(swagger="2.0")),
        "it is Swagger 2.0, and must be OpenAPI 3.0, 3.1 or 3.2: convert it, for example by `npx swagger2openapi",
    ),
    "no version": (lambda c: c.pop("openapi"), "it doesn't say which OpenAPI it is: write `openapi: 3.1.0`"),
    "invalid OpenAPI": (
        lambda c: c["info"].pop("title"),
        "it is not valid OpenAPI, at #/info: add 'title', which is required",
    ),
    "invalid OpenAPI of a parameter": (
        lambda c: private(c).update(parameters=[{"name": "x", "in": "query", "schema": {"type": "text"}}]),
        "it is not valid OpenAPI, at #/paths/~1api~1private/get/parameters/0/schema/type: ",
    ),
    "a brace that isn't closed": (
        lambda c: c["paths"].update({"/api/pri{vate": c["paths"].pop("/api/public")}),
        "/api/pri{vate: a parameter of a path is written like {name}",
    ),
    "no operationId": (
        lambda c: private(c).pop("operationId"),
        "GET /api/private: it has no operationId: name the function that handles it",
    ),
    "unknown function": (
        lambda c: private(c).update(operationId="api.handlers.privat"),
        "GET /api/private: operationId 'api.handlers.privat' can't be imported",
    ),
    "unknown module": (
        lambda c: private(c).update(operationId="nowhere.private"),
        "GET /api/private: operationId 'nowhere.private' can't be imported (ModuleNotFoundError: ",
    ),
    "not a function": (
        lambda c: private(c).update(operationId="resource_server.settings.SLASH_WARNING"),
        "GET /api/private: operationId 'resource_server.settings.SLASH_WARNING' can't be imported (it is not callable)",
    ),
    "an argument that the handler doesn't take": (
        lambda c: c["paths"].update(
            {
                "/api/private/{message-id}": {
                    "parameters": [
                        {"name": "message-id", "in": "path", "required": True, "schema": {"type": "string"}}
                    ],
                    **c["paths"].pop("/api/private"),
                }
            }
        ),
        "GET /api/private/{message-id}: api.handlers.private takes no argument 'message_id', which the path has",
    ),
    "a parameter of the query that the handler doesn't take": (
        lambda c: private(c).update(parameters=[{"name": "limit", "in": "query", "schema": {"type": "integer"}}]),
        "GET /api/private: api.handlers.private takes no argument 'limit', which the query has: add it, or",
    ),
    "an argument whose name is Python's": (
        lambda c: private(c).update(
            operationId=f"{__name__}.limited",
            parameters=[{"name": "Limit", "in": "query", "schema": {"type": "integer"}}],
        ),
        f"GET /api/private: {__name__}.limited takes no argument 'Limit', which the query has: add it, or have "
        "`make_app(…, pythonic_params=True)` call it 'limit'",
    ),
    "a body that is named beside it": (
        lambda c: private(c).update({"x-body-name": "limit"}, requestBody={"content": {"application/json": {}}}),
        "#/paths/~1api~1private/get/x-body-name: nothing reads it here: move it into the requestBody",
    ),
    "a body that is named in its schema": (
        lambda c: private(c).update(
            requestBody={"content": {"application/json": {"schema": {"x-body-name": "limit"}}}}
        ),
        "#/paths/~1api~1private/get/requestBody/content/application~1json/schema/x-body-name: nothing reads it here",
    ),
    "an argument that a request need not have": (
        lambda c: private(c).update(
            operationId=f"{__name__}.limited",
            parameters=[{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
        ),
        f"GET /api/private: {__name__}.limited asks for 'limit', which a request need not have: give the argument",
    ),
    "a file that a request need not have": (
        lambda c: private(c).update(
            operationId=f"{__name__}.limited",
            requestBody={
                "required": True,
                "content": {"multipart/form-data": {"schema": {"type": "object", "properties": {"limit": FILE}}}},
            },
        ),
        f"GET /api/private: {__name__}.limited asks for 'limit', which a request need not have: give the argument",
    ),
    "a range of media types that nothing is in": (
        lambda c: private(c).update(requestBody={"content": {"*/json": {}}}),
        "#/paths/~1api~1private/get/requestBody/content/*~1json: no media type is in '*/json': "
        "write it like image/png, image/*, application/*+json or */*",
    ),
    "a range of a form's field that nothing is in": (
        lambda c: private(c).update(
            requestBody={
                "content": {
                    "multipart/form-data": {
                        "schema": {"type": "object", "properties": {"a": FILE}},
                        "encoding": {"a": {"contentType": "image/png, image/j*"}},
                    }
                }
            }
        ),
        "#/paths/~1api~1private/get/requestBody/content/multipart~1form-data/encoding/a/contentType: "
        "no media type is in 'image/j*': write it like image/png",
    ),
    "a default that is none": (
        lambda c: private(c).update(
            operationId=f"{__name__}.limited",
            parameters=[{"name": "limit", "in": "query", "schema": {"type": "integer", "default": "5"}}],
        ),
        'GET /api/private: the default of its parameter \'limit\' is not one: "5" is not of type "integer"',
    ),
    "a function without its module": (
        lambda c: private(c).update(operationId="none"),
        "GET /api/private: operationId 'none' names no module: write it like api.handlers.none, or add",
    ),
    "a step-up that means nothing": (
        lambda c: private(c).update({"x-maxage": 60}),
        "#/paths/~1api~1private/get/x-maxage: it means nothing: write `x-max-age`, or another name",
    ),
    "another step-up that means nothing": (
        lambda c: private(c).update({"x-acr-value": "urn:example:mfa"}),
        "#/paths/~1api~1private/get/x-acr-value: it means nothing: write `x-acr-values`, or another name",
    ),
    "a validator that means nothing": (
        lambda c: scheme(c).update({"x-token-info-func": "security.token_info"}),
        "#/components/securitySchemes/oauth2/x-token-info-func: it means nothing: write `x-tokenInfoFunc`, or another",
    ),
    "a scheme without validator": (
        lambda c: scheme(c).pop("x-tokenInfoFunc"),
        "security scheme 'oauth2' has no validator: add x-tokenInfoFunc with the function that validates, like sec",
    ),
    "a validator that doesn't exist": (
        lambda c: scheme(c).update({"x-tokenInfoFunc": "security.tokeninfo"}),
        "security scheme 'oauth2': x-tokenInfoFunc 'security.tokeninfo' can't be imported",
    ),
    "an undeclared scope": (
        lambda c: private(c).update(security=[{"oauth2": ["write:messages"]}]),
        "GET /api/private: scope 'write:messages' is not declared by the security scheme 'oauth2': add it to its flows",
    ),
    "an undeclared scheme": (
        lambda c: private(c).update(security=[{"oauth3": []}]),
        "GET /api/private: security scheme 'oauth3' is not declared in components/securitySchemes",
    ),
    "a scope that nothing enforces": (
        add_basic,
        "GET /api/private: scopes are enforced for oauth2 schemes only, and 'token' is none: remove 'read:messages'",
    ),
    "two OAuth2 schemes at once": (
        add_second_oauth2,
        "GET /api/private: schemes whose tokens are validated by different functions can't both be required; a request",
    ),
    "a reference to nowhere": (
        lambda c: private(c)["responses"].update({"401": {"$ref": "#/components/responses/Nowhere"}}),
        "#/paths/~1api~1private/get/responses/401: $ref '#/components/responses/Nowhere' leads nowhere",
    ),
    "a reference to a file that isn't there": (
        lambda c: private(c)["responses"].update({"401": {"$ref": "nowhere.yaml#/x"}}),
        "#/paths/~1api~1private/get/responses/401: $ref 'nowhere.yaml#/x' leads nowhere: there is no such file",
    ),
    "a scope check of its own": (
        lambda c: scheme(c).update({"x-scopeValidateFunc": "api.handlers.private"}),
        "security scheme 'oauth2': x-scopeValidateFunc is not supported: check it in the function of x-tokenInfoFunc",
    ),
    "a scope that can't be one": (
        lambda c: scheme(c)["flows"]["clientCredentials"].update(scopes={'a"b': ""}),
        "security scheme 'oauth2': 'a\"b' can't be a scope (RFC 6749, section 3.3)",
    ),
    "an operation for TRACE": (
        lambda c: c["paths"]["/api/private"].update(trace={**private(c), "operationId": "api.handlers.trace"}),
        "TRACE /api/private: operations of this method can't be declared: TRACE would echo the access token",
    ),
    "an operationId twice": (
        lambda c: c["paths"]["/api/private"].update(head=private(c)),
        "HEAD /api/private: its operationId 'api.handlers.private' is that of GET /api/private, too",
    ),
    "a server without a slash": (
        lambda c: c.update(servers=[{"url": "v1"}]),
        "#/servers/0/url: its path must start with a slash",
    ),
    "a server variable without a default": (
        lambda c: c.update(servers=[{"url": "https://api.example.com/{version}"}]),
        "#/servers/0/url: its path must start with a slash, and each variable in it have a default",
    ),
    "a path of Swagger UI's": (
        lambda c: c["paths"].update({"/ui/": c["paths"].pop("/api/public")}),
        "/ui/: this path is taken, by Swagger UI or the contract itself",
    ),
    "an unsupported scheme": (
        lambda c: (c.update(openapi="3.1.0"), c["components"]["securitySchemes"].update(oauth2={"type": "mutualTLS"})),
        "GET /api/private: security schemes of type 'mutualTLS', like 'oauth2', are not supported: have a proxy check",
    ),
}


@pytest.mark.parametrize(("change", "complaint"), COMPLAINTS.values(), ids=COMPLAINTS.keys())
def test_contract_that_cannot_be_enforced_does_not_start(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(changed(change)))
    with pytest.raises(ContractError) as error:
        create_app(SETTINGS, specification=path)
    assert str(error.value).startswith(f"{path}: {complaint}")


def test_references_to_other_files_and_numbers_as_names_are_served(tmp_path: Path) -> None:
    contract = copy.deepcopy(CONTRACT)
    responses = contract["components"].pop("responses")
    (tmp_path / "responses.yaml").write_text(yaml.safe_dump(responses))
    for item in contract["paths"].values():
        for status, response in item["get"]["responses"].items():
            if "$ref" in response:
                item["get"]["responses"][status] = {
                    "$ref": response["$ref"].replace("#/components/responses/", "responses.yaml#/")
                }
    for response in responses.values():
        response.pop("headers")
        for media_type in response["content"].values():
            media_type["schema"] = {"type": "object"}
    (tmp_path / "responses.yaml").write_text(yaml.safe_dump(responses))
    private(contract)["responses"] = {
        int(status): response for status, response in private(contract)["responses"].items()
    }
    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(contract))
    app = create_app(SETTINGS, specification=path)
    assert [app.test_client().get(f"/api/{name}").status_code for name in ("public", "private")] == [200, 401]


def test_what_is_not_checked_is_said_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def declare(contract: dict[str, Any]) -> None:
        contract["components"]["schemas"]["Problem"]["properties"]["code"]["format"] = "shouting"
        private(contract)["requestBody"] = {"content": {"application/xml": {"schema": {"type": "object"}}}}

    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(changed(declare)))
    with caplog.at_level("INFO"):
        create_app(SETTINGS, specification=path)
    said = "#/paths/~1api~1private/get/requestBody/content/application~1xml: nothing validates application/xml"
    assert f"{said}; its handlers get bytes" in caplog.text
    assert "#/components/schemas/Problem/properties/code/format: nothing checks the format 'shouting'" in caplog.text


def test_what_looks_like_a_date_is_text(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(SPECIFICATION.read_text().replace("version: 1.0.0", "version: 2026-11-23"))
    assert load_contract(path).contract["info"]["version"] == "2026-11-23"
    assert create_app(SETTINGS, specification=path).test_client().get("/openapi.json").status_code == 200


def test_usage_names_methods_and_header_fields_behind_references_too() -> None:
    def declare(contract: dict[str, Any]) -> None:
        contract["components"]["parameters"] = {"Id": {"name": "X-Id", "in": "header", "schema": {"type": "string"}}}
        private(contract)["parameters"] = [{"$ref": "#/components/parameters/Id"}]
        contract["paths"]["/api/private"]["delete"] = private(contract)

    used = usage(changed(declare))
    assert (used.methods, used.request_headers) == ({"GET", "DELETE"}, {"X-Id"})
    assert used.response_headers == {"WWW-Authenticate", "Retry-After"}


@pytest.mark.parametrize("text", ["", "[]", "a: [", "openapi: 3.0.3", "\x00", "&a [*a]", "openapi: 3.0.3\nx: .nan"])
def test_contract_that_is_none_does_not_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(text)
    with pytest.raises(ContractError):
        load_contract(path)


def test_missing_contract_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"nowhere\.yaml: there is no such file"):
        load_contract(tmp_path / "nowhere.yaml")
