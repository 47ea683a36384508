"""What the tests use and Debian does not package: pinned, fetched or built once, kept in a cache outside the tree.

    python3 tests/lib/tools.py python|jars|websocat|k6|prometheus|node [more...]     prints the path of each, fetching what is missing

The cache is $TIDEGATE_CACHE, else ~/.cache/tidegate. A name holds its version, so another version is another folder.
"""

import fcntl
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("TIDEGATE_CACHE") or pathlib.Path.home() / ".cache/tidegate")

WEBSOCKETS = "17.4"
KAFKA = "4.4.0"
WEBSOCAT = "1.14.1"
K6 = "1.8.1"
NODE_MODULES = ["ws@8.23.0", "playwright-core@1.65.1"]
HELM = "3.22.0"
HELM_UNITTEST = "1.1.2"
KUBECONFORM = "0.8.0"
KUBERNETES_SCHEMAS = "1.37.0"

# Where operators keep the schemas of their kinds: a Go module of each, and the files in it.
OPERATORS = {
    "sigs.k8s.io/gateway-api@v1.2.1": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    "github.com/kedacore/keda/v2@v2.15.1": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    "github.com/dapr/dapr@v1.14.0": ["charts/dapr/crds/components.yaml", "charts/dapr/crds/subscription.yaml"],
    "github.com/prometheus-operator/prometheus-operator@v0.77.1": [
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"],
}

# kafka-tools-api is named by the broker's own description but was never published; the broker does not load it.
POM = f"""<project><modelVersion>4.0.0</modelVersion><groupId>test</groupId><artifactId>kafka-broker</artifactId>
<version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version>
<exclusions><exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion></exclusions>
</dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""


class Unavailable(Exception):
    """A tool that cannot be had on this machine; the text is the reason. Tests that need it are skipped by name."""


def run(argv, folder, what, env=None):
    """Runs one step of a fetch. Its output is shown only when it fails."""
    if shutil.which(argv[0]) is None:
        raise Unavailable(f"{what} needs the program {argv[0]}, which is not installed")
    done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-6:])
        raise Unavailable(f"{what}: {argv[0]} failed: {tail}")


def make_python(folder):
    run(["/usr/bin/python3", "-m", "venv", "venv"], folder, "the tests' Python packages")
    run([str(folder / "venv/bin/pip"), "install", "-q", f"websockets=={WEBSOCKETS}"], folder, "the Python package websockets")


def make_jars(folder):
    (folder / "pom.xml").write_text(POM)
    run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib"],
        folder, f"Apache Kafka {KAFKA}")


def go_install(package, version):
    def make(folder):
        run(["go", "install", f"{package}@v{version}"], folder, f"{package} {version}",
            env={"GOBIN": str(folder / "bin"), "CGO_ENABLED": "0"})
    return make


def make_websocat(folder):
    run(["cargo", "install", "websocat", "--version", WEBSOCAT, "--locked", "--root", ".", "--target-dir", "target",
         "--no-default-features", "--features", "signal_handler,tokio-process,unix_stdio"], folder,
        f"websocat {WEBSOCAT}")
    shutil.rmtree(folder / "target")


def make_node(folder):
    run(["npm", "install", "--silent", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", ".", *NODE_MODULES],
        folder, "the npm packages " + " and ".join(NODE_MODULES))


def make_prometheus(folder):
    """Only unpacked: the package would install a service."""
    run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"], folder, "Debian's Prometheus")
    package = next(folder.glob("prometheus_*.deb"))
    run(["dpkg", "-x", package.name, "."], folder, "Debian's Prometheus")
    package.unlink()


# What an image of a distribution leaves out of it, as containers have no use for it.
LEFT_OUT = ["usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "var/log/*",
            "var/cache/debconf/*", "var/cache/apt/*", "var/lib/apt/lists/*"]


def apt_sources():
    """The file that says where this machine has Debian 12 from, and the address of that mirror."""
    etc = pathlib.Path("/etc/apt")
    for file in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.sources")), *sorted(etc.glob("sources.list.d/*.list"))]:
        text = file.read_text() if file.exists() else ""
        found = re.search(r"^(?:URIs:|deb(?:\s+\[.*?\])?)\s+(\S+/debian)/?(?:\s|$)", text, re.M)
        if found and "bookworm" in text:
            return file, found[1]
    raise Unavailable("a base of Debian 12: no source of packages of this machine names a mirror of it")


def make_debian(folder):
    """By debootstrap, from the mirror of this machine; updates come when something is installed into it."""
    sources, mirror = apt_sources()
    root = folder / "root"
    run(["debootstrap", "--variant=minbase", "bookworm", str(root), mirror], folder, "a base of Debian 12")
    for name in LEFT_OUT:
        for path_in_root in root.glob(name):
            shutil.rmtree(path_in_root) if path_in_root.is_dir() else path_in_root.unlink()
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.copy(sources, root / "etc/apt/sources.list.d" / sources.name)
    run(["tar", "-C", str(root), "-cf", "root.tar", "."], folder, "a base of Debian 12")
    shutil.rmtree(root)


def make_helm_unittest(folder):
    """Its module replaces a dependency, which `go install` of a version refuses: it is built inside a module of ours."""
    what, module = f"helm-unittest {HELM_UNITTEST}", "github.com/helm-unittest/helm-unittest"
    (folder / "go.mod").write_text("module unittest\n\ngo 1.25.0\n\nreplace github.com/vmware-labs/yaml-jsonpath v0.3.2 "
                                   "=> github.com/helm-unittest/yaml-jsonpath v0.4.0\n")
    run(["go", "get", "-tool", f"{module}/cmd/helm-unittest@v{HELM_UNITTEST}"], folder, what)
    run(["go", "build", "-o", "bin/helm-unittest", f"{module}/cmd/helm-unittest"], folder, what, env={"CGO_ENABLED": "0"})


def make_kubernetes_schemas(folder):
    """JSON schemas of Kubernetes' objects, out of a Python package that carries those of many versions. Their names are
    addresses, which a validator would look up in the network: references become those of files beside them."""
    what = f"Kubernetes' schemas {KUBERNETES_SCHEMAS}"
    run(["/usr/bin/python3", "-m", "venv", "venv"], folder, what)
    run([str(folder / "venv/bin/pip"), "install", "-q", "--no-deps", "--target", "package",
         f"kubernetes-validate=={KUBERNETES_SCHEMAS}"], folder, what)
    for file in sorted(folder.glob("package/**/v*-local*/*.json")):
        schema = json.loads(file.read_text().replace("/api/_definitions.json#", "_definitions.json#"))
        schema.pop("$id", None)
        new = folder / "schemas" / file.parent.name / file.name
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(schema))
    shutil.rmtree(folder / "venv")
    shutil.rmtree(folder / "package")


def make_strict(schema):
    """Of a schema of Kubernetes' kind: members that it does not name are refused, as the API server does on demand."""
    if isinstance(schema, dict):
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            make_strict(part)
    elif isinstance(schema, list):
        for part in schema:
            make_strict(part)


def make_operator_schemas(folder):
    """KIND-VERSION.json for each kind, out of the definitions that the operators' modules carry."""
    import yaml  # Debian's, which only those who ask for this need
    (folder / "schemas").mkdir()
    for module, files in OPERATORS.items():
        run(["go", "mod", "download", "-modcacherw", module], folder, f"the schemas of {module}",
            env={"GOMODCACHE": str(folder / "mod"), "GOFLAGS": ""})
        for file in files:
            for kind in filter(None, yaml.safe_load_all((folder / "mod" / module / file).read_text())):
                for version in kind["spec"]["versions"]:
                    schema = version["schema"]["openAPIV3Schema"]
                    make_strict(schema)
                    name = f"{kind['spec']['names']['kind'].lower()}-{version['name']}.json"
                    (folder / "schemas" / name).write_text(json.dumps(schema))
    shutil.rmtree(folder / "mod")


# name: (folder in the cache, what it is for, how it is made, path inside it)
TOOLS = {
    "python": (f"python-websockets-{WEBSOCKETS}", "a Python with websockets", make_python, "venv/bin/python"),
    "jars": (f"kafka-{KAFKA}", "Apache Kafka's jars (10 s)", make_jars, "lib"),
    "websocat": (f"websocat-{WEBSOCAT}", "websocat, built from source (2 min)", make_websocat, "bin/websocat"),
    "k6": (f"k6-{K6}", "k6, built from source (3 min)", go_install("go.k6.io/k6", K6), "bin/k6"),
    "prometheus": ("prometheus-debian", "Debian's Prometheus (19 MB), with promtool", make_prometheus, "usr/bin"),
    "debian": ("debian-bookworm", "a base of Debian 12 (72 MB)", make_debian, "root.tar"),
    "helm": (f"helm-{HELM}", "helm, built from source (3 min)", go_install("helm.sh/helm/v3/cmd/helm", HELM), "bin/helm"),
    "helm-unittest": (f"helm-unittest-{HELM_UNITTEST}", "helm-unittest, built from source (2 min)", make_helm_unittest,
                      "bin/helm-unittest"),
    "kubeconform": (f"kubeconform-{KUBECONFORM}", "kubeconform, built from source",
                    go_install("github.com/yannh/kubeconform/cmd/kubeconform", KUBECONFORM), "bin/kubeconform"),
    "kubernetes-schemas": (f"kubernetes-schemas-{KUBERNETES_SCHEMAS}", "schemas of Kubernetes' objects",
                           make_kubernetes_schemas, "schemas"),
    "operator-schemas": ("operator-schemas-1", "schemas of operators' objects (17 MB)", make_operator_schemas, "schemas"),
    "node": ("node-" + "-".join(m.replace("@", "-") for m in NODE_MODULES), "npm packages", make_node, "node_modules"),
}


def path(name):
    """Path of a tool, made first if it is not in the cache. Safe to call from several processes at once."""
    folder, purpose, make, inside = TOOLS[name]
    home = CACHE / folder
    if (home / inside).exists():
        return home / inside
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f".{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / inside).exists():
            return home / inside
        print(f"fetching {purpose} into {home}", file=sys.stderr, flush=True)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        try:
            make(home)
        except BaseException:
            shutil.rmtree(home, ignore_errors=True)
            raise
    return home / inside


def chromium():
    """Debian's browser."""
    found = shutil.which("chromium")
    if found is None:
        raise Unavailable("the package chromium is not installed")
    return found


if __name__ == "__main__":
    try:
        for tool in sys.argv[1:] or TOOLS:
            print(path(tool))
    except Unavailable as reason:
        sys.exit(f"not available: {reason}")
