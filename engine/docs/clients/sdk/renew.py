"""The life of an access token: fetched by client credentials, sent by the generated client, renewed in time."""

import os
import sys

from authlib.integrations.requests_client import OAuth2Session
from messages_client import ApiClient, Configuration, MessagesApi

RENEW_BEFORE = int(os.environ.get("RENEW_BEFORE", "60"))  # seconds before it expires

oauth = OAuth2Session(  # an OAuth2Client, over requests
    os.environ.get("CLIENT_ID", "development"),
    os.environ.get("CLIENT_SECRET", "development"),
    token_endpoint_auth_method="client_secret_post",
)


def access_token() -> str:
    """A token that is good for a while, which is asked for only if there is none yet."""
    if not oauth.token or oauth.token.is_expired(RENEW_BEFORE):
        # Not `oauth.ensure_active_token`, which would ask for the new one without the audience.
        oauth.fetch_token(
            os.environ.get("TOKEN_URL", "http://127.0.0.1:3011/oauth/token"),
            grant_type="client_credentials",
            audience=os.environ.get("AUDIENCE", "https://api.example.com"),
            scope="read:messages",
        )
        print(f"New access token, good for {oauth.token['expires_in']} seconds", file=sys.stderr)
    return str(oauth.token["access_token"])


configuration = Configuration(host=os.environ.get("API_URL", "http://127.0.0.1:3010"))
with ApiClient(configuration) as client:
    for _ in range(3):
        configuration.access_token = access_token()
        print(MessagesApi(client).private_scoped().message)
