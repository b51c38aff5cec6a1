"""One module a verb. Each has `command`."""
