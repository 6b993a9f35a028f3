"""Every resource type that Kubernetes 1.36 serves by itself, and our own: group, version, plural, kind, scope, short names.

Taken from the API server's own aggregated discovery, in its order of groups. Where it serves several versions, the
preferred one stands here. Types that only answer (reviews, bindings) are here too: the audit log has them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class BuiltinKind(NamedTuple):
    """One row of the table. Singular names are the kind in lower case, without exception."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()


BUILTIN_KINDS: Final[tuple[BuiltinKind, ...]] = (
    BuiltinKind("", "v1", "bindings", "Binding", True),
    BuiltinKind("", "v1", "componentstatuses", "ComponentStatus", False, ("cs",)),
    BuiltinKind("", "v1", "configmaps", "ConfigMap", True, ("cm",)),
    BuiltinKind("", "v1", "endpoints", "Endpoints", True, ("ep",)),
    BuiltinKind("", "v1", "events", "Event", True, ("ev",)),
    BuiltinKind("", "v1", "limitranges", "LimitRange", True, ("limits",)),
    BuiltinKind("", "v1", "namespaces", "Namespace", False, ("ns",)),
    BuiltinKind("", "v1", "nodes", "Node", False, ("no",)),
    BuiltinKind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, ("pvc",)),
    BuiltinKind("", "v1", "persistentvolumes", "PersistentVolume", False, ("pv",)),
    BuiltinKind("", "v1", "pods", "Pod", True, ("po",)),
    BuiltinKind("", "v1", "podtemplates", "PodTemplate", True),
    BuiltinKind("", "v1", "replicationcontrollers", "ReplicationController", True, ("rc",)),
    BuiltinKind("", "v1", "resourcequotas", "ResourceQuota", True, ("quota",)),
    BuiltinKind("", "v1", "secrets", "Secret", True),
    BuiltinKind("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",)),
    BuiltinKind("", "v1", "services", "Service", True, ("svc",)),
    BuiltinKind("apiregistration.k8s.io", "v1", "apiservices", "APIService", False),
    BuiltinKind("apps", "v1", "controllerrevisions", "ControllerRevision", True),
    BuiltinKind("apps", "v1", "daemonsets", "DaemonSet", True, ("ds",)),
    BuiltinKind("apps", "v1", "deployments", "Deployment", True, ("deploy",)),
    BuiltinKind("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",)),
    BuiltinKind("apps", "v1", "statefulsets", "StatefulSet", True, ("sts",)),
    BuiltinKind("events.k8s.io", "v1", "events", "Event", True, ("ev",)),
    BuiltinKind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False),
    BuiltinKind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False),
    BuiltinKind("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
    BuiltinKind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
    BuiltinKind("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
    BuiltinKind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False),
    BuiltinKind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", True, ("hpa",)),
    BuiltinKind("batch", "v1", "cronjobs", "CronJob", True, ("cj",)),
    BuiltinKind("batch", "v1", "jobs", "Job", True),
    BuiltinKind(
        "certificates.k8s.io",
        "v1",
        "certificatesigningrequests",
        "CertificateSigningRequest",
        False,
        ("csr",),
    ),
    BuiltinKind("certificates.k8s.io", "v1beta1", "clustertrustbundles", "ClusterTrustBundle", False),
    BuiltinKind("certificates.k8s.io", "v1beta1", "podcertificaterequests", "PodCertificateRequest", True),
    BuiltinKind("networking.k8s.io", "v1", "ingressclasses", "IngressClass", False),
    BuiltinKind("networking.k8s.io", "v1", "ingresses", "Ingress", True, ("ing",)),
    BuiltinKind("networking.k8s.io", "v1", "ipaddresses", "IPAddress", False, ("ip",)),
    BuiltinKind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, ("netpol",)),
    BuiltinKind("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False),
    BuiltinKind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ("pdb",)),
    BuiltinKind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False),
    BuiltinKind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False),
    BuiltinKind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True),
    BuiltinKind("rbac.authorization.k8s.io", "v1", "roles", "Role", True),
    BuiltinKind("storage.k8s.io", "v1", "csidrivers", "CSIDriver", False),
    BuiltinKind("storage.k8s.io", "v1", "csinodes", "CSINode", False),
    BuiltinKind("storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", True),
    BuiltinKind("storage.k8s.io", "v1", "storageclasses", "StorageClass", False, ("sc",)),
    BuiltinKind("storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", False),
    BuiltinKind("storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", False, ("vac",)),
    BuiltinKind(
        "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", False
    ),
    BuiltinKind(
        "admissionregistration.k8s.io",
        "v1",
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        False,
    ),
    BuiltinKind(
        "admissionregistration.k8s.io",
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        False,
    ),
    BuiltinKind(
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        False,
    ),
    BuiltinKind(
        "admissionregistration.k8s.io",
        "v1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        False,
    ),
    BuiltinKind(
        "admissionregistration.k8s.io",
        "v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        False,
    ),
    BuiltinKind(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        False,
        ("crd", "crds"),
    ),
    BuiltinKind("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, ("pc",)),
    BuiltinKind("scheduling.k8s.io", "v1alpha2", "podgroups", "PodGroup", True),
    BuiltinKind("scheduling.k8s.io", "v1alpha2", "workloads", "Workload", True),
    BuiltinKind("coordination.k8s.io", "v1", "leases", "Lease", True),
    BuiltinKind("coordination.k8s.io", "v1beta1", "leasecandidates", "LeaseCandidate", True),
    BuiltinKind("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False),
    BuiltinKind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True),
    BuiltinKind("resource.k8s.io", "v1", "deviceclasses", "DeviceClass", False),
    BuiltinKind("resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", True),
    BuiltinKind("resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", True),
    BuiltinKind("resource.k8s.io", "v1", "resourceslices", "ResourceSlice", False),
    BuiltinKind("resource.k8s.io", "v1beta2", "devicetaintrules", "DeviceTaintRule", False),
    BuiltinKind(
        "resource.k8s.io", "v1alpha3", "resourcepoolstatusrequests", "ResourcePoolStatusRequest", False
    ),
    BuiltinKind("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema", False),
    BuiltinKind(
        "flowcontrol.apiserver.k8s.io",
        "v1",
        "prioritylevelconfigurations",
        "PriorityLevelConfiguration",
        False,
    ),
    BuiltinKind("internal.apiserver.k8s.io", "v1alpha1", "storageversions", "StorageVersion", False),
    BuiltinKind(
        "storagemigration.k8s.io", "v1beta1", "storageversionmigrations", "StorageVersionMigration", False
    ),
    BuiltinKind("kubeweft.io", "v1alpha1", "tracingpolicies", "TracingPolicy", False, ("kwp",)),
    BuiltinKind("kubeweft.io", "v1alpha1", "linkrules", "LinkRule", False, ("kwl",)),
)
