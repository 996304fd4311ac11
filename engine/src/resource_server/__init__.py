"""A resource server of OAuth 2: an API whose contract, routes and authorization policy are one OpenAPI document."""
