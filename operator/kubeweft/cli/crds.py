"""``kubeweft crds``: the CustomResourceDefinitions, printed or installed."""

from __future__ import annotations

import click

from kubeweft.app.installing import crd_manifests, install_crds


@click.command(short_help="Print or install the CustomResourceDefinitions.")
@click.option("--apply", is_flag=True, help="Install them (server-side apply) instead of printing them.")
@click.option("--kubeconfig", default="", help="kubeconfig file; without it, the usual places.")
@click.option("--context", default="", help="kubeconfig context; without it, the current one.")
def crds(*, apply: bool, kubeconfig: str, context: str) -> None:
    """Print the definitions of TracingPolicy and LinkRule, or install them.

    \b
    kubeweft crds | kubectl apply --server-side -f -
    kubeweft crds --apply --kubeconfig ~/.kube/config
    """
    if not apply:
        click.echo("---\n".join(crd_manifests()), nl=False)
        return
    for name in install_crds(kubeconfig=kubeconfig, context=context):
        click.echo(f"customresourcedefinition.apiextensions.k8s.io/{name} applied")
