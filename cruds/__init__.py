"""The HTTP client library."""
