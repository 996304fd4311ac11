import os
from urllib.error import HTTPError
from urllib.request import Request, urlopen

url = os.environ.get("API_URL", "http://127.0.0.1:3010") + "/api/private-scoped"
request = Request(url, headers={"Authorization": f"Bearer {os.environ['ACCESS_TOKEN']}"})
try:
    response = urlopen(request)
except HTTPError as error:
    response = error
print(response.status, response.read().decode())
