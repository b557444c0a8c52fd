"""Databases as systems: a query to read, a table to write. Imported only where a job names one."""
