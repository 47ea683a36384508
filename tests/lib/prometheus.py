"""A real Prometheus that scrapes programs of ours every second, and labels them as Kubernetes would."""

import json
import pathlib
import urllib.error
import urllib.parse
import urllib.request

from lib import tools
from lib.ports import free_port
from lib.proc import Proc

NAMESPACE = "default"
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class QueryError(Exception):
    """Prometheus refused a query; the text is its reason."""


def config(rules, jobs):
    """`jobs` is {job: programs}; the labels are those that a ServiceMonitor gives."""
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [{
            "job_name": job,
            "static_configs": [{"targets": [f"127.0.0.1:{p.port}"], "labels": {
                "__meta_kubernetes_namespace": NAMESPACE, "__meta_kubernetes_pod_name": p.proc.name}} for p in programs],
            "relabel_configs": [
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"}],
        } for job, programs in jobs.items()],
    }


class Prometheus:
    """Rule files and what is scraped; its data are in the folder."""

    def __init__(self, folder, rules, jobs):
        folder = pathlib.Path(folder)
        self.port = free_port()
        file = folder / "prometheus.yml"
        file.write_text(json.dumps(config(rules, jobs), indent=2))  # JSON is YAML
        self.proc = Proc("prometheus", [
            tools.path("prometheus") / "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{self.port}", "--enable-feature=exemplar-storage", "--log.level=warn"], folder)

    def start(self):
        self.proc.start().wait_ready(lambda: self.fetch("/-/ready"), 30)
        return self

    def stop(self):
        return self.proc.stop()

    def fetch(self, path):
        with direct.open(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read()

    def get(self, path, **parameters):
        """The `data` of an answer of its API."""
        try:
            return json.loads(self.fetch(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]
        except urllib.error.HTTPError as refused:
            raise QueryError(json.loads(refused.read())["error"]) from None

    def query(self, expr):
        """The series of an instant query: [(labels, value)]."""
        return [(row["metric"], float(row["value"][1])) for row in self.get("query", query=expr)["result"]]
