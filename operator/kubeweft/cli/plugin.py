"""``kubectl kubeweft …``: the same commands with kubectl's habits, and completion as kubectl asks its plug-ins for it.

What names objects takes kubectl's flags and looks in the namespace of the kubeconfig's context. Where the store holds
several clusters, the one that is called like the context or its cluster is meant.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import click
from click.shell_completion import ShellComplete

from kubeweft.app.kubectl import Place, place_of
from kubeweft.app.showing import stored_clusters
from kubeweft.cli import root
from kubeweft.model.errors import UserError

NAME = "kubectl kubeweft"
NAMESPACE_HELP = "Namespace; default: that of the context."
ABOUT_OBJECTS = ("show", "diff", "compare", "search")
NO_FILE_COMPLETION = 4  # a directive of Cobra's protocol, which kubectl speaks with its plug-ins
OWN_FLAGS = ("kubeconfig", "context", "all_namespaces")


class Plugin(root.Commands):
    """The commands of ``kubeweft``, those about objects with kubectl's flags, which may also stand before the command."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one."""
        command = super().get_command(ctx, cmd_name)
        return _as_plugin(command) if command is not None and cmd_name in ABOUT_OBJECTS else command


def _flags() -> list[click.Option]:
    """kubectl's own, which ``kubeweft`` does not have."""
    return [
        click.Option(["-A", "--all-namespaces"], is_flag=True, help="Look in all namespaces."),
        click.Option(["--context"], default="", help="Context of the kubeconfig; default: the current one."),
        click.Option(
            ["--kubeconfig"], default="", help="kubeconfig file; default: KUBECONFIG, ~/.kube/config."
        ),
    ]


def _as_plugin(command: click.Command) -> click.Command:
    """The command with kubectl's flags; it is called with the namespace and cluster that kubectl would use."""

    def called(**values: Any) -> Any:
        ctx = click.get_current_context()
        before = ctx.obj or {}
        flags = {flag: values.pop(flag) or before.get(flag, "") for flag in OWN_FLAGS}
        for option in ("namespace", "cluster"):
            values[option] = values[option] or before.get(option, "")
        _locate(values, flags)
        assert command.callback is not None
        return command.callback(**values)

    help_text = (
        (command.help or "").replace("\n    kubeweft ", f"\n    {NAME} ").replace("\nkubeweft ", f"\n{NAME} ")
    )
    return click.Command(
        name=command.name,
        callback=called,
        params=[*map(_of_plugin, command.params), *_flags()],
        help=help_text,
        short_help=command.short_help,
        context_settings=command.context_settings,
    )


def _of_plugin(param: click.Parameter) -> click.Parameter:
    """The same, with help that is right for the plug-in."""
    if not isinstance(param, click.Option) or not param.help:
        return param
    changed = copy.copy(param)
    changed.help = (
        NAMESPACE_HELP if param.name == "namespace" else param.help.replace("`kubeweft ", f"`{NAME} ")
    )
    return changed


def _locate(values: dict[str, Any], flags: dict[str, Any]) -> None:
    if values["namespace"] and flags["all_namespaces"]:
        raise UserError("-n and -A say two different things: leave one out")
    place = place_of(kubeconfig=flags["kubeconfig"], context=flags["context"])
    if not values["namespace"] and not flags["all_namespaces"]:
        values["namespace"] = place.namespace
    if not values["cluster"]:
        values["cluster"] = _cluster_of(place, values["store"])


def _cluster_of(place: Place, store: str) -> str:
    """Left open where there is one cluster only, or none that goes by such a name."""
    stored = stored_clusters(store)
    if len(stored) < 2:
        return ""
    return next((name for name in place.cluster_names if name in stored), "")


@click.group(cls=Plugin, context_settings=root.SETTINGS, params=_flags())
@click.option("-n", "--namespace", default="", help=NAMESPACE_HELP)
@click.option("--cluster", default="", help="Name of the cluster, where the store has several.")
@click.version_option(package_name="kubeweft", prog_name=NAME)
@click.pass_context
def plugin(ctx: click.Context, /, **values: Any) -> None:
    """See what really happened to every object in a Kubernetes cluster, and why.

    \b
    kubectl kubeweft show deploy demo -n shop --store kubeweft.db
    kubectl kubeweft show pod/demo-1 --view timeline
    kubectl kubeweft diff deploy demo --from 1h
    kubectl kubeweft search -A --text BackOff
    """
    ctx.obj = values


def main() -> None:
    """The entry point ``kubectl-kubeweft``, which kubectl finds on PATH."""
    root.run_command(plugin, name=NAME)


def complete() -> None:
    """The entry point ``kubectl_complete-kubeweft``: one proposal a line, then a directive, as Cobra has it."""
    *before, incomplete = sys.argv[1:] or [""]
    completion = ShellComplete(plugin, {}, NAME, "")
    for item in completion.get_completions(before, incomplete):
        if item.type == "plain":
            click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(f":{NO_FILE_COMPLETION}")
