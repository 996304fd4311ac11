"""What a contract requires of claims (`x-claims`): whom it lets in, what it answers, and when it isn't served."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from resource_server.contract.loading import load_contract, read_contract
from resource_server.contract.spec import ContractError
from resource_server.developing.contract_tests.results import AUTHORIZATION, Verdict
from resource_server.serving.background import in_background
from resource_server.settings import Settings
from tests.contract_runs import failures, results
from tests.sample import SPECIFICATION, create_app
from tests.serving import catalogued
from tests.tenant import AUDIENCE, Tenant

MODULE = "handlers_of_claim_rules"
HANDLERS = """
from security import token_info as ours
def key_info(key): return {"sub": key} if key == "good" else None
async def own_info(token, request):
    if token == "opaque":
        return {"sub": "ada", "org_id": "org_1", "plan": "pro"}
    return await ours(token, request=request)
def answer(**_): return {"message": ""}
org = number = nested = plan = both = stepped = mixed = optional = own = public = answer
"""
ORG, NUMBER, NESTED, PLAN, BOTH = "/orgs/{org_id}", "/numbers/{number}", "/nested", "/plan", "/both"
STEPPED, MIXED, OPTIONAL, OWN, PUBLIC = "/stepped", "/mixed", "/optional", "/own", "/public"
TOKEN: list[dict[str, list[str]]] = [{"oauth2": []}]
OPERATIONS: dict[str, dict[str, Any]] = {
    ORG: {"security": TOKEN, "x-claims": {"org_id": {"equalsPathParameter": "org_id"}}},
    NUMBER: {"security": TOKEN, "x-claims": {"number": {"equalsPathParameter": "number"}}},
    NESTED: {
        "security": TOKEN,
        "x-claims": {
            "realm_access.roles": {"contains": "admin"},
            "https://example.com/app.tier": {"containsOneOf": ["gold", "silver"]},
        },
    },
    PLAN: {"security": TOKEN, "x-claims": {"plan": {"oneOf": ["pro", "team"]}, "email_verified": {"equals": True}}},
    BOTH: {"security": [{"oauth2": ["read:messages"]}], "x-claims": {"plan": {"equals": "pro"}}},
    STEPPED: {"security": TOKEN, "x-claims": {"plan": {"equals": "pro"}}, "x-acr-values": "mfa"},
    MIXED: {"security": [{"key": []}, {"oauth2": []}]},
    OPTIONAL: {"security": [{}, {"oauth2": []}]},
    OWN: {"security": [{"own": []}], "x-claims": {"org_id": {"equals": "org_1"}}},
    PUBLIC: {"security": []},
}
ALL = {"tenant_kind": {"equals": "customer"}}
"""What the whole contract requires, where it does."""


def with_rules(**members: Any) -> dict[str, Any]:
    """The contract, with operations that require claims."""
    contract = copy.deepcopy(read_contract(SPECIFICATION))
    template = contract["paths"]["/api/private"]["get"]
    template["responses"]["403"] = contract["paths"]["/api/private-scoped"]["get"]["responses"]["403"]
    template["responses"]["404"] = {"description": "There is none."}
    contract["paths"] = {}
    for path, given in OPERATIONS.items():
        operation = {**copy.deepcopy(template), **copy.deepcopy(given)}
        operation["operationId"] = f"{MODULE}.{path.split('/')[1].rstrip('s') if '{' in path else path[1:]}"
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": kind, **extra}}
            for name, kind, extra in (("org_id", "string", {"pattern": "^[a-z0-9_.]+$"}), ("number", "integer", {}))
            if f"{{{name}}}" in path
        ]
        contract["paths"][path] = {"get": operation}
    schemes = contract["components"]["securitySchemes"]
    schemes["key"] = {"type": "apiKey", "in": "header", "name": "X-Key", "x-apikeyInfoFunc": f"{MODULE}.key_info"}
    schemes["own"] = {"type": "http", "scheme": "bearer", "x-bearerInfoFunc": f"{MODULE}.own_info"}
    return {**contract, "openapi": "3.1.0", **members}


def written(contract: dict[str, Any], folder: Path) -> Path:
    path = folder / "openapi.yaml"
    path.write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def handlers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("claims")
    (folder / f"{MODULE}.py").write_text(HANDLERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


def serving(contract: dict[str, Any], folder: Path, tenant: Tenant, **given: Any) -> Any:
    settings = Settings(issuers=(tenant.url,), audience=AUDIENCE, specification=written(contract, folder), **given)
    return in_background(create_app(settings))


@pytest.fixture(scope="module")
def api(tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(with_rules(), tmp_path_factory.mktemp("api"), tenant) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def strict(tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The whole contract requires a claim."""
    contract = with_rules(**{"x-claims": ALL})
    with (
        serving(contract, tmp_path_factory.mktemp("strict"), tenant) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        yield client


def call(api: httpx.Client, tenant: Tenant, path: str, method: str = "GET", **claims: Any) -> httpx.Response:
    return api.request(method, path, headers={"Authorization": f"Bearer {tenant.token(**claims)}"})


ADMIN = {"realm_access": {"roles": ["user", "admin"]}}
GOLD = {"https://example.com/app": {"tier": ["gold"]}}


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("/orgs/org_1", {"org_id": "org_1"}),
        ("/orgs/7", {"org_id": 7}),
        ("/orgs/org%5F1", {"org_id": "org_1"}),
        ("/numbers/7", {"number": 7}),
        ("/numbers/7", {"number": "7"}),
        ("/numbers/007", {"number": 7}),
        (NESTED, {**ADMIN, **GOLD}),
        (NESTED, {**ADMIN, "https://example.com/app.tier": ["bronze", "silver"]}),
        (PLAN, {"plan": "team", "email_verified": True}),
        (BOTH, {"plan": "pro", "scope": "read:messages"}),
        (OWN, {"org_id": "org_1"}),
        (OPTIONAL, {}),
    ],
)
def test_token_with_the_claims_is_let_in(api: httpx.Client, tenant: Tenant, path: str, claims: dict[str, Any]) -> None:
    assert call(api, tenant, path, **claims).status_code == 200


