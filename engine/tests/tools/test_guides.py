"""Each block of the guides, and each command in one, is carried out by a test: here, or where the table says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml
from flask import Flask

from resource_server.settings import rows
from tests.houses import house as make_house
from tests.processes import DOCS, ENGINE, SAMPLE, run, running
from tests.relays import relay
from tests.serving import free_port
from tests.tenant import AUDIENCE, Tenant

PAGES = {str(path.relative_to(DOCS)): path for path in sorted(DOCS.rglob("*.md"))}
PAGES |= {f"/{name}": SAMPLE / name for name in ("README.md", "AGENTS.md")}
PAGES |= {f"/{name}": ENGINE.parent / name for name in ("CONTRIBUTING.md", "SECURITY.md")}

README, DEPLOY, UPGRADE = "tools/test_readme.py", "tools/test_deploy.py", "tools/test_upgrading.py"
OTHERS, RULES = "api/test_other_frameworks.py", "system/test_rules_of_ones_own.py"
CI, HERE = ".ci/run", "tools/test_guides.py"
SETTINGS = f"{HERE}::test_variables_that_a_page_shows_are_read"
CLAIMS = [  # a page, how its blocks or commands begin (all of them: ""), and the test that carries them out
    ("tutorial.md", "", "tools/test_tutorial.py"),
    ("your-api.md", "", "tools/test_your_api.py"),
    *((f"migration/{name}.md", "", "tools/test_migration.py") for name in ("auth0-quickstart", "connexion-2")),
    *((f"migration/{name}.md", "", "tools/test_migration.py") for name in ("connexion-3", "fastapi")),
    ("reference/python-api.md", "", "tools/test_site.py"),
    ("start.md", "", "tools/test_site.py"),
    ("proof.md", "", "unit/test_figures.py"),
    ("database.md", "", "tools/test_database.py"),
    ("database.md", "echo ", "tools/test_tutorial.py"),
    ("database.md", "make ", "tools/test_tutorial.py"),
    ("testing.md", "", "api/test_testing.py::test_examples_of_the_guide_pass"),
    ("upgrading.md", "", f"{UPGRADE}::test_later_engine_takes_the_place_of_the_one_before"),
    ("contract-tests.md", "", f"{README}::test_contract_tests_run_as_the_readme_says"),
    ("recipes/api-keys.md", "", "system/test_recipe_api_keys.py"),
    ("recipes/fine-grained.md", "", "system/test_recipe_fine_grained.py"),
    ("recipes/fine-grained.md", "model", f"{HERE}::test_model_has_the_relations_that_are_asked_about"),
    ("recipes/fine-grained.md", "FGA_", SETTINGS),
    ("recipes/introspection.md", "", "system/test_recipe_introspection.py"),
    ("recipes/limits.md", "", "system/test_recipe_limits.py"),
    ("recipes/mcp.md", "", "tools/test_recipe_mcp.py"),
    ("recipes/mcp.md", "AUTH0_DOMAIN=", SETTINGS),
    ("recipes/on-behalf-of.md", "", "tools/test_recipe_on_behalf_of.py"),
    ("recipes/on-behalf-of.md", "TOKEN_URL=", SETTINGS),
    ("auth0.md", "read -rs", f"{HERE}::test_machine_gets_a_token_as_the_guide_asks_for_it"),
    ("auth0.md", "curl https", f"{HERE}::test_machine_gets_a_token_as_the_guide_asks_for_it"),
    ("auth0.md", "AUTH0_DOMAIN=", f"{HERE}::test_env_file_has_the_tenants_tokens_taken"),
    ("auth0.md", "make run", f"{HERE}::test_env_file_has_the_tenants_tokens_taken"),
    ("auth0.md", "curl -i", f"{HERE}::test_env_file_has_the_tenants_tokens_taken"),
    ("auth0.md", "export ", "system/test_contract_command.py::test_client_credentials_bring_good_tokens"),
    ("auth0.md", ".venv", "system/test_contract_command.py::test_client_credentials_bring_good_tokens"),
    ("clients/README.md", "", f"{HERE}::test_clients_are_called_and_made_as_the_page_says"),
    ("deploy.md", "AUTH0_DOMAIN=", f"{DEPLOY}::test_container_serves_the_contract_without_a_file_that_it_could_write"),
    ("deploy.md", "pip install", f"{DEPLOY}::test_image_with_the_extras_has_what_the_optional_settings_need"),
    ("deploy.md", "TRACING=", "system/test_tracing.py::test_workers_send_all_their_traces_before_they_stop"),
    ("deploy.md", "proxy_", "tools/test_proxies.py"),
    ("deploy.md", "docker ", f"{DEPLOY}::test_container_serves_the_contract_without_a_file_that_it_could_write"),
    ("deploy.md", "AUTH0_DOMAIN=tenant.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com docker compose",
     "tools/test_manifests.py::test_compose_file_is_valid"),
    ("deploy.md", "kubectl ", "tools/test_manifests.py::test_manifest_is_valid_kubernetes"),
    ("tokens.md", "sh -c", f"{README}::test_make_run_and_the_calls_do_what_the_readme_says"),
    ("tokens.md", "/api/orgs", RULES),
    ("tokens.md", "from enum", RULES),
    ("tokens.md", '"yaml.schemas"', f"{HERE}::test_editors_find_the_schema"),
    ("tokens.md", "# security/issuers.py", "api/test_issuers_by_host.py"),
    ("tokens.md", "from resource_server import IssuerResolver", "api/test_issuers_by_host.py"),
    ("tokens.md", "from resource_server import Auth0", f"{OTHERS}::test_flask_is_as_the_guide_says"),
    ("tokens.md", "from resource_server import DPoP", f"{OTHERS}::test_bound_tokens_are_taken_as_the_guide_says"),
    ("tokens.md", "from resource_server import MutualTLS", f"{HERE}::test_certificates_are_looked_at"),
    ("tokens.md", "from typing", f"{OTHERS}::test_fastapi_is_as_the_guide_says"),
    ("tokens.md", "import json", f"{OTHERS}::test_django_is_as_the_guide_says"),
    ("/README.md", "", README),
    ("/README.md", "make test", CI),
    ("/README.md", "/api/messages", f"{HERE}::test_operation_of_the_readme_is_served"),
    ("/README.md", "def get_message", f"{HERE}::test_operation_of_the_readme_is_served"),
    ("/CONTRIBUTING.md", "", CI),
]  # fmt: skip


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """The blocks of a page, with their languages."""
    yield from re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", page.read_text())


def units(page: Path) -> Iterator[str]:
    """What can be carried out on a page: each command of a console, each other block."""
    for language, content in blocks(page):
        yield from re.findall(r"(?m)^\$ (.*)", content) if language == "console" else [content.lstrip()]


def block(name: str, begin: str) -> str:
    """The block of a page that begins so."""
    (found,) = [content for _, content in blocks(PAGES[name]) if content.lstrip().startswith(begin)]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_carried_out_by_a_test(name: str) -> None:
    claimed = [begin for page, begin, _ in CLAIMS if page == name]
    found = list(units(PAGES[name]))
    assert [unit for unit in found if not unit.startswith(tuple(claimed))] == [], "name the test of each in CLAIMS"
    assert [begin for begin in claimed if not any(unit.startswith(begin) for unit in found)] == []


def test_tests_of_the_table_are_there_and_read_their_pages() -> None:
    for page, begin, test in CLAIMS:
        path, _, function = test.partition("::")
        text = ((SAMPLE if path == CI else ENGINE / "tests") / path).read_text()
        assert not function or f"\ndef {function}(" in text, test
        assert page in PAGES, page
        if not function and path != CI:
            assert Path(page).stem in text.replace("README =", "") or "snippet" in text, (page, begin, test)


def test_ci_runs_what_contributors_are_told_to() -> None:
    steps = (SAMPLE / ".ci" / "run").read_text()
    told = {command.split(" #")[0].strip().removeprefix("make ") for command in units(PAGES["/CONTRIBUTING.md"])}
    told = {each for each in told if "checkov" not in each}  # by hand, as the page says
    assert {each for each in told - {".ci/run"} if not re.search(rf"(?m)^make .*\b{each}\b", steps)} == set()


@pytest.mark.parametrize("name", ["recipes/fine-grained.md", "recipes/mcp.md", "recipes/on-behalf-of.md"])
def test_variables_that_a_page_shows_are_read(name: str) -> None:
    (shown,) = [content for language, content in blocks(PAGES[name]) if language == "sh"]
    read = "".join(content for language, content in blocks(PAGES[name]) if language == "python")
    known = {row.variable for row in rows().values()}
    names = re.findall(r"(?m)^(\w+)=", shown)
    assert names
    assert [each for each in names if each not in known and not re.search(rf"[\"']{each}[\"']", read)] == []


def test_model_has_the_relations_that_are_asked_about() -> None:
    page = PAGES["recipes/fine-grained.md"].read_text()
    model = block("recipes/fine-grained.md", "model")
    defined, asked = set(re.findall(r"define (\w+):", model)), set(re.findall(r'await require\(user, "(\w+)"', page))
    assert asked
    assert asked <= defined


def test_editors_find_the_schema() -> None:
    (files,) = json.loads("{" + block("tokens.md", '"yaml.schemas"') + "}").values()
    assert [(ENGINE.parent / name).exists() for name in files if "://" not in name] == [True]
    assert set(files.values()) == {"openapi.yaml"}


def test_certificates_are_looked_at(tenant: Tenant) -> None:
    text = block("tokens.md", "from resource_server import MutualTLS").replace("tenant.eu.auth0.com", tenant.url)
    names: dict[str, object] = {}
    exec(f"from resource_server import Auth0JWTBearerTokenValidator\n{text}", names)  # noqa: S102  # the guide's own
    names["app"] = Flask(__name__)
    text = block("tokens.md", "from resource_server import Auth0").replace("validator = ", "_ = ")
    exec(text.replace("tenant.eu.auth0.com", tenant.url), names)  # noqa: S102
    app = names["app"]
    assert isinstance(app, Flask)
    bound = {"Authorization": f"Bearer {tenant.token(cnf={'x5t#S256': 'a' * 43})}"}
    answer = app.test_client().get("/api/private-scoped", headers=bound)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid_token")
    assert "client certificate" in answer.get_json()["detail"]


def test_machine_gets_a_token_as_the_guide_asks_for_it(tmp_path: Path, tenant: Tenant) -> None:
    (shown,) = [content for _, content in blocks(PAGES["auth0.md"]) if "CLIENT_SECRET" in content and "curl" in content]
    (look,) = re.findall(r"`(echo \"\$TOKEN\".*?)`", PAGES["auth0.md"].read_text())
    with relay() as auth0:
        auth0.answer = lambda _: (200, json.dumps({"access_token": tenant.token()}).encode())
        script = re.sub(r"(?m)^\$ ", "", shown).replace("https://tenant.eu.auth0.com", auth0.url)
        assert auth0.url in script
        ended = run(["bash", "-c", f"echo 's e+c' > s; {{ {script}\n}} < s"], cwd=tmp_path)
        said = run(["bash", "-c", look], {"TOKEN": json.loads(ended.stdout)["access_token"]})
    (request,) = auth0.requests
    assert request.path == "/oauth/token"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["…"],
        "client_secret": ["s e+c"],
        "audience": [AUDIENCE],
        "scope": ["read:messages"],
    }
    assert f'"aud": "{AUDIENCE}"' in said.stdout or f'"aud":"{AUDIENCE}"' in said.stdout


@pytest.mark.parametrize("number", [0, 1])
def test_env_file_has_the_tenants_tokens_taken(tmp_path: Path, tenant: Tenant, number: int) -> None:
    house = make_house(tmp_path / "house", installed=True)
    first, second = (content for language, content in blocks(PAGES["auth0.md"]) if language == "sh")
    written = (first, second + first.splitlines()[1] + "\n")[number].replace("tenant.eu.auth0.com", tenant.url)
    (house / ".env").write_text(written)
    (shown,) = [content for _, content in blocks(PAGES["auth0.md"]) if "$ make run" in content]
    serve, ask = re.findall(r"(?m)^\$ (.*)", shown)
    environ = {"PORT": str(free_port()), "TOKEN": tenant.token()}
    with running(["bash", "-c", serve], environ, house) as process:
        process.wait_for("Swagger UI", seconds=60)
        answer = run(["bash", "-c", ask.replace("3010", environ["PORT"])], environ, house)
    assert answer.stdout.startswith("HTTP/1.1 200 OK"), answer.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house with the README's operation beside the samples."""
    house = make_house(tmp_path_factory.mktemp("guides") / "house", installed=True)
    contract = yaml.safe_load((house / "openapi.yaml").read_text())
    contract["paths"].update(yaml.safe_load(block("/README.md", "/api/messages")))
    (house / "openapi.yaml").write_text(yaml.safe_dump(contract, sort_keys=False))
    (house / "api" / "messages.py").write_text(block("/README.md", "def get_message"))
    return house


