"""Reading a contract, and the checks before anything is served."""

from collections.abc import Iterable
from pathlib import Path

from resource_server.contract.compiled import Compiled
from resource_server.contract.files import read_document
from resource_server.contract.spec import Contract, ContractError

_MOST = 5


def load_contract(source: Path | Contract) -> Compiled:
    """Read a contract, or take one that has been read, and check that it can be served and enforced.

    Checks, beyond what `read_contract` does, that each operationId and validator function can be imported, that each
    scheme in use has a validator, that scopes are asked for only where they are enforced and declared, and that nothing
    looks like an extension of ours and isn't.

    Raises:
        ContractError: It can't be. The message names the first faults, each with its place and what to write.
    """
    from resource_server.contract.checks import complaints

    compiled = Compiled(read_contract(source))
    refuse(source, complaints(compiled))
    return compiled


def read_contract(source: Path | Contract) -> Contract:
    """Read an OpenAPI document of version 3.0, 3.1 or 3.2, whoever serves it, with what it refers to in other files.

    Raises:
        ContractError: It can't be read, or isn't valid.
    """
    from resource_server.contract.validity import formal_complaints, textual_complaints, version_complaint

    try:
        contract = read_document(source)
    except ContractError as error:
        raise ContractError(f"{_name(source)}: {error}") from error
    refuse(source, filter(None, [version_complaint(contract)]))
    refuse(source, formal_complaints(contract))
    refuse(source, textual_complaints(contract))
    return contract


def refuse(source: Path | Contract, complaints: Iterable[str]) -> None:
    """Refuse a contract that there are complaints of.

    Raises:
        ContractError: There are.
    """
    found = list(dict.fromkeys(complaints))
    if found:
        said = [f"{_name(source)}: {complaint}" for complaint in found[:_MOST]]
        more = [f"… and {len(found) - _MOST} more"] if len(found) > _MOST else []
        raise ContractError("\n".join([*said, *more]))


def _name(source: Path | Contract) -> str:
    return str(source) if isinstance(source, Path) else "The document"
