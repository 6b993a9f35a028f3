"""Each rule of ``config/link-rules`` on objects as Kubernetes and the tools concerned write them."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import yaml

from kubeweft.app.rules.documents import Document, read_documents
from kubeweft.app.rules.rulebook import read_rules
from kubeweft.app.rules.trying import Outcome, try_rules
from kubeweft.app.rules.world import World
from kubeweft.model.kinds import Kinds
from kubeweft.model.references import ObjectKey
from kubeweft.model.rules import LinkRule

LIBRARY = Path(__file__).parents[3] / "config/link-rules"
NAMES = sorted(file.stem for file in LIBRARY.glob("*.yaml") if file.stem != "kustomization")


@functools.cache
def rule(name: str) -> LinkRule:
    """The compiled rule."""
    (declared,) = read_rules(read_documents([str(LIBRARY / f"{name}.yaml")]))
    assert declared.verdict.rule is not None
    return declared.verdict.rule


def tried(name: str, text: str, *, cluster: str = "local") -> Outcome:
    """What a rule makes of the objects in a YAML text."""
    world = World(Kinds(), namespace="shop")
    documents = [Document("text", body) for body in yaml.safe_load_all(text)]
    world.learn(documents)
    for document in documents:
        world.put(document, cluster=cluster)
    (outcome,) = try_rules([rule(name)], world)
    assert (outcome.errors, outcome.first_error, outcome.over_limit, outcome.unknown) == (0, "", 0, 0)
    return outcome


def links(outcome: Outcome) -> set[str]:
    """``pods/web > secrets/tls`` for each link; cluster and namespace only where they are not those of the source."""
    return {f"{_name(one.source)} > {_name(one.relation.target, one.source)}" for one in outcome.links}


def _name(key: ObjectKey, source: ObjectKey | None = None) -> str:
    text = f"{key.resource}/{key.name}"
    if source is None:
        return text
    if key.namespace and key.namespace != source.namespace:
        text = f"{key.namespace}/{text}"
    return text if key.cluster == source.cluster else f"{key.cluster}:{text}"


POD = """
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {app: web, tier: front}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d, uid: u, controller: true}]
spec:
  nodeName: worker-1
  serviceAccountName: robot
  priorityClassName: high
  imagePullSecrets: [{name: pull}]
  initContainers:
  - name: init
    env: [{name: A, valueFrom: {secretKeyRef: {name: init-env, key: k}}}]
    envFrom: [{configMapRef: {name: init-settings}}]
  containers:
  - name: one
    env:
    - {name: PLAIN, value: x}
    - {name: FIELD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: B, valueFrom: {secretKeyRef: {name: env, key: k}}}
    - {name: C, valueFrom: {configMapKeyRef: {name: level, key: k}}}
    envFrom: [{secretRef: {name: env-from}}, {configMapRef: {name: settings}}]
  - {name: two, env: [{name: B, valueFrom: {secretKeyRef: {name: env, key: k}}}]}
  ephemeralContainers:
  - {name: debug, envFrom: [{secretRef: {name: debug}}]}
  volumes:
  - {name: a, secret: {secretName: tls}}
  - {name: b, configMap: {name: files}}
  - {name: c, projected: {sources: [{secret: {name: both}}, {configMap: {name: both}}, {serviceAccountToken: {path: t}}]}}
  - {name: d, persistentVolumeClaim: {claimName: data}}
  - {name: e, csi: {driver: x, nodePublishSecretRef: {name: csi}}}
  - {name: f, cephfs: {secretRef: {name: ceph}}}
  - {name: g, azureFile: {secretName: azure}}
  - {name: h, emptyDir: {}}
"""

SERVICES = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web, canary: "yes"}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-3, namespace: other, labels: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: by-hand, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}, matchExpressions: [{key: canary, operator: DoesNotExist}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: shop}
spec: {podSelector: {}}
"""

