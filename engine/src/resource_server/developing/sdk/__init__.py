"""Clients in other languages, generated from the contract by openapi-generator."""