@pytest.mark.parametrize(
    ("path", "claims", "told"),
    [
        ("/orgs/org_2", {"org_id": "org_1"}, "org_id"),
        ("/orgs/org_1", {}, "org_id"),
        ("/orgs/org_1", {"org_id": None}, "org_id"),
        ("/orgs/org_1", {"org_id": ["org_1"]}, "org_id"),
        ("/orgs/org_1", {"org_id": ["org_1", "org_2"]}, "org_id"),
        ("/orgs/ORG_1", {"org_id": "org_1"}, "org_id"),
        ("/orgs/org_1%20", {"org_id": "org_1"}, "org_id"),
        ("/orgs/org_1%2500", {"org_id": "org_1"}, "org_id"),
        ("/orgs/org_1;org_2", {"org_id": "org_1"}, "org_id"),
        ("/orgs/org_2?org_id=org_1", {"org_id": "org_1"}, "org_id"),
        ("/numbers/07", {"number": "07"}, "number"),  # the handler gets 7
        ("/numbers/+7", {"number": "+7"}, "number"),
        ("/numbers/8", {"number": 7}, "number"),
        ("/numbers/1", {"number": True}, "number"),
        ("/numbers/7", {"number": 7.0}, "number"),
        (NESTED, GOLD, "realm_access.roles"),
        (NESTED, {"realm_access": {"roles": "admin"}, **GOLD}, "realm_access.roles"),
        (NESTED, {"realm_access": "admin", **GOLD}, "realm_access.roles"),
        (NESTED, {"realm_access": [{"roles": ["admin"]}], **GOLD}, "realm_access.roles"),
        (NESTED, {"realm_access": {"roles": ["administrator"]}, **GOLD}, "realm_access.roles"),
        (NESTED, {"realm_access": {"roles": [["admin"]]}, **GOLD}, "realm_access.roles"),
        (NESTED, {**ADMIN, **GOLD, "realm_access.roles": ["user"]}, "realm_access.roles"),
        (NESTED, {"roles": ["admin"]}, "realm_access.roles, https://example.com/app.tier"),
        (PLAN, {"plan": "free", "email_verified": True}, "plan"),
        (PLAN, {"plan": "pro", "email_verified": 1}, "email_verified"),
        (PLAN, {"plan": "pro", "email_verified": "true"}, "email_verified"),
        (PLAN, {}, "plan, email_verified"),
        (OWN, {"org_id": "org_2"}, "org_id"),
    ],
)
def test_token_with_other_claims_is_refused(
    api: httpx.Client, tenant: Tenant, path: str, claims: dict[str, Any], told: str
) -> None:
    answer = call(api, tenant, path, **claims)
    said = f"The access token lacks a claim that this operation requires, or has another value: {told}"
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"].startswith(
        f'Bearer error="insufficient_claims", error_description="{said}"'
    )
    problem = catalogued(answer.json())
    assert (problem["code"], problem["detail"]) == ("insufficient_claims", said)


