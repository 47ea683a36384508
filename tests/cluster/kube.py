"""kubectl and helm as functions. Both find their cluster as they always do: by KUBECONFIG, or the service account of a pod."""

import json
import subprocess

from lib import tools


class Refused(Exception):
    """A command that ended with another status than 0. The text is what it said."""


def run(argv, text=None, seconds=120):
    """Standard output of a command, as text."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Refused(f"{' '.join(argv[:6])} …: no answer within {seconds} s") from None
    if done.returncode != 0:
        raise Refused(f"{' '.join(argv[:6])} …: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Kube:
    """A namespace of a cluster."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.kubectl = ["kubectl", "-n", namespace]
        self.helm = [str(tools.path("helm")), "-n", namespace]

    def call(self, *words, text=None, seconds=120):
        return run([*self.kubectl, *map(str, words)], text, seconds)

    def apply(self, thing):
        """Makes or changes one object."""
        self.call("apply", "-f", "-", text=json.dumps(thing))

    def items(self, kinds, selector=""):
        words = ["get", kinds, "-o", "json", *(["-l", selector] if selector else [])]
        return json.loads(self.call(*words))["items"]

    def pods(self, release, component):
        """Pods of a component that are not on their way out."""
        selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/component={component}"
        return [pod for pod in self.items("pods", selector) if "deletionTimestamp" not in pod["metadata"]]

    def inside(self, pod, *words, seconds=60):
        """Runs a command in a pod; returns what it printed."""
        return self.call("exec", pod, "--", *words, seconds=seconds)

    def through(self, pod):
        """What stands before a command that is to run in a pod, its standard input and output being ours."""
        return [*self.kubectl, "exec", "-i", pod, "--"]

    def page(self, pod, port, path):
        """What a pod answers to GET, by way of the API server."""
        return self.call("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy{path}")

    def metric(self, pod, port, name):
        """A metric of a pod; 0 if it has none of this name."""
        return sum(float(line.split()[-1]) for line in self.page(pod, port, "/metrics").splitlines()
                   if line.split("{")[0].split(" ")[0] == name)

    def chart(self, *words, seconds=300):
        """helm."""
        return run([*self.helm, *map(str, words)], seconds=seconds)


def name_of(thing):
    return thing["metadata"]["name"]


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def unavailable():
    """Why no cluster answers, or None."""
    try:
        run(["kubectl", "get", "--raw", "/readyz", "--request-timeout=10s"], seconds=30)
    except FileNotFoundError:
        return "kubectl is not installed"
    except Refused as no:
        return f"no cluster answers ({str(no).splitlines()[-1][:160]}); set KUBECONFIG"
    return None