@pytest.fixture(scope="module")
def served(house: Path) -> Iterator[str]:
    """Its port, while `make run` serves it."""
    port = str(free_port())
    with running(["make", "run"], {"PORT": port}, house) as process:
        process.wait_for("Swagger UI", seconds=60)
        yield port


def test_operation_of_the_readme_is_served(house: Path, served: str) -> None:
    name = "0b3b2b9e-6b0e-4a51-9c52-1f2a4d6f3c11"
    ask = f'curl 127.0.0.1:{served}/api/messages/{name} -H "Authorization: Bearer $(make -s token SUB=ada)"'
    answer = run(["bash", "-c", ask], {"PORT": served}, house)
    assert json.loads(answer.stdout) == {"id": name, "for": "ada"}, answer.stderr


def test_clients_are_called_and_made_as_the_page_says(house: Path, served: str, tmp_path: Path) -> None:
    call, make = units(PAGES["clients/README.md"])
    called = run(["bash", "-c", call], {"PORT": served, "API_URL": f"http://127.0.0.1:{served}"}, house)
    assert "Hello from a private endpoint!" in called.stdout, called.stderr
    made = run(["bash", "-c", make.replace("/tmp/", f"{tmp_path}/")], cwd=house)  # noqa: S108  # the page's own
    assert made.returncode == 0, made.stderr
    assert list((tmp_path / "messages-client").glob("*.go"))
