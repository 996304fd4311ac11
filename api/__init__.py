"""The application: what it serves and how it is started."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.app import create_app

__all__ = ["create_app"]

# Connexion imports Starlette's test client, which tells its users to replace httpx. There is nothing that ours can do.
warnings.filterwarnings("ignore", "Using `httpx` with `starlette.testclient`")


def __getattr__(name: str) -> Any:
    # Connexion takes a second to import, which commands like `python -m api token` needn't wait for.
    if name == "create_app":
        from api.app import create_app

        return create_app
    raise AttributeError(name)
