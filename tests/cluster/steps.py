"""What an operator does, step by step, while numbered events reach sockets that were opened through the Service. Each function
is a step; its docstring says what must hold; what it returns is printed beside it."""

import json

from cluster.kube import name_of
from cluster.world import CHART, GATEWAYS
from lib.proc import wait_until

# Kinds that a release may have left behind, in any cluster.
KINDS = ("deployments,statefulsets,daemonsets,pods,services,secrets,configmaps,serviceaccounts,jobs,"
         "ingresses,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,roles,rolebindings,persistentvolumeclaims")


def install(world):
    """helm install --wait comes back, and all pods are ready."""
    world.kube.chart("install", world.release, CHART, "-f", world.values(), "--wait", "--timeout", "240s")
    return ", ".join(sorted(name_of(pod) for pod in world.gateways() + world.routers()))


def serve(world):
    """Events produced to Kafka reach sockets opened through the Service, on more than one gateway pod."""
    world.start_traffic()
    return say(world.settled())


def scale_out(world):
    """kubectl scale to four gateways: the new ones get connections."""
    world.kube.call("scale", "deployment", f"{world.release}-gateway", "--replicas=4")
    return say(world.settled(4))


def scale_in(world):
    """kubectl scale to two: those that go hand over their connections."""
    world.kube.call("scale", "deployment", f"{world.release}-gateway", f"--replicas={GATEWAYS}")
    return say(world.settled())


def kill_gateway(world):
    """A gateway pod is killed without a word."""
    world.kube.call("delete", "pod", name_of(world.gateways()[0]), "--grace-period=0", "--force", "--wait=false")
    return say(world.settled())


def kill_router(world):
    """A router pod is killed without a word; the other one takes its partitions."""
    victim = name_of(world.routers()[0])
    world.kube.call("delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
    wait_until(lambda: victim not in map(name_of, world.routers()), 60, f"{victim} is gone", every=0.5)
    return say(world.settled())


def upgrade(world):
    """helm upgrade with a changed value replaces every gateway, one after the other."""
    before = {name_of(pod) for pod in world.gateways()}
    world.kube.chart("upgrade", world.release, CHART, "-f", world.values(), "--set", "gateway.config.LOG_LEVEL=debug", "--wait",
                     "--timeout", "240s")
    assert level(world) == "debug", f"LOG_LEVEL is {level(world)}"
    wait_until(lambda: before.isdisjoint(map(name_of, world.gateways())), 120, "all gateways are new", every=0.5)
    return say(world.settled())


def rollback(world):
    """helm rollback takes the value back."""
    world.kube.chart("rollback", world.release, "--wait", "--timeout", "240s")
    assert level(world) != "debug", "LOG_LEVEL is still debug"
    return say(world.settled())


def helm_test(world):
    """helm test connects, produces and receives."""
    said = world.kube.chart("test", world.release, "--timeout", "120s")
    assert "Succeeded" in said, said
    return ", ".join(line.split(":")[1].strip() for line in said.splitlines() if line.startswith(("TEST SUITE:", "Phase:")))


def nothing_lost(world):
    """Every device got every event of its own, once per key and in order."""
    world.events.stop()
    verdict = world.devices.finish(world.folder, world.events.counts)
    bad = verdict.bad()
    assert not bad, f"{bad}\n" + "\n".join(verdict.said)
    return (f"{world.events.total} events, {verdict.deliveries} deliveries to {verdict.devices} devices over {verdict.connects} "
            f"connections: lost 0, duplicated 0, reordered 0 ({verdict.again} came again under their key)")


def uninstall(world):
    """helm uninstall leaves nothing behind."""
    world.kube.call("delete", "pod", "traffic", "--wait=true")
    world.kube.chart("uninstall", world.release, "--wait", "--timeout", "120s")

    def left():
        things = world.kube.items(KINDS, f"app.kubernetes.io/instance={world.release}")
        return [f"{thing['kind']}/{name_of(thing)}" for thing in things]
    wait_until(lambda: not left(), 60, f"nothing is left (there is {', '.join(left())})", every=1)
    return "nothing is left"


STEPS = (install, serve, scale_out, scale_in, kill_gateway, kill_router, upgrade, rollback, helm_test, nothing_lost, uninstall)


def level(world):
    """The LOG_LEVEL of the gateway's Deployment, straight or from the ConfigMap it reads."""
    spec = json.loads(world.kube.call("get", "deployment", f"{world.release}-gateway", "-o", "json"))["spec"]["template"]["spec"]
    given = {e["name"]: e.get("value") for c in spec["containers"] for e in c.get("env", [])}
    return given.get("LOG_LEVEL")


def say(counts):
    return "connections: " + ", ".join(str(n) for _, n in sorted(counts.items()))
