"""What the tests use and Debian does not package: pinned, fetched or built once, kept in a cache outside the tree.

    python3 tests/lib/tools.py python|jars|websocat|k6|prometheus|node [more...]     prints the path of each, fetching what is missing

The cache is $TIDEGATE_CACHE, else ~/.cache/tidegate. A name holds its version, so another version is another folder.
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("TIDEGATE_CACHE") or pathlib.Path.home() / ".cache/tidegate")

WEBSOCKETS = "17.4"
KAFKA = "4.4.0"
WEBSOCAT = "1.14.1"
K6 = "1.8.1"
NODE_MODULES = ["ws@8.23.0", "playwright-core@1.65.1"]

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


def make_websocat(folder):
    run(["cargo", "install", "websocat", "--version", WEBSOCAT, "--locked", "--root", ".", "--target-dir", "target",
         "--no-default-features", "--features", "signal_handler,tokio-process,unix_stdio"], folder,
        f"websocat {WEBSOCAT}")
    shutil.rmtree(folder / "target")


def make_k6(folder):
    run(["go", "install", f"go.k6.io/k6@v{K6}"], folder, f"k6 {K6}",
        env={"GOBIN": str(folder / "bin"), "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"})


def make_node(folder):
    run(["npm", "install", "--silent", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", ".", *NODE_MODULES],
        folder, "the npm packages " + " and ".join(NODE_MODULES))


def make_prometheus(folder):
    """Only unpacked: the package would install a service."""
    run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "prometheus"], folder, "Debian's Prometheus")
    package = next(folder.glob("prometheus_*.deb"))
    run(["dpkg", "-x", package.name, "."], folder, "Debian's Prometheus")
    package.unlink()


# name: (folder in the cache, what it is for, how it is made, path inside it)
TOOLS = {
    "python": (f"python-websockets-{WEBSOCKETS}", "a Python with websockets", make_python, "venv/bin/python"),
    "jars": (f"kafka-{KAFKA}", "Apache Kafka's jars (10 s)", make_jars, "lib"),
    "websocat": (f"websocat-{WEBSOCAT}", "websocat, built from source (2 min)", make_websocat, "bin/websocat"),
    "k6": (f"k6-{K6}", "k6, built from source (3 min)", make_k6, "bin/k6"),
    "prometheus": ("prometheus-debian", "Debian's Prometheus (19 MB), with promtool", make_prometheus, "usr/bin"),
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
