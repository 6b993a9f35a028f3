"""``kubeweft run``: the operator. Options are settings; what is not given comes from the environment or a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from kubeweft.runtime.logs import configure_logging
from kubeweft.settings import Settings, load

Command = Any  # click's decorators are not typed precisely enough for mypy's strict mode to be of use here


def setting_options(command: Command) -> Command:
    """One option for each setting, with the setting's own description."""
    for name, field in reversed(Settings.model_fields.items()):
        shows_default = field.default_factory is None and field.default not in ("", ())
        text = f"{field.description}." + (f" [default: {field.default!r}]" if shows_default else "")
        command = click.option(
            f"--{name.replace('_', '-')}", name, default=None, help=text[0].upper() + text[1:]
        )(command)
    return command


@click.command(short_help="Watch a cluster and keep what happens as traces.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file with settings, named like the options."
)
@setting_options
def run(config: Path | None, **flags: Any) -> None:
    """Watch a cluster: objects, Events and (with --audit-listen) the audit log, into the store and out by OTLP.

    Every option is also an environment variable (KUBEWEFT_AUDIT_LISTEN) and a line of the --config file
    (audit_listen = "127.0.0.1:9443"); options win over the environment, which wins over the file.

    \b
    kubeweft run --kubeconfig ~/.kube/config --store kubeweft.db
    kubeweft run --store kubeweft.db --audit-listen 0.0.0.0:9443 --audit-token-file token --otlp grpc://jaeger:4317
    kubeweft run --without-policy nothing       trace only what TracingPolicies say
    """
    settings = load(flags=flags, file=config)
    import uvloop  # what follows takes seconds to load, which --help and a wrong setting should not

    from kubeweft.app.running import run_operator

    configure_logging(level=settings.log_level, form=settings.log_format)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_operator(settings))
