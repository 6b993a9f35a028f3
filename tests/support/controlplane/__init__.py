"""A real Kubernetes control plane as plain processes: etcd, kube-apiserver, controller-manager, scheduler and kwok's fake nodes.

For tests, benches and the demo, on one machine and on loopback only; it is no cluster to keep anything in (etcd never syncs).
Use `from controlplane.plane import ControlPlane`. Nothing is imported here, so that `controlplane.binaries` needs the standard
library only.
"""
