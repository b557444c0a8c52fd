"""YAML job files in, one frozen spec out, or every problem at once with its place and its cure."""
