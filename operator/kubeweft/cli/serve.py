"""``kubeweft serve``: the traces of a store for Jaeger, Grafana and browsers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kubeweft.cli import options
from kubeweft.model.windows import DEFAULT_WINDOW_SECONDS
from kubeweft.runtime.logs import configure_logging

if TYPE_CHECKING:
    from kubeweft.app.serving import Serving


@click.command(short_help="Serve a store to Jaeger, Grafana and browsers.")
@options.store
@click.option(
    "--from",
    "source",
    default="",
    metavar="ADDRESS",
    help="Another store instead: grpc://HOST:PORT (Jaeger's storage API, for example jaeger-remote-storage) or"
    " http://HOST:PORT (the query API of a running Jaeger); with TLS grpcs:// or https://.",
)
@click.option(
    "--from-token-file",
    "source_token_file",
    default="",
    help="For --from: file with the bearer token of that store.",
)
@click.option(
    "--from-ca", "source_ca_file", default="", help="For --from: file of the CA that signed its certificate."
)
@click.option(
    "--window-seconds",
    "source_window_seconds",
    type=click.IntRange(60, 86_400),
    default=DEFAULT_WINDOW_SECONDS,
    show_default=True,
    help="For --from: the length of windows of the installation that wrote there.",
)
@click.option(
    "--grpc",
    default="127.0.0.1:17271",
    show_default=True,
    help="HOST:PORT of Jaeger's storage API; empty: none.",
)
@click.option(
    "--http",
    default="127.0.0.1:16686",
    show_default=True,
    help="HOST:PORT of the query API (and of the UI, with --ui); empty: none.",
)
@options.views
@options.extensions
@click.option(
    "--auth",
    type=click.Choice(["none", "kubernetes"]),
    default="none",
    show_default=True,
    help="Who may ask: everybody who reaches the address, or whoever a bearer token says, about what Kubernetes lets"
    " that one read.",
)
@click.option(
    "--ui", default="", metavar="DIR", help="Folder with a built Jaeger UI, served with the query API."
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A name by which --http may be asked, beside its IP addresses and localhost, for example that of a proxy in front"
    " of it; repeatable. Without any, an address that other machines reach may be asked by every name.",
)
@click.option(
    "--allow-origin",
    "allow_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Pages of another server that may read --http, https://grafana.example or * for all; repeatable.",
)
@click.option(
    "--base-path",
    default="",
    metavar="PATH",
    help="What stands before every path of --http, for example /kubeweft.",
)
@click.option(
    "--trace-page",
    default="",
    metavar="URL",
    help="Where /redirect leads to, with {trace_id} in it: the page of a Jaeger that reads --grpc, for example"
    " https://jaeger.example/trace/{trace_id}. Empty: the page here.",
)
@click.option("--tls-cert", default="", help="Certificate file of both servers; empty: no TLS.")
@click.option("--tls-key", default="", help="Key file that belongs to --tls-cert.")
@click.option(
    "--insecure-no-auth",
    "without_auth",
    is_flag=True,
    help="Listen at addresses that other machines reach without asking who is there.",
)
@click.option(
    "--insecure-no-tls",
    "without_tls",
    is_flag=True,
    help="For --auth kubernetes: take tokens without TLS at addresses that other machines reach, because a proxy or a mesh"
    " encrypts them.",
)
@click.option(
    "--cluster",
    default="local",
    show_default=True,
    help="For --auth kubernetes: the name that the cluster of the kubeconfig has in the store. It alone is told tokens.",
)
@click.option(
    "--shared-identities",
    "contexts",
    multiple=True,
    metavar="NAME=CONTEXT",
    help="For --auth kubernetes: another cluster of the store, by its context in the same kubeconfig, in which users and"
    " groups are the same people as in --cluster; repeatable. Of any other cluster nothing is shown.",
)
@click.option(
    "--kubeconfig", default="", help="For --auth kubernetes: kubeconfig file; empty: as kubectl finds it."
)
@click.option(
    "--context", default="", help="For --auth kubernetes: kubeconfig context; empty: the current one."
)
def serve(
    *,
    store: str,
    source: str,
    views: Path | None,
    extensions: Path | None,
    contexts: tuple[str, ...],
    **given: Any,
) -> None:
    """Serve what is stored to trace viewers, until Ctrl-C. Service is the view, operation the cluster; tags find objects.

    \b
    kubeweft serve --store kubeweft.db
    kubeweft serve --store kubeweft.db --ui jaeger-ui        Jaeger's UI at http://127.0.0.1:16686
    kubeweft serve --from grpc://jaeger-remote-storage:17271
    kubeweft serve --http 0.0.0.0:16686 --auth kubernetes --tls-cert tls.crt --tls-key tls.key
    """
    import uvloop  # what follows takes a second to load, which --help should not

    from kubeweft.app.serving import ServeOptions, serve_until_signal

    if not source:
        options.existing_store(store)
    elif click.get_current_context().get_parameter_source("store") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--store and --from name two stores: one is served at a time")
    chosen = ServeOptions(
        store=store,
        source=source,
        views=str(views) if views else "",
        extensions=str(extensions) if extensions else "",
        contexts=_contexts(contexts),
        **given,  # every other option bears the name of a field
    )
    configure_logging(level="info", form="text")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_until_signal(chosen, _tell))


def _tell(served: Serving) -> None:
    """For people and scripts: it serves, and where."""
    click.echo(f"serving grpc={served.grpc or '-'} http={served.url or '-'}")


def _contexts(words: tuple[str, ...]) -> dict[str, str]:
    parts = [word.partition("=") for word in words]
    wrong = next(
        (word for word, (name, _, context) in zip(words, parts, strict=True) if not name or not context), ""
    )
    if wrong:
        raise click.UsageError(f"--shared-identities {wrong}: write NAME=CONTEXT")
    return {name: context for name, _, context in parts}
