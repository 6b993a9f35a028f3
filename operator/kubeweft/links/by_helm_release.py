"""The Helm release that installed an object.

A release is no object of the API: Helm keeps each of its revisions in a Secret of its own
(``sh.helm.release.v1.<name>.v<revision>``), which comes and goes with every upgrade. What an administrator calls the
release outlives them all. So a release is one virtual object, ``releases.helm.sh`` with the namespace and name of the
release: nothing watches it, it has no spans but what is linked to it, and it always counts as resolved. A rule that
names a resource type of its own (Flux's ``helmreleases``) means objects of that type instead.
"""

from __future__ import annotations

from typing import Final

from kubeweft.links.naming import Find, Named, Subject
from kubeweft.model.rules import ByHelmRelease

GROUP: Final = "helm.sh"
RESOURCE: Final = "releases"

_NAME: Final = "meta.helm.sh/release-name"
_NAMESPACE: Final = "meta.helm.sh/release-namespace"
_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
_INSTANCE: Final = "app.kubernetes.io/instance"


def compile_finder(finder: ByHelmRelease) -> Find:
    """What finds the release in the annotations that Helm writes, or in the labels that charts write, or in either."""
    ways = {
        "Annotations": (_by_annotations,),
        "ManagedByLabel": (_by_labels,),
        "Auto": (_by_annotations, _by_labels),
    }[finder.storage]

    def find(subject: Subject) -> list[Named]:
        for way in ways:
            named = way(subject)
            if named is not None:
                return [named]
        return []

    return find


def _by_annotations(subject: Subject) -> Named | None:
    name = subject.annotations.get(_NAME)
    if type(name) is not str or not name:
        return None
    namespace = subject.annotations.get(_NAMESPACE)
    return Named(name, namespace if type(namespace) is str else "")


def _by_labels(subject: Subject) -> Named | None:
    """Labels do not say the namespace of the release: it is that of the source."""
    name = subject.labels.get(_INSTANCE)
    if subject.labels.get(_MANAGED_BY) != "Helm" or type(name) is not str or not name:
        return None
    return Named(name)
