"""The query API over HTTP: Jaeger's old dialect, its v3 dialect, redirects to an object's trace, and the UI's files."""
