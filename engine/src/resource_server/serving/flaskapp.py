"""The application, as users of Connexion and of Flask know it."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NoReturn

import connexion
import flask
from connexion.frameworks.flask import flaskify_endpoint
from connexion.operations.openapi import OpenAPIOperation
from connexion.resolver import Resolver
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from resource_server.contract.checks import remarks
from resource_server.contract.compiled import Compiled
from resource_server.contract.loading import load_contract, refuse
from resource_server.contract.spec import Contract, ContractError, claim_rules, paths
from resource_server.contract.spec import base_path as declared_base_path
from resource_server.serving.authorization import Authorization
from resource_server.serving.beside import Beside
from resource_server.serving.edge import Edge
from resource_server.serving.exchange import Page, Record
from resource_server.serving.flasks import Flask, Steps, view
from resource_server.serving.flow import Flow
from resource_server.serving.health import LIVE, READY, Health
from resource_server.serving.lifespans import answer_lifespan
from resource_server.serving.plans import Plan
from resource_server.serving.problems import Errors, Handler
from resource_server.serving.resource import metadata_pages
from resource_server.serving.routing import Routes
from resource_server.serving.swagger import SwaggerUI
from resource_server.serving.threads import Threads
from resource_server.settings import Settings
from resource_server.tokens import Auth0JWTBearerTokenValidator
from resource_server.tokens.errors import SecurityError
from resource_server.tokens.resource import protected_resource

logger = logging.getLogger(__name__)

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
"""What starts and stops in each process that serves: entered before its first request, left after its last."""

_WRAP = "Wrap the application instead: `app = YourMiddleware(create_app())` is an ASGI application, too."


class FlaskApp(connexion.FlaskApp):  # type: ignore[misc]  # Connexion's classes are not typed
    """Connexion's Flask app, whose operations are compiled once and whose requests take one way.

    `app` is Flask's. What Connexion's documentation says of `add_api`, `add_url_rule`, `route`, `add_error_handler` and
    `test_client` holds. Hooks, extensions, blueprints and error handlers may be added until the first request.

    Args:
        import_name: The package that it belongs to.
        settings: How it is served.
        validator: Validates the access tokens of its requests.
        lifespan: What starts and stops with it.
        observers: Are told of each request when it has been answered.
    """

    def __init__(  # its own, in place of Connexion's stack of middlewares
        self,
        import_name: str,
        *,
        settings: Settings,
        validator: Auth0JWTBearerTokenValidator,
        lifespan: Lifespan,
        observers: list[Callable[[Record], None]],
    ) -> None:
        self._settings = settings
        self._validator = validator
        self._lifespan = lifespan
        self._observers = observers
        self.resolver = validator.resolver
        """What names issuers by the host of a request, if anything does."""
        self._resource = protected_resource(validator, settings.base_url)
        self._health = Health(validator)
        self._threads = Threads()
        self._errors = Errors(self._threads.run, development=settings.development)
        self.app = Flask(import_name, self._errors)
        for ours in (HTTPException, SecurityError):
            self.app.register_error_handler(ours, self.app.problem)
        self._routes = Routes()
        self._contracts: list[Contract] = []
        self._bases: set[str] = set()
        self._paths: set[str] = set()
        self._pages: dict[str, Page] = {}
        self._public: set[str] = set()
        self._default: Authorization | None = None
        self.beside: dict[str, str] = {}
        """Flask's routes beside the contract, and who may call each; known when the application is complete."""
        self._flow: Flow | None = None

    def add_api(  # Connexion's options, of which there are more
        self,
        specification: Path | str | Contract,
        *,
        base_path: str | None = None,
        name: str | None = None,
        resolver: Resolver | Callable[[str], Any] | None = None,
        **options: Any,
    ) -> None:
        """Add the operations of a contract. Each is compiled now, so what can't be served is known at the start.

        Args:
            specification: The contract: a document, or its path.
            base_path: Below which they are, in place of the path of the contract's first server.
            name: Of Flask's blueprint, in place of the base path.
            resolver: Finds the handlers.
            options: `pythonic_params`, `strict_validation` and `validate_responses`.

        Raises:
            ContractError: The contract can't be served or enforced as it stands.
            TypeError: An option is none of these.
        """
        if unknown := options.keys() - _OPTIONS:
            raise TypeError(f"add_api takes no {', '.join(sorted(unknown))}: the contract and the settings say that")
        self._must_be_open("add_api")
        source = specification if isinstance(specification, dict) else Path(specification)
        compiled = load_contract(source)
        contract = compiled.contract
        base = declared_base_path(contract) if base_path is None else base_path.rstrip("/")
        options.setdefault("validate_responses", self._settings.development)
        resolver = Resolver(resolver) if callable(resolver) else resolver or Resolver()
        taken = {base} & self._bases or self._paths.intersection(base + path for path in paths(contract))
        if taken:
            raise ContractError(f"Two contracts have {min(taken) or '/'}: give one of them a base_path of its own")
        plans = list(self._compile(compiled, base, resolver, options))
        refuse(source, (complaint for plan in plans for complaint in plan.complaints()))
        for plan in plans:
            for hidden in plan.hides:
                logger.info(_HIDDEN, plan.declared.name, hidden)
        for remark in remarks(contract):
            logger.info("%s", remark)
        self._register(plans, flask.Blueprint(flaskify_endpoint(base) or "/", __name__, url_prefix=base or None), name)
        if not self._contracts and (security := contract.get("security")):
            self._default = Authorization(security, compiled.schemes, self._resource, rules=claim_rules(contract))
        self._contracts.append(contract)
        self._bases.add(base)
        self._paths |= {base + path for path in paths(contract)}
        self._add_pages(contract, base)

    def _register(self, plans: Iterable[Plan], blueprint: flask.Blueprint, name: str | None) -> None:
        for plan in plans:
            blueprint.add_url_rule(
                plan.flask_path,
                flaskify_endpoint(plan.operation_id),
                view(plan),
                methods=[plan.method],
                build_only=True,
                provide_automatic_options=False,
            )
            self._routes.add(plan)
        self.app.register_blueprint(blueprint, **({"name": name} if name is not None else {}))
        for plan in plans:
            endpoint = flaskify_endpoint(plan.operation_id)
            (self.app.rules[plan],) = self.app.url_map.iter_rules(f"{name or blueprint.name}.{endpoint}")

    def _compile(self, compiled: Compiled, base: str, resolver: Resolver, options: Mapping[str, Any]) -> Iterator[Plan]:
        operations = list(compiled.operations())
        for declared in operations:
            # Connexion finds the handler, and makes its answer; what requests must be, it isn't told.
            media_types: dict[str, Any] = {
                each: {} for response in declared.responses.values() for each in response.get("content", ())
            }
            shadow = {"operationId": declared.handler, "responses": {"default": {"content": media_types}}}
            operation = OpenAPIOperation(declared.method.lower(), declared.path, shadow, resolver)
            authorization = None
            if declared.security:
                of_path = [each for each in declared.parameters if each["in"] == "path"]
                whole = [each["name"] for each in of_path if compiled.types.of(each.get("schema")) == ("integer",)]
                authorization = Authorization(
                    declared.security,
                    compiled.schemes,
                    self._resource,
                    declared.operation,
                    rules=claim_rules(compiled.contract, declared.operation),
                    integers=whole,
                )
            plan = Plan(declared, operation, compiled, base=base, authorization=authorization, options=options)
            if len(operations) <= _PREPARED:
                plan.prepare()
            yield plan

    def _add_pages(self, contract: Contract, base: str) -> None:
        shown = self._settings.swagger_ui
        pages = metadata_pages(self._resource, contract, swagger_ui=shown)
        if shown:
            pages |= SwaggerUI(
                contract,
                base,
                resource=self._resource,
                version=self._settings.swagger_ui_version,
                client_id=self._settings.client_id,
                public_url=self._settings.public_url,
            ).pages()
        self._pages = pages | self._pages

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        """Add a route of Flask's, beside the contract."""
        self.app.add_url_rule(rule, endpoint, view_func, **options)

    def make_public(self, *names: str) -> None:
        """Let everybody call routes beside the contract, of blueprints or extensions.

        Others need what the top-level `security` of the first contract says. A route can't take the path of an
        operation, which alone the contract speaks of.

        Args:
            names: Endpoints like `pages.index`, or blueprints like `pages`, all of whose endpoints are meant.
        """
        self._must_be_open("make_public")
        self._public.update(names)

    def add_error_handler(self, code_or_exception: int | type[Exception], function: Handler) -> None:
        """Have a function, plain or a coroutine's, answer errors of a class, or refusals with a status."""
        self._must_be_open("add_error_handler")
        self._errors.add(code_or_exception, function)

    def add_middleware(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: there is no stack to put it in."""
        raise TypeError(f"add_middleware isn't supported. {_WRAP}")

    def add_wsgi_middleware(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: Flask isn't called as a WSGI application."""
        raise TypeError(f"add_wsgi_middleware isn't supported. {_WRAP}")

    def run(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: the command line runs it."""
        raise TypeError("run isn't supported: use `python -m api run`, or any server for ASGI applications.")

    def _must_be_open(self, name: str) -> None:
        if self._flow is not None:
            raise RuntimeError(f"{name} comes too late: the application has begun to answer requests")

    def complete(self) -> Flow:
        """Complete the application: nothing can be added to it afterwards."""
        if self._flow is None:
            if "wsgi_app" in vars(self.app):
                logger.warning(_UNCALLED)
            beside = Beside(self.app, self._default, self._public)
            self.beside = beside.callers(self._paths)
            for route, callers in self.beside.items():
                logger.info("Beside the contract: %s. %s", route, callers)
            taken = self._paths | beside.paths()
            trace = None
            if self._settings.tracing:
                from resource_server.serving.tracing import Tracing

                trace = Tracing(self._settings.trusted_proxies)
            self._flow = Flow(
                health=self._health,
                health_paths={LIVE, READY} - taken,
                edge=Edge(
                    trusted_proxies=self._settings.trusted_proxies,
                    cors_origins=self._settings.cors_origins,
                    cors_headers=(*self._settings.cors_headers, *(_TRACED if self._settings.tracing else ())),
                    contracts=self._contracts,
                ),
                pages={path: page for path, page in self._pages.items() if path not in taken},
                routes=self._routes,
                beside=beside,
                steps=Steps(self.app),
                errors=self._errors,
                threads=self._threads,
                max_requests=self._settings.max_requests,
                max_body=self._settings.max_body,
                observers=self._observers,
                trace=trace,
            )
        return self._flow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        flow = self._flow or self.complete()
        if scope["type"] == "http":
            await flow(scope, receive, send)
        elif scope["type"] == "lifespan":
            self._health.begin()
            await answer_lifespan(self._lifespan(self), receive, send, tracing=self._settings.tracing)
        else:
            await send({"type": "websocket.close"})


_PREPARED = 100  # operations; of a larger contract each schema is compiled when it is first needed
_UNCALLED = (
    "app.wsgi_app has been replaced, like by ProxyFix, and no request passes it: TRUSTED_PROXIES says which proxies "
    f"are believed. {_WRAP}"
)
_HIDDEN = "%s: `%s` is its parameter. What the token says is in `connexion.context.context`, by the same name"
_TRACED = "traceparent", "tracestate", "baggage"
_OPTIONS = {"pythonic_params", "strict_validation", "validate_responses"}
