"""The languages that a client can be generated in, and what the generator is told for each: `languages.yaml`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from resource_server.contract.spec import Contract, operations

_SETTINGS = Path(__file__).with_name("languages.yaml")

# They would hide that nothing has changed, or belong to whoever publishes the client.
_LEFT_OUT = ("git_push.sh", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".github/**")


@dataclass(frozen=True, kw_only=True)
class Language:
    """How a client is generated.

    Args:
        generator: Its name among openapi-generator's.
        options: The generator's own options; names in braces are the client's, in one spelling or another.
        repository: Where the client is published: host, owner and name.
        constructors: What the names of functions start with that the language has beside its types.
        reserved: What goes before the name of an operation that is a reserved word; by default as the generator has it.
    """

    generator: str
    options: dict[str, str | bool] = field(default_factory=dict)
    repository: str | None = None
    constructors: str | None = None
    reserved: str | None = None

    def arguments(self, contract: Contract) -> Iterator[str]:
        """The generator's arguments for a contract, as `generator_view` gives it."""
        yield from ("--generator-name", self.generator)
        yield from ("--openapi-generator-ignore-list", ",".join(_LEFT_OUT))
        yield from ("--global-property", "apiTests=false,modelTests=false")  # they are empty
        options = {"hideGenerationTimestamp": True, **self.options}  # the same contract gives the same client
        spellings = client_names(contract)
        for name, value in options.items():
            text = str(value).format(**spellings) if isinstance(value, str) else str(value).lower()
            yield f"--additional-properties={name}={text}"
        if self.repository:
            parts = self.repository.format(**spellings).split("/")
            for name, value in zip(("host", "user-id", "repo-id"), parts, strict=True):
                yield from (f"--git-{name}", value)
        if renamed := self._renamed_schemas(contract):
            yield f"--model-name-mappings={renamed}"
        if self.reserved:
            names = [operation["operationId"] for *_, operation, _ in operations(contract)]
            yield "--reserved-words-mappings=" + ",".join(
                f"{name}={self.reserved}{name.capitalize()}" for name in names
            )

    def _renamed_schemas(self, contract: Contract) -> str:
        schemas = contract.get("components", {}).get("schemas", {})
        taken = [name for name in schemas if f"{self.constructors}{name}" in schemas] if self.constructors else []
        return ",".join(f"{self.constructors}{name}={name}{self.constructors}" for name in taken)


def languages() -> dict[str, Language]:
    """The languages, by name."""
    settings = yaml.safe_load(_SETTINGS.read_text(encoding="utf-8"))
    return {name: Language(**given) for name, given in settings.items()}


def client_names(contract: Contract) -> dict[str, str]:
    """What the client of a contract is called, in each spelling, and its version."""
    words = re.findall(r"[a-z0-9]+", contract["info"]["title"].lower())
    words = [word for word in words if word != "api"] or ["api"]
    if words[0][0].isdigit():
        words.insert(0, "api")  # no language has names that start with a digit
    words.append("client")
    return {
        "pascal": "".join(map(str.capitalize, words)),
        "snake": "_".join(words),
        "kebab": "-".join(words),
        "flat": "".join(words),
        "version": contract["info"]["version"],
    }
