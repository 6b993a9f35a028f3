"""Spans as OpenTelemetry's wire format knows them: what leaves for a receiver, what comes back from a trace store."""
