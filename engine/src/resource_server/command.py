"""The command line: `python -m api …`."""

import dataclasses
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from resource_server.settings import NO_ISSUER_HERE, Settings, SettingsError, environ

_SPEC = click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The OpenAPI document, in place of this project's own.",
)


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PATH = click.Path(dir_okay=False, path_type=Path)
_OUTPUT = click.File("w", encoding="utf-8", lazy=False)  # what can't be written is known at the start


def _object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.BadParameter(f"{text!r} is no JSON object.")
    return value


def _settings(*, development: bool, spec: Path | None = None, **given: Any) -> Settings:
    try:
        settings = Settings.load(development=development)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    given = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(settings, specification=spec or settings.specification, **given)


@click.group()
def cli() -> None:
    """An API whose contract, routes and authorization policy are one file: openapi.yaml."""


@cli.command()
@_SPEC
@click.pass_obj
def run(factory: str, spec: Path | None) -> None:
    """Serve for development: responses are validated, changes reload.

    Without AUTH0_DOMAIN, a development issuer is started on the next port.
    """
    from resource_server.contract.spec import ContractError
    from resource_server.serving.making import ApplicationError

    try:
        from resource_server.developing.server import run
    except ImportError as error:
        raise click.ClickException(f"{error}. `run` needs the extra 'run': `make run`") from error
    try:
        run(factory, _settings(development=True, spec=spec))
    except (ApplicationError, ContractError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@_SPEC
@click.option("--host", help="The address to listen on, in place of HOST.")
@click.option("--port", type=click.IntRange(0, 65_535), help="The TCP port to listen on, in place of PORT.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="How many processes serve.")
@click.pass_obj
def serve(factory: str, spec: Path | None, host: str | None, port: int | None, workers: int) -> None:
    """Serve for production. Needs AUTH0_DOMAIN and AUTH0_AUDIENCE."""
    gc.disable()  # until all is loaded: nothing of it is garbage
    from resource_server.serving.making import ApplicationError
    from resource_server.serving.server import serve

    try:
        serve(factory, _settings(development=False, spec=spec, host=host, port=port), workers)
    except (ApplicationError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@_SPEC
@click.option("--scope", help="Space-separated; by default all that the API offers, with '' none.")
@click.option("--sub", help="Whose it is, like 'auth0|ada'; by default a program's.")
@click.option("--acr", help="How the user has logged in, a moment ago; for operations with x-acr-values or x-max-age.")
@click.option("--claims", type=_object, metavar="JSON", help="""Further claims, like '{"org_id": "org_1"}'.""")
@click.option("--dpop", is_flag=True, help="Print a curl line with a token that is bound to a new key, and its proof.")
@click.option("--url", help="With --dpop: what it calls, a URL or a path; by default an operation of the contract.")
@click.option("--method", type=click.Choice(_METHODS, case_sensitive=False), default="GET", show_default=True)
def token(
    *,
    scope: str | None,
    sub: str | None,
    acr: str | None,
    claims: dict[str, Any] | None,
    dpop: bool,
    url: str | None,
    method: str,
    spec: Path | None,
) -> None:
    """Print an access token from the development issuer that is running; or, with --dpop, a call that works once."""
    from resource_server.developing.token import Wanted, bound_call, request_token

    if not dpop and (url or method != "GET"):
        raise click.UsageError("--url and --method are for --dpop.")
    if url and not url.startswith(("/", "http://", "https://")):
        raise click.UsageError(
            "--url must be a URL like http://127.0.0.1:3010/api/private, or a path like /api/private."
        )
    settings = _settings(development=True, spec=spec)
    if not settings.development_issuer:
        raise click.ClickException(
            "AUTH0_DOMAIN is set, so there is no development issuer. Get a token from your tenant, or unset it."
        )
    said = {"sub": sub, "acr": acr, "auth_time": acr and int(time.time()), **(claims or {})}
    wanted = Wanted(scope, {name: value for name, value in said.items() if value is not None})
    click.echo(bound_call(settings, wanted, url, method) if dpop else request_token(settings, wanted))


@cli.command()
@_SPEC
@click.option("--url", help="Where the API is, without the path of its first server; by default one is served here.")
@click.option("--require", "needed", multiple=True, metavar="ROW", help="Fail if this row can't be run; repeatable.")
@click.option("--exclude", multiple=True, metavar="OPERATION", help="Leave this out, like 'POST /x'; repeatable.")
@click.option("--read-only", is_flag=True, help="Leave out operations that may change something: all but GET.")
@click.option("--keep", type=_PATH, metavar="FILE", help="Keep a token here, to be the expired one of a later run.")
@click.option("--wait", type=click.FloatRange(0), default=0, help="Seconds to wait, if need be, for it to expire.")
@click.option("--examples", type=click.IntRange(1), default=50, show_default=True, help="For each operation, at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="What the examples are made from.")
@click.option(
    "--credential",
    "credentials",
    multiple=True,
    metavar="SCHEME=VALUE",
    help="An API key, or name:password; repeatable.",
)
@click.option("--max-time", type=click.FloatRange(1), metavar="SECONDS", help="Begin nothing more after so long.")
@click.option("--junit", type=_OUTPUT, metavar="FILE", help="Write the results as JUnit's XML, too.")
@click.option("--json", "json_file", type=_OUTPUT, metavar="FILE", help="Write the results as JSON, too.")
@click.pass_obj
def contract(factory: str, /, url: str | None, spec: Path | None, **options: Any) -> None:
    """Test that an API does what the contract says, authorization above all.

    Sends real requests, with good tokens among them: what they change at URL is changed. AUTH0_DOMAIN and
    AUTH0_AUDIENCE say what the API trusts; good tokens come from CONTRACT_TOKEN, from CONTRACT_CLIENT_ID and
    CONTRACT_CLIENT_SECRET, or from the development issuer. Exits with 0 if everything required has been run and passed,
    with 1 if something failed, with 3 if something required could not be run.
    """
    try:
        from resource_server.developing.contract_tests.command import test
    except ImportError as error:
        raise click.ClickException(f"{error}. Contract tests need the extra 'contract': `make test`") from error

    settings = _settings(development=True, spec=spec)
    if not settings.issuers:
        raise click.UsageError(NO_ISSUER_HERE)
    sys.exit(test(factory, settings, url, **options))


@cli.command()
@_SPEC
@click.argument("token", required=False)
@click.option("--url", help="Send TOKEN to the API that runs here, too; without the path of its first server.")
@click.option("--proof", help="The DPoP proof beside TOKEN, which is then written 'DPoP <token>'.")
@click.option("--json", "json_wanted", is_flag=True, help="For programs.")
@click.pass_obj
def doctor(
    factory: str, token: str | None, spec: Path | None, url: str | None, proof: str | None, *, json_wanted: bool
) -> None:
    """Say why TOKEN is refused; without one, whether the configuration is good.

    TOKEN may be anything that a client sends as one. With - it is read from standard input, which keeps it out of the
    shell's history. It is compared with AUTH0_DOMAIN, AUTH0_AUDIENCE and the other settings, and sent nowhere without
    --url. Exits with 0 if all is good, with 1 if not.
    """
    from resource_server.doctor.command import doctor as examine

    try:
        variables = environ()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(examine(factory, token, url=url, spec=spec, environ=variables, json_wanted=json_wanted, proof=proof))


@cli.command()
@_SPEC
@click.argument("language", required=False)
@click.option("--list", "listed", is_flag=True, help="Name the languages.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="The folder; by default sdk/LANGUAGE.")
@click.option(
    "--server", metavar="URL", help="What the client calls; by default what the contract or HOST and PORT say."
)
def sdk(language: str | None, spec: Path | None, output: Path | None, server: str | None, *, listed: bool) -> None:
    """Generate a client for the API in LANGUAGE from the contract, with openapi-generator."""
    from resource_server.developing.sdk.languages import languages

    known = languages()
    if listed:
        click.echo("\n".join(known))
        return
    if language not in known:
        raise click.UsageError(f"LANGUAGE must be one of {', '.join(known)}.")
    try:
        from resource_server.developing.sdk.command import generate
    except ImportError as error:
        raise click.ClickException(f"{error}. Generating a client needs the extra 'sdk': `make test`") from error

    generate(_settings(development=True, spec=spec), language, known[language], output or Path("sdk", language), server)


@cli.command()
@_SPEC
def scaffold(spec: Path | None) -> None:
    """Write the functions that the contract names and nobody has written; nothing that exists is touched.

    Each answers 501 until it is yours. Functions for API keys and Basic refuse everybody until then.
    """
    from resource_server.contract.compiled import Compiled
    from resource_server.contract.loading import read_contract
    from resource_server.contract.spec import ContractError
    from resource_server.developing.scaffold import scaffold

    settings = _settings(development=True, spec=spec)
    try:
        written = scaffold(Compiled(read_contract(settings.specification)), Path.cwd())
    except (ContractError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for path, functions, kept in written:
        said = f"wrote {', '.join(functions)}" if functions else "nothing to write"
        click.echo(f"{path}: {said}{f'; {kept} were there' if kept else ''}")


def main(factory: str) -> None:
    """Run the command line.

    Args:
        factory: The function that makes the application of settings, like `api.app:create_app`; imported by the
            processes that serve.
    """
    cli(prog_name=f"python -m {factory.partition('.')[0]}", obj=factory)
