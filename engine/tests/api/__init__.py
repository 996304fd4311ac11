"""Tests of an API that is served."""