def test_head_is_authorized_as_get_is(api: httpx.Client, tenant: Tenant) -> None:
    assert call(api, tenant, "/orgs/org_1", "HEAD", org_id="org_1").status_code == 200
    assert call(api, tenant, "/orgs/org_2", "HEAD", org_id="org_1").status_code == 403


def test_answer_tells_no_value_of_the_token_nor_of_the_contract(api: httpx.Client, tenant: Tenant) -> None:
    answer = call(api, tenant, PLAN, plan="contract:probe", email_verified=True)
    said = answer.text + str(answer.headers)
    assert "contract:probe" not in said
    assert "team" not in said


@pytest.mark.parametrize(
    ("path", "claims", "status", "code"),
    [
        (PLAN, {"exp": 1}, 401, "invalid_token"),
        (BOTH, {"scope": ""}, 403, "insufficient_scope"),
        (BOTH, {"scope": "read:messages"}, 403, "insufficient_claims"),
        (STEPPED, {}, 403, "insufficient_claims"),
        (STEPPED, {"plan": "pro"}, 401, "insufficient_user_authentication"),
        (STEPPED, {"plan": "pro", "acr": "mfa"}, 200, None),
        ("/orgs/not!valid", {"org_id": "org_1"}, 403, "insufficient_claims"),  # before the input is looked at
    ],
)
def test_claims_come_after_scopes_and_before_logins(  # noqa: PLR0917  # a table
    api: httpx.Client, tenant: Tenant, path: str, claims: dict[str, Any], status: int, code: str | None
) -> None:
    answer = call(api, tenant, path, **claims)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_tokens_of_a_function_of_ones_own_are_held_to_the_rules(api: httpx.Client) -> None:
    headers = {"Authorization": "Bearer opaque"}
    assert api.get(OWN, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "claims", "status"),
    [
        (PUBLIC, {}, None, 200),
        (OPTIONAL, {}, None, 200),
        (OPTIONAL, {}, {}, 403),
        (OPTIONAL, {}, {"tenant_kind": "customer"}, 200),
        (MIXED, {"X-Key": "good"}, None, 200),
        (MIXED, {"X-Key": "bad"}, {}, 403),
        (MIXED, {}, {}, 403),
        (MIXED, {}, {"tenant_kind": "customer"}, 200),
        (PLAN, {}, {"plan": "pro", "email_verified": True}, 403),
        (PLAN, {}, {"tenant_kind": "customer"}, 403),
        (PLAN, {}, {"plan": "pro", "email_verified": True, "tenant_kind": "customer"}, 200),
    ],
)
def test_what_the_whole_contract_requires_holds_for_every_access_token(  # noqa: PLR0917  # a table
    strict: httpx.Client, tenant: Tenant, path: str, headers: dict[str, str], claims: dict[str, Any] | None, status: int
) -> None:
    if claims is not None:
        headers = {**headers, "Authorization": f"Bearer {tenant.token(**claims)}"}
    assert strict.get(path, headers=headers).status_code == status