CASES: dict[str, tuple[str, set[str]]] = {
    "owner": (POD, {"pods/web > replicasets/web-5d"}),
    "pod-node": (POD, {"pods/web > nodes/worker-1"}),
    "pod-secret": (
        POD,
        {
            f"pods/web > secrets/{name}"
            for name in (
                "tls",
                "both",
                "csi",
                "ceph",
                "azure",
                "pull",
                "env",
                "env-from",
                "init-env",
                "debug",
            )
        },
    ),
    "pod-configmap": (
        POD,
        {f"pods/web > configmaps/{name}" for name in ("files", "both", "level", "settings", "init-settings")},
    ),
    "pod-persistentvolumeclaim": (POD, {"pods/web > persistentvolumeclaims/data"}),
    "pod-serviceaccount": (POD, {"pods/web > serviceaccounts/robot"}),
    "pod-priorityclass": (POD, {"pods/web > priorityclasses/high"}),
    "persistentvolumeclaim-volume": (
        """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {volumeName: pvc-1, storageClassName: fast}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: waiting, namespace: shop}
spec: {storageClassName: fast}
""",
        {"persistentvolumeclaims/data > persistentvolumes/pvc-1"},
    ),
    "volume-storageclass": (
        """
apiVersion: v1
kind: PersistentVolume
metadata: {name: pvc-1}
spec: {storageClassName: fast}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: by-hand}
spec: {storageClassName: ""}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: shop}
spec: {storageClassName: fast}
""",
        {
            "persistentvolumes/pvc-1 > storageclasses/fast",
            "persistentvolumeclaims/data > storageclasses/fast",
        },
    ),
    "service-pods": (SERVICES, {"services/web > pods/web-1", "services/web > pods/web-2"}),
    "poddisruptionbudget-pods": (SERVICES, {"poddisruptionbudgets/web > pods/web-1"}),
    "networkpolicy-pods": (
        SERVICES,
        {"networkpolicies/deny-all > pods/web-1", "networkpolicies/deny-all > pods/web-2"},
    ),
    "endpointslice-service": (
        """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-x2x5p, namespace: shop, labels: {kubernetes.io/service-name: web}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default}
""",
        {"endpointslices/web-x2x5p > services/web"},
    ),
    "ingress-service": (
        """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec:
  defaultBackend: {service: {name: fallback}}
  rules:
  - http: {paths: [{backend: {service: {name: web}}}, {backend: {service: {name: api}}}]}
  - http: {paths: [{backend: {service: {name: web}}}, {backend: {resource: {kind: Bucket, name: x}}}]}
""",
        {f"ingresses/web > services/{name}" for name in ("fallback", "web", "api")},
    ),
    "httproute-service": (
        """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  rules:
  - backendRefs: [{name: web, port: 80}, {name: other, namespace: elsewhere, kind: Service, group: ""}]
  - backendRefs: [{name: bucket, kind: Bucket, group: example.org}]
  - filters: []
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: rpc, namespace: shop}
spec: {rules: [{backendRefs: [{name: rpc}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirect, namespace: shop}
spec: {}
""",
        {
            "httproutes/web > services/web",
            "httproutes/web > elsewhere/services/other",
            "grpcroutes/rpc > services/rpc",
        },
    ),
    "horizontalpodautoscaler-target": (
        """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: old, namespace: shop}
spec: {scaleTargetRef: {apiVersion: v1, kind: ReplicationController, name: old}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: roll, namespace: shop}
spec: {scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: roll}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: roll, namespace: shop}
""",
        {
            "horizontalpodautoscalers/web > deployments/web",
            "horizontalpodautoscalers/old > replicationcontrollers/old",
            "horizontalpodautoscalers/roll > rollouts/roll",
        },
    ),
    "job-cronjob": (
        """
apiVersion: batch/v1
kind: Job
metadata:
  name: tick-29333333
  namespace: shop
  annotations: {batch.kubernetes.io/cronjob-scheduled-timestamp: "2026-11-21T10:00:00Z"}
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: tick, uid: u, controller: true}]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: night-tick-29333334
  namespace: shop
  annotations: {batch.kubernetes.io/cronjob-scheduled-timestamp: "2026-11-21T10:00:00Z"}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: by-hand
  namespace: shop
  annotations: {cronjob.kubernetes.io/instantiate: manual}
  ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: tick, uid: u}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: alone-1, namespace: shop}
""",
        {
            "jobs/tick-29333333 > cronjobs/tick",
            "jobs/night-tick-29333334 > cronjobs/night-tick",
            "jobs/by-hand > cronjobs/tick",
        },
    ),
    "rolebinding-role": (
        """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
""",
        {
            "rolebindings/readers > roles/reader",
            "rolebindings/viewers > clusterroles/view",
            "clusterrolebindings/admins > clusterroles/admin",
        },
    ),
    "rolebinding-subjects": (
        """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: robot}
- {kind: ServiceAccount, name: runner, namespace: ci}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: alice}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: nobody}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
""",
        {"rolebindings/readers > serviceaccounts/robot", "rolebindings/readers > ci/serviceaccounts/runner"},
    ),
    "webhook-service": (
        """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: inject}
webhooks:
- {name: a.example.org, clientConfig: {service: {name: inject, namespace: mesh}}}
- {name: b.example.org, clientConfig: {url: "https://example.org"}}
- {name: c.example.org, clientConfig: {service: {name: inject, namespace: canary}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: check}
webhooks: [{name: a.example.org, clientConfig: {service: {name: check, namespace: policy}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  conversion: {strategy: Webhook, webhook: {clientConfig: {service: {name: convert, namespace: widgets}}}}
""",
        {
            "mutatingwebhookconfigurations/inject > mesh/services/inject",
            "mutatingwebhookconfigurations/inject > canary/services/inject",
            "validatingwebhookconfigurations/check > policy/services/check",
            "customresourcedefinitions/widgets.example.org > widgets/services/convert",
        },
    ),
    "apiservice-service": (
        """
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec: {service: {name: metrics-server, namespace: kube-system}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.apps}
spec: {group: apps}
""",
        {"apiservices/v1beta1.metrics.k8s.io > kube-system/services/metrics-server"},
    ),
    "helm-release": (
        """
apiVersion: v1
kind: ConfigMap
metadata:
  name: by-helm
  namespace: shop
  labels: {app.kubernetes.io/managed-by: Helm}
  annotations: {meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: releases}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: by-chart
  namespace: shop
  labels: {app.kubernetes.io/managed-by: Helm, app.kubernetes.io/instance: web}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: not-by-helm, namespace: shop, labels: {app.kubernetes.io/instance: web}}
""",
        {"configmaps/by-helm > releases/releases/web", "configmaps/by-chart > releases/web"},
    ),
    "argocd-application": (
        """
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: annotated
  namespace: shop
  annotations: {argocd.argoproj.io/tracking-id: "web:/ConfigMap:shop/annotated"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: labelled, namespace: shop, labels: {argocd.argoproj.io/instance: web}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: anywhere
  namespace: shop
  annotations: {argocd.argoproj.io/tracking-id: "team-a_web:/ConfigMap:shop/anywhere"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: helm-chart, namespace: shop, labels: {app.kubernetes.io/instance: web}}
""",
        {
            "configmaps/annotated > argocd/applications/web",
            "configmaps/labelled > argocd/applications/web",
            "configmaps/anywhere > team-a/applications/web",
        },
    ),
    "flux-kustomization": (
        """
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
  labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}
""",
        {"configmaps/settings > flux-system/kustomizations/apps"},
    ),
    "flux-helmrelease": (
        """
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cache, namespace: flux-system}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
  labels: {helm.toolkit.fluxcd.io/name: cache, helm.toolkit.fluxcd.io/namespace: flux-system}
""",
        {"configmaps/settings > flux-system/helmreleases/cache"},
    ),
    "crossplane-claim": (
        """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: xdatabases.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {plural: xdatabases, kind: XDatabase}
  versions: [{name: v1}]
---
apiVersion: example.org/v1
kind: Database
metadata: {name: orders, namespace: shop}
---
apiVersion: example.org/v1
kind: XDatabase
metadata:
  name: orders-x7
  labels: {crossplane.io/composite: orders-x7, crossplane.io/claim-name: orders, crossplane.io/claim-namespace: shop}
spec: {claimRef: {apiVersion: example.org/v1, kind: Database, name: orders, namespace: shop}}
---
apiVersion: rds.example.org/v1
kind: Instance
metadata:
  name: orders-x7-db
  labels: {crossplane.io/composite: orders-x7, crossplane.io/claim-name: orders, crossplane.io/claim-namespace: shop}
  ownerReferences: [{apiVersion: example.org/v1, kind: XDatabase, name: orders-x7, uid: u, controller: true}]
""",
        {"xdatabases/orders-x7 > shop/databases/orders", "instances/orders-x7-db > xdatabases/orders-x7"},
    ),
    "federated-member": (
        """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  namespace: shop
  annotations: {kubeweft.io/member: "east/shop/web, west/other/web-2"}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {kubeweft.io/member: east/shop}}
""",
        {
            "networkpolicies/web > east:networkpolicies/web",
            "networkpolicies/web > west:other/networkpolicies/web-2",
            "namespaces/shop > east:namespaces/shop",
        },
    ),
    "federated-by": (
        """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, annotations: {kubeweft.io/federated-by: hub/shop/web}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-5d
  namespace: shop
  annotations: {kubeweft.io/federated-by: hub/shop/web}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]
""",
        {"deployments/web > hub:deployments/web"},
    ),
}


