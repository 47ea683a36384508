"""Installations that must fail: `helm install --wait` ends with an error, no pod becomes ready, and the log says what to do."""

import contextlib
import re

from cluster.kube import Refused, is_ready, name_of
from cluster.world import CHART

RELEASE = "refused"
PATIENCE = "25s"


def refused(world, component, sentence, changed):
    """Installs with values that cannot work. `sentence` is a pattern that the log of a pod, or what happened to it, must
    hold. Returns what was found."""
    kube = world.kube
    try:
        try:
            kube.chart("install", RELEASE, CHART, "-f", world.values(), "-f", world.values_file("changed", changed), "--wait",
                       "--timeout", PATIENCE)
        except Refused as no:
            assert "timed out" in str(no) or "deadline" in str(no) or "not ready" in str(no), f"helm failed otherwise: {no}"
        else:
            raise AssertionError("helm install --wait pretends that all is well")
        pods = kube.pods(RELEASE, component)
        assert pods and not any(map(is_ready, pods)), f"{component}: {[(name_of(p), is_ready(p)) for p in pods]}"
        found = words_of(kube, pods)
        match = re.search(sentence, found)
        assert match, f"no line says /{sentence}/:\n{found[-3000:]}"
        return match.group(0)
    finally:
        with contextlib.suppress(Refused):
            kube.chart("uninstall", RELEASE, "--wait", "--timeout", "60s")


def words_of(kube, pods):
    """The logs of these pods, of a container's last life too, and the events about them."""
    found = []
    for pod in pods:
        for words in (["logs"], ["logs", "--previous"]):
            with contextlib.suppress(Refused):
                found.append(kube.call(*words, name_of(pod), "--all-containers", "--tail=50"))
        found.append(kube.call("get", "events", "--field-selector", f"involvedObject.name={name_of(pod)}", "-o",
                               "jsonpath={range .items[*]}{.message}{'\\n'}{end}"))
    return "\n".join(found)


def wrong_value(world):
    """A wrong value is refused by the schema, by its name, before anything is made."""
    try:
        world.kube.chart("install", RELEASE, CHART, "-f", world.values(), "--set", "gateway.replicas=many")
    except Refused as no:
        assert "replicas" in str(no), no
        return "gateway.replicas is refused"
    raise AssertionError("gateway.replicas=many was installed")


def missing_secret(world):
    """A Secret that does not exist."""
    return refused(world, "gateway", r"JWT_SECRET_KEY[^\n]* is not set[^\n]*",
                   {"auth": {"existingSecret": "nobody-made-it", "jwtSecret": ""}})


def redis_away(world):
    """A Redis that cannot be reached."""
    return refused(world, "gateway", r"is REDIS_URL right[^\n\"]*",
                   {"tryout": {"redis": {"enabled": False}}, "redis": {"url": "redis://127.0.0.1:1"}})


def kafka_away(world):
    """A Kafka that cannot be reached."""
    return refused(world, "router", r"is KAFKA_BROKERS right[^\n\"]*",
                   {"tryout": {"kafka": {"enabled": False}}, "kafka": {"brokers": ["127.0.0.1:1"]}})


def bad_routes(world):
    """Routes that name no topic."""
    return refused(world, "router", r"[^\n]*routes\.json[^\n]*topic[^\n]*",
                   {"routes": {"routes": [{"form": "json", "event": "e", "targets": ["global"]}]}})


STEPS = (wrong_value, missing_secret, redis_away, kafka_away, bad_routes)
