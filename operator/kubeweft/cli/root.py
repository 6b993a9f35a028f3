"""``kubeweft`` itself: its commands, and how errors reach a person."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from typing import Any

import click

from kubeweft.model.errors import NotNow, UserError

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
COMMANDS = {  # name: where it is, loaded only when it is used, for the sake of a quick start
    "run": "kubeweft.cli.run:run",
    "show": "kubeweft.cli.show:show",
    "diff": "kubeweft.cli.diff:diff",
    "compare": "kubeweft.cli.compare:compare",
    "views": "kubeweft.cli.views:views",
    "search": "kubeweft.cli.search:search",
    "serve": "kubeweft.cli.serve:serve",
    "import": "kubeweft.cli.importing:import_",
    "rules": "kubeweft.cli.rules:rules",
    "crds": "kubeweft.cli.crds:crds",
}


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class ReaderGone(Exception):
    """Whoever read our output has had enough (``| head``). Under this name click does not call it a failure."""


class Commands(click.Group):
    """The commands of :data:`COMMANDS`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run one, until its output is written."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise ReaderGone from None
        return result

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Which one is meant; a word that is none is told with those that are like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=2)
            if not near:
                raise
            like = " or ".join(map(repr, near))
            raise click.UsageError(f"{error.message} Did you mean {like}?", ctx) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Commands, context_settings=SETTINGS)
@click.version_option(package_name="kubeweft", prog_name="kubeweft")
def kubeweft() -> None:
    """See what really happened to every object in a Kubernetes cluster, and why.

    \b
    kubeweft run --kubeconfig ~/.kube/config --store kubeweft.db     watch a cluster
    kubeweft show deployment/demo -n default --store kubeweft.db     the story of one object and what it owns
    kubeweft diff deployment/demo -n default --from 1h               what became of it, and who did that
    kubeweft compare deploy/demo@10:32 deploy/demo@11:02             two rollouts side by side
    kubeweft views                                                   what --view and --select may be
    kubeweft search --text BackOff --since 1h --store kubeweft.db    find objects
    kubeweft serve --store kubeweft.db                               for Jaeger, Grafana and browsers
    kubeweft import audit.log --store kubeweft.db                    read audit logs, no cluster needed
    kubeweft rules test -f rule.yaml -f objects.yaml                 try a LinkRule
    """


QUIET = "NONE"  # what gRPC itself would print stands in our own messages, said clearer


def main() -> None:
    """The entry point: errors that a person can mend are one clear message and exit status 2."""
    run_command(kubeweft)


def run_command(command: click.Command, *, name: str = "kubeweft") -> None:
    """Run what was typed to its end; ``name`` is what it was called by."""
    os.environ.setdefault("GRPC_VERBOSITY", QUIET)  # read when it is loaded
    try:
        status = command.main(prog_name=name, standalone_mode=False)
        if isinstance(status, int):  # some command called ctx.exit
            sys.exit(status)
    except (UserError, NotNow) as error:
        click.echo(f"kubeweft: {_plain(str(error))}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except ReaderGone:
        _write_no_more()
        sys.exit(0)
    except OSError as error:
        if error.errno not in NO_ROOM or error.filename is not None:
            raise
        _write_no_more()
        click.echo(f"kubeweft: the output cannot be written: {error.strerror}", err=True)
        sys.exit(2)


def _plain(text: str) -> str:
    """An error may quote names that somebody stored: nothing in them shall drive a terminal."""
    return "".join([c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text])


def _write_no_more() -> None:
    """What is still to be written when the process ends is lost without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
