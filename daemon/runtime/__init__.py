"""When work happens: schedule, threads, signals, systemd."""
