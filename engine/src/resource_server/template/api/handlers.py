"""What the operations do. Connexion calls a handler only after the request has been authorized.

A handler that names the parameters `user` or `token_info` receives the token's subject or all its claims.
"""


def public() -> dict[str, str]:
    """Greet everybody."""
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


def private() -> dict[str, str]:
    """Greet whoever is authenticated."""
    return {"message": "Hello from a private endpoint! You need to be authenticated to see this."}


def private_scoped() -> dict[str, str]:
    """Greet whoever may read messages."""
    return {
        "message": "Hello from a private endpoint! You need to be authenticated and have a scope of read:messages "
        "to see this."
    }