def test_every_rule_of_the_library_has_a_case() -> None:
    assert sorted(CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_links_what_it_says_and_nothing_else(name: str) -> None:
    text, expected = CASES[name]
    assert links(tried(name, text)) == expected


@functools.cache
def bare() -> str:
    """An object of each type, with nothing in it; but for types that the API server lets none be without."""
    never = ("HorizontalPodAutoscaler", "RoleBinding", "ClusterRoleBinding", "HTTPRoute", "GRPCRoute")
    bodies = [body for text, _ in CASES.values() for body in yaml.safe_load_all(text)]
    types = sorted({(body["apiVersion"], body["kind"]) for body in bodies if body["kind"] not in never})
    metadata = {"name": "bare", "namespace": "shop"}
    return yaml.safe_dump_all([{"apiVersion": v, "kind": k, "metadata": metadata} for v, k in types])


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_makes_nothing_of_objects_without_anything(name: str) -> None:
    """Nobody's object may make a rule of ours fail."""
    assert links(tried(name, bare())) == set()


def test_both_ends_of_a_federation_mean_the_same_pair() -> None:
    member, by = rule("federated-member"), rule("federated-by")
    assert (member.role, by.role) == ("Child", "Parent")


def test_the_owner_rule_says_which_owner_controls() -> None:
    second = POD.replace(
        "controller: true}]", "controller: true}, {apiVersion: v1, kind: Node, name: n, uid: v}]"
    )
    found = {(one.relation.target.name, one.relation.link_class) for one in tried("owner", second).links}
    assert found == {("web-5d", "Controls"), ("n", "Owns")}
