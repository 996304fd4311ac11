"""The fixtures `client` and `access_token`: your API without a server, tokens without an issuer."""

pytest_plugins = ["resource_server.testing"]
