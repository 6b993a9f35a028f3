// The built UI of Jaeger 1.68, fetched as a Go module (which checksums it) and unpacked by tests/support/browser/jaeger_ui.py.
module kubeweft.invalid/jaeger-ui

go 1.25.0

require github.com/tonistiigi/jaeger-ui-rest v0.0.0-20250408171107-3dd17559e117
