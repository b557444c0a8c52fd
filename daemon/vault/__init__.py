"""Keys and sealing: the only place that does cryptography for the daemon."""