def test_routes_beside_the_contract_require_what_it_does(tenant: Tenant, tmp_path: Path) -> None:
    contract = with_rules(**{"x-claims": ALL, "security": TOKEN})
    app = create_app(Settings(issuers=(tenant.url,), audience=AUDIENCE, specification=written(contract, tmp_path)))
    app.app.add_url_rule("/beside", view_func=dict)
    with in_background(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert call(client, tenant, "/beside", tenant_kind="customer").status_code == 200
        assert call(client, tenant, "/beside").status_code == 403


def of(path: str, **members: Any) -> Callable[[dict[str, Any]], object]:
    """Change an operation."""
    return lambda contract: contract["paths"][path]["get"].update(
        {name.replace("_", "-"): value for name, value in members.items()}
    )


def rules(value: Any, path: str = PLAN) -> Callable[[dict[str, Any]], object]:
    return of(path, x_claims=value)


_OBJECT = "#/paths/~1plan/get/x-claims: it must be an object, like"
_AT = "#/paths/~1plan/get/x-claims: 'plan': "
_SCALAR = "a text, a number, true or false"
_NO_PARAMETER = "x-claims: 'plan': its path has no parameter 'org_id' of type string or integer, of style simple"

_NO_OBJECTS: list[Any] = [None, {}, [], "plan", True, 5, [{"plan": "pro"}]]
_NO_SCALARS: list[Any] = [None, [], ["a"], {"a": 1}]
_NO_LISTS: list[Any] = [None, [], "pro", {}, [None], [["a"]], [{"a": 1}]]
_NO_CONTENTS: list[Any] = [None, [], {}, [None]]
_OTHER_PARAMETERS: list[dict[str, Any]] = [
    {"schema": {"type": "string"}, "style": "label"},
    {"schema": {"type": "string"}, "style": "matrix"},
    {"schema": {"type": "array", "items": {"type": "string"}}},
    {"schema": {"type": "boolean"}},
    {"schema": {"type": "number"}},
    {"schema": {}},
    {"content": {"application/json": {"schema": {"type": "string"}}}},
]

_OF_OTHERS = {
    "iss": "the validator checks it",
    "aud": "the validator checks it",
    "cnf.jkt": "the validator checks it",
    "scope": "name scopes in security",
    "acr": "write x-acr-values",
    "auth_time": "write x-max-age",
}


def in_unused(holder: dict[str, Any], member: str, method: str) -> dict[str, Any]:
    operation: dict[str, Any] = {"responses": {"200": {"description": "Yes."}}}
    holder[member] = {"unused": {method: operation}}
    return operation


ELSEWHERE: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "#/info": lambda contract: contract["info"],
    "#/paths": lambda contract: contract["paths"],
    "#/components": lambda contract: contract["components"],
    "#/components/securitySchemes/oauth2": lambda contract: contract["components"]["securitySchemes"]["oauth2"],
    "#/components/securitySchemes/oauth2/flows": lambda contract: contract["components"]["securitySchemes"]["oauth2"][
        "flows"
    ],
    "#/paths/~1orgs~1{org_id}/get/parameters/0": lambda contract: contract["paths"][ORG]["get"]["parameters"][0],
    "#/paths/~1orgs~1{org_id}/get/parameters/0/schema": lambda contract: contract["paths"][ORG]["get"]["parameters"][0][
        "schema"
    ],
    "#/components/pathItems/unused/get": lambda contract: in_unused(contract["components"], "pathItems", "get"),
    "#/webhooks/unused/post": lambda contract: in_unused(contract, "webhooks", "post"),
}

COMPLAINTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    *((rules(value), _OBJECT) for value in _NO_OBJECTS),
    *(
        (rules({"plan": value}), "#/paths/~1plan/get/x-claims: say what 'plan' must be, like")
        for value in _NO_OBJECTS
    ),
    (rules({"plan": {"equal": "pro"}}), f"{_AT}'equal' means nothing: write equals"),
    (rules({"plan": {"oneof": ["pro"]}}), f"{_AT}'oneof' means nothing: write oneOf"),
    (rules({"plan": {"$ref": "#/components"}}), f"{_AT}'$ref' means nothing: write equals or oneOf or contains"),
    (rules({"plan": {"equals": "pro", "description": "x"}}), f"{_AT}'description' means nothing"),
    *((rules({"plan": {"equals": value}}), f"{_AT}equals takes {_SCALAR}") for value in _NO_SCALARS),
    *(
        (rules({"plan": {keyword: value}}), f"{_AT}{keyword} takes a list, each of it {_SCALAR}")
        for keyword in ("oneOf", "containsOneOf")
        for value in _NO_LISTS
    ),
    *(
        (rules({"plan": {"contains": value}}), f"{_AT}contains takes {_SCALAR}, or a list of")
        for value in _NO_CONTENTS
    ),
    (rules({"plan": {"equalsPathParameter": 5}}), f"{_AT}equalsPathParameter takes the name of a parameter"),
    (rules({"plan": {"equalsPathParameter": "org_id"}}), f"GET {PLAN}: {_NO_PARAMETER}"),
    (rules({"plän": {"equals": "pro"}}), "#/paths/~1plan/get/x-claims: 'plän' can't be named in a challenge"),
    (rules({'pl"an': {"equals": "pro"}}), "#/paths/~1plan/get/x-claims: 'pl\"an' can't be named in a challenge"),
    (rules({"": {"equals": "pro"}}), "#/paths/~1plan/get/x-claims: '' can't be named in a challenge"),
    (of(PLAN, security=[]), f"GET {PLAN}: x-claims needs an access token in each alternative"),
    (of(PLAN, security=[{"oauth2": []}, {}]), f"GET {PLAN}: x-claims needs an access token in each alternative"),
    (of(PLAN, security=[{"oauth2": []}, {"key": []}]), f"GET {PLAN}: x-claims needs an access token in each"),
    (
        lambda contract: contract["paths"][PLAN].update({"x-claims": ALL}),
        "#/paths/~1plan/x-claims: it belongs to an operation",
    ),
    (lambda contract: contract.update({"x-claims": {}}), "#/x-claims: it must be an object"),
    (
        lambda contract: contract.update({"x-claims": {"org_id": {"equalsPathParameter": "org_id"}}}),
        f"GET {NUMBER}: x-claims: 'org_id': its path has no parameter 'org_id'",
    ),
    (
        lambda contract: contract.update({"x-claims": {"plan": {"equals": "free"}}}),
        f"GET {PLAN}: x-claims: no token can meet all that is required of 'plan'",
    ),
    (rules({"sub": {"equals": 5}}), f"GET {PLAN}: x-claims: no token can meet all that is required of 'sub'"),
    (rules({"sub": {"contains": "ada"}}), f"GET {PLAN}: x-claims: no token can meet all that is required of 'sub'"),
    *(
        (rules({name: {"equals": "x"}}), f"#/paths/~1plan/get/x-claims: {name!r} is no claim for rules: {instead}")
        for name, instead in _OF_OTHERS.items()
    ),
    *(
        (lambda contract, at=at: at(contract).update({"x-claims": ALL}), f"{place}/x-claims: it belongs to an")
        for place, at in ELSEWHERE.items()
    ),
    *(
        (of(PLAN, **{name: ALL}), f"#/paths/~1plan/get/{name}: it means nothing: write `x-claims`")
        for name in ("x-cliams", "x-required-claims", "x-token-claim", "x-claim-rules")
    ),
    (rules({"plan": {"equals": "a", "contains": "b"}}), f"GET {PLAN}: x-claims: no token can meet all"),
    (of(PLAN, x_claim={"plan": {"equals": "pro"}}), "#/paths/~1plan/get/x-claim: it means nothing: write `x-claims`"),
    (of(PLAN, x_Claims={"plan": {}}), "#/paths/~1plan/get/x-Claims: it means nothing: write `x-claims`"),
    (of(ORG, parameters=[]), ""),
    *(
        (
            of(ORG, parameters=[{"name": "org_id", "in": "path", "required": True, **given}]),
            f"GET {ORG}: x-claims: 'org_id': its path has no parameter 'org_id' of type string or integer",
        )
        for given in _OTHER_PARAMETERS
    ),
    (
        of(PLAN, x_claims={"plan": {"equalsPathParameter": "q"}},
           parameters=[{"name": "q", "in": "query", "required": True, "schema": {"type": "string"}}]),
        f"GET {PLAN}: x-claims: 'plan': its path has no parameter 'q'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "complaint"), COMPLAINTS)
def test_rules_that_cannot_be_enforced_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    contract = with_rules()
    load_contract(written(contract, tmp_path))
    change(contract)
    path = written(contract, tmp_path)
    with pytest.raises(ContractError) as error:
        load_contract(path)
    assert str(error.value).startswith(f"{path}: {complaint}")


RULES = [
    (path, claim, keyword)
    for path, operation in OPERATIONS.items()
    for claim, requirement in operation.get("x-claims", {}).items()
    for keyword in requirement
]


def test_contract_tests_pass_where_the_claims_are_required(tenant: Tenant, tmp_path: Path) -> None:
    contract = with_rules(**{"x-claims": ALL})
    del contract["paths"][OWN], contract["paths"][MIXED]
    with serving(contract, tmp_path, tenant) as url:
        found = results(contract, url, tenant, examples=5)
    assert list(failures(found)) == []
    names = {result.check for result in found}
    assert {"another org_id", "without org_id", "realm_access.roles without admin", "another tenant_kind"} <= names


@pytest.mark.parametrize(("path", "claim", "keyword"), RULES)
def test_contract_tests_notice_each_rule_that_is_not_enforced(
    tenant: Tenant, tmp_path: Path, path: str, claim: str, keyword: str
) -> None:
    promised = with_rules()
    promised["paths"] = {path: promised["paths"][path]}
    contract = copy.deepcopy(promised)
    del contract["paths"][path]["get"]["x-claims"][claim][keyword]
    if not contract["paths"][path]["get"]["x-claims"][claim]:
        del contract["paths"][path]["get"]["x-claims"][claim]
    if not contract["paths"][path]["get"]["x-claims"]:
        del contract["paths"][path]["get"]["x-claims"]
    with serving(contract, tmp_path, tenant) as url:
        found = results(promised, url, tenant, examples=2)
    matrix = [result for result in found if result.part == AUTHORIZATION]
    failed = {result.check for result in matrix if result.verdict is Verdict.FAILED}
    assert failed
    assert {check for check in failed if claim not in check} == set()


def test_served_contract_says_what_is_needed(strict: httpx.Client) -> None:
    paths = strict.get("/openapi.json").json()["paths"]
    assert paths[NESTED]["get"]["x-claims"] == OPERATIONS[NESTED]["x-claims"]
    of_all = "Needs an access token of which `tenant_kind` is `customer`"
    assert paths[ORG]["get"]["description"].endswith(f"{of_all}, and `org_id` is the path's `org_id`.")
    assert paths[MIXED]["get"]["description"].endswith(f"{of_all}.")
    assert "Needs an access token" not in paths[PUBLIC]["get"].get("description", "")


def test_what_is_only_called_so_is_no_rule(tmp_path: Path) -> None:
    contract = with_rules()
    contract["components"]["schemas"]["Odd"] = {
        "type": "object",
        "properties": {"x-claims": {"type": "string"}, "x-max-age": {"type": "string"}},
        "example": {"x-claims": "a"},
    }
    headers = {"x-claims": {"schema": {"type": "string"}}}
    contract["paths"][PLAN]["get"]["responses"]["200"]["headers"] = headers
    load_contract(written(contract, tmp_path))


@pytest.mark.parametrize(
    ("name", "schema", "example"),
    [
        ("sub", {"type": "string"}, "auth0|abc"),
        ("sub", {"type": "string", "pattern": r"^auth0\|[0-9]{2}$"}, None),
        ("email", {"type": "string"}, "ada@example.com"),
        ("name", {"type": "string"}, "a ö"),
        ("without", {"type": "string"}, "self"),
        ("number", {"type": "integer", "minimum": 5}, None),
        ("id", {"type": "string", "format": "uuid"}, None),
    ],
)
def test_contract_tests_pass_whatever_the_path_is_called(
    tenant: Tenant, tmp_path: Path, name: str, schema: dict[str, Any], example: str | None
) -> None:
    contract = with_rules()
    operation = contract["paths"][ORG]["get"]
    contract["paths"] = {ORG: {"get": operation}}
    operation["x-claims"] = {name: {"equalsPathParameter": "org_id"}}
    operation["parameters"][0] |= {"schema": schema, **({"example": example} if example else {})}
    with serving(contract, tmp_path, tenant) as url:
        found = results(contract, url, tenant, examples=2)
    assert list(failures(found)) == []
    assert f"another {name}" in {result.check for result in found}
