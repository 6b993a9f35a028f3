"""``kubeweft compare``: two objects, or two rollouts of one, aligned at their start."""

from __future__ import annotations

import click

from kubeweft.app.comparing import show_comparison
from kubeweft.app.object_limits import COMPARED
from kubeweft.cli import options


@click.command(short_help="Two objects or two rollouts side by side.")
@click.argument("a", metavar="KIND/NAME[@TIME]")
@click.argument("b", metavar="KIND/NAME[@TIME]")
@options.namespace
@options.cluster
@options.store
@click.option(
    "--quiet", default="10m", show_default=True, help="A run has ended when nothing happened for so long."
)
@options.objects(COMPARED, "So many objects of each at most are counted")
@options.local_time
@options.output("text", "json")
def compare(
    a: str,
    b: str,
    namespace: str,
    cluster: str,
    store: str,
    quiet: str,
    objects: int,
    local: bool,
    output: str,
) -> None:
    """Lay two objects, or two rollouts of one, side by side from their starts on.

    A step is what happened to objects of a kind, such as "Pod: Ready True": how often, when first and last. Then come
    the steps that only one has, and the fields in which the objects ended up different. @TIME names the rollout that
    began then (10:32: in that minute), else the one that was going on; without it an object counts from its creation.
    An object elsewhere is written CLUSTER:KIND/NAMESPACE/NAME.

    \b
    kubeweft compare deployment/demo@10:32 deployment/demo@11:02 -n default
    kubeweft compare pod/web-1 pod/web-2 -n shop
    kubeweft compare deploy/staging/web deploy/shop/web -o json
    """
    show_comparison(
        options.existing_store(store),
        (a, b),
        namespace=namespace,
        cluster=cluster,
        quiet=quiet,
        objects=objects,
        local=local,
        form=output,
        console=options.standard_output(),
    )
