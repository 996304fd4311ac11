"""What the operations promise beyond the contract."""

from resource_server.testing import AccessTokens, Client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_everybody_is_greeted_in_public(client: Client) -> None:
    assert "don't need to be authenticated" in client.get("/api/public").json()["message"]


def test_private_message_needs_a_token_for_this_api(client: Client, access_token: AccessTokens) -> None:
    assert client.get("/api/private").status_code == 401
    assert client.get("/api/private", headers=bearer(access_token(aud="https://another"))).status_code == 401
    assert client.get("/api/private", headers=bearer(access_token())).status_code == 200


def test_scoped_message_needs_the_scope(client: Client, access_token: AccessTokens) -> None:
    assert client.get("/api/private-scoped", headers=bearer(access_token())).status_code == 403
    token = access_token(sub="auth0|ada", scope="read:messages")
    assert client.get("/api/private-scoped", headers=bearer(token)).status_code == 200
