"""Tests of processes that serve, and of commands: with other servers, load and outages."""
