"""The systems we read from and write to, behind the core's ports."""
