"""A limit: Flask without authorization."""

from flask import Flask

app = Flask(__name__)


@app.get("/api/public")
def public() -> dict[str, str]:
    """Answer as the API does."""
    return {"message": "Hello from a public endpoint! You don't need to be authenticated to see this."}


@app.get("/api/private")
def private() -> dict[str, str]:
    """Answer as the API answers good requests."""
    return {"message": "Hello from a private endpoint! You need to be authenticated to see this."}
