"""``kubeweft rules``: look at LinkRules, and try them, before and after they are applied."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args

import click

from kubeweft.app.rules import commands
from kubeweft.app.rules.world import LOCAL
from kubeweft.cli import options

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

files: Decorator = click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="PATH",
    help="YAML or JSON file, folder, or - for standard input. May be given several times.",
)
recursive: Decorator = click.option(
    "-R", "--recursive", is_flag=True, help="Also the folders within folders."
)
kubeconfig: Decorator = click.option(
    "--kubeconfig", default="", help="kubeconfig file; without it, the usual places."
)
context: Decorator = click.option(
    "--context", default="", help="kubeconfig context; without it, the current one."
)


@click.group(short_help="Try, check, list and explain LinkRules.")
def rules() -> None:
    """Try, check, list and explain LinkRules: in files, and in clusters. Nothing is ever changed.

    \b
    kubeweft rules test -f rule.yaml -f objects.yaml      what the rule links among these objects
    kubeweft rules test -f rule.yaml pod/web-1 -n shop    what it would link for an object of the cluster
    kubeweft rules check -f rules/                        whether all rules in a folder are valid
    kubeweft rules list                                   the rules of the cluster and their status
    kubeweft rules explain pod-node                       what a rule does, in plain words
    """


@rules.command(short_help="What rules would link.")
@click.argument("object_words", nargs=-1, metavar="[KIND/NAME]")
@files
@click.option(
    "--in",
    "elsewhere",
    multiple=True,
    metavar="CLUSTER=PATH",
    help="File or folder with objects of another cluster. May be given several times.",
)
@recursive
@options.namespace
@click.option(
    "--cluster",
    default=LOCAL,
    show_default=True,
    help="What the cluster of the other objects is called.",
)
@kubeconfig
@context
@click.option(
    "--fail-on",
    type=click.Choice(get_args(commands.FailOn)),
    default="unlinked",
    show_default=True,
    help="When to end with status 1.",
)
@options.output("text", "json")
def test(
    object_words: tuple[str, ...],
    elsewhere: tuple[str, ...],
    namespace: str,
    fail_on: commands.FailOn,
    output: commands.Form,
    **place: Any,
) -> None:
    """Show what LinkRules would link, whether they are applied or not.

    Objects come from the files, and where those have none, from the cluster, of which only the sources of the rules
    are read, and what they lead to. Rules come from the files, else from the cluster. Secret values are never read.

    \b
    kubeweft rules test -f rule.yaml -f pod.yaml
    kubectl get pods,nodes -A -o json | kubeweft rules test -f rule.yaml -f -
    kubeweft rules test -f rule.yaml -n shop              the objects of a namespace of the cluster
    kubeweft rules test pod/web-1 -n shop                 what the rules in the cluster link for one Pod
    kubeweft rules test -f rule.yaml -f hub/ --cluster hub --in east=east/ -o json

    \b
    Exit status:
      0  every rule links something (asked about KIND/NAME: one of them links it)
      1  --fail-on unlinked:   that is not so, or an expression failed
         --fail-on unresolved: that, or a target is not there or of an unknown type
         --fail-on none:       never
      2  a rule is not valid, or the input cannot be used
    """
    where = commands.Place(elsewhere=tuple(map(_cluster_and_path, elsewhere)), **place)
    question = commands.Question(words=object_words, namespace=namespace)
    _end(commands.test(where, question, fail_on=fail_on, form=output, console=options.standard_output()))


@rules.command(short_help="Whether rules are valid.")
@files
@recursive
@options.output("text", "json")
def check(*, files: tuple[str, ...], recursive: bool, output: commands.Form) -> None:
    """Compile the LinkRules in files, and say all that is wrong with them. Other objects are passed over.

    \b
    kubeweft rules check -f rules/ --recursive
    kubeweft rules check -f rule.yaml -o json

    Exit status: 0 if all rules are valid, else 2.
    """
    if not files:
        raise click.UsageError("name a file or a folder with -f")
    where = commands.Place(files=files, recursive=recursive)
    _end(commands.check(where, form=output, console=options.standard_output()))


@rules.command("list", short_help="The rules there are.")
@files
@recursive
@kubeconfig
@context
@options.output("text", "json")
def list_(*, output: commands.Form, **place: Any) -> None:
    """List the LinkRules of a cluster with their status, or those of files.

    \b
    kubeweft rules list
    kubeweft rules list -f config/link-rules -o json
    """
    _end(commands.list_rules(commands.Place(**place), form=output, console=options.standard_output()))


@rules.command(short_help="What rules do, in plain words.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@files
@recursive
@kubeconfig
@context
@options.output("text", "json")
def explain(*, names: tuple[str, ...], output: commands.Form, **place: Any) -> None:
    """Say in plain words what LinkRules do, field by field, and why one is refused or not ready.

    \b
    kubeweft rules explain pod-node
    kubeweft rules explain -f rule.yaml
    kubeweft rules explain 'pod-*' -o json
    """
    _end(commands.explain(commands.Place(**place), names, form=output, console=options.standard_output()))


def _cluster_and_path(text: str) -> tuple[str, str]:
    cluster, equals, path = text.partition("=")
    if not (cluster and equals and path):
        raise click.BadParameter(
            f"{text!r}: write CLUSTER=PATH, for example east=east.yaml", param_hint="--in"
        )
    return cluster, path


def _end(status: int) -> None:
    """End with this status, when the output is written."""
    sys.stdout.flush()
    if status:
        sys.exit(status)
