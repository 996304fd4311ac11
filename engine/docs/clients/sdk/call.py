import os

from messages_client import ApiClient, ApiException, Configuration, MessagesApi

configuration = Configuration(
    host=os.environ.get("API_URL", "http://127.0.0.1:3010"), access_token=os.environ.get("ACCESS_TOKEN")
)
with ApiClient(configuration) as client:
    try:
        print(MessagesApi(client).private_scoped().message)
    except ApiException as error:
        print(error.status, error.data.code)
