"""Tests of parts, in seconds."""
