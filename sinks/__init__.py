"""Where results go: topics, dead letters, metrics, files."""
