"""What a gateway spends on a message, a connection and a connect."""

import contextlib
import statistics

from measure.bench import MESSAGE, Busy, Failed
from measure.load import Floor, start_swarm
from measure.machine import cpu_us, private_bytes, settle, writes
from measure.servers import start_gateway, start_redis

AROUND = 80  # of a message's bytes what a gateway puts around a published payload, about
BEHIND = 0.98  # less than this part of the writes that a round should take, and it was another workload


class Fanout:
    """A gateway and a floor, each with the same number of clients, written to in turn."""

    def __init__(self, bench, stack, sockets):
        self.bench, self.sockets = bench, sockets
        self.redis = start_redis(bench, stack)
        self.gateway = start_gateway(bench, stack, self.redis)
        self.floor = Floor(bench, sockets)
        stack.callback(self.floor.stop)
        self.of_gateway = start_swarm(stack, bench, "swarm-gateway", self.gateway.port, sockets)
        self.of_floor = start_swarm(stack, bench, "swarm-floor", self.floor.port, sockets)
        self.of_gateway.wait("welcomed", sockets)
        self.of_floor.wait("connected", sockets)
        self.size = self.fit_size()

    def fit_size(self):
        """Finds what to publish so that a client gets MESSAGE bytes; also the first, cold messages."""
        probe = 20
        self.bench.publish(self.redis, "--size", MESSAGE - AROUND, "--count", probe, "--rate", 10)
        self.of_gateway.wait("messages", probe * self.sockets)
        counts = self.of_gateway.counts()
        return MESSAGE - AROUND + MESSAGE - round(counts["bytes"] / counts["messages"])

    def cost(self, pid, swarm, write, messages):
        """CPU microseconds and writes per message while write() makes everybody get `messages` in all."""
        had, cpu, calls = swarm.counts()["messages"], cpu_us(pid), writes(pid)
        write()
        count = swarm.wait("messages", had + messages)
        if count != had + messages:
            raise Failed(f"{swarm.name} got {count - had} messages, {messages} were sent")
        return (cpu_us(pid) - cpu) / messages, (writes(pid) - calls) / messages

    def of(self, which, burst, rounds, rate):
        if which == "floor":
            return self.cost(self.floor.pid, self.of_floor, lambda: self.floor.write(rounds, burst, rate),
                             rounds * burst * self.sockets)
        return self.cost(self.gateway.proc.pid, self.of_gateway, lambda: self.bench.publish(
            self.redis, "--size", self.size, "--count", rounds * burst, "--burst", burst, "--rate", rate),
            rounds * burst * self.sockets)

    def rounds(self, cases):
        """Runs all (which, burst) alternately, and back on every second turn: the median and a note of each.

        A process that fell behind merged messages that came apart, which is cheaper and not what is asked: such a turn
        is thrown away for all cases alike, whatever it cost, counted, and made again.
        """
        plan, seen, behind = self.bench.plan, {case: [] for case in cases}, 0
        while len(seen[cases[0]]) < plan["repeat"]:
            turn = {case: self.of(*case, *plan[self.sockets][case[1]])
                    for case in (cases if len(seen[cases[0]]) % 2 == 0 else reversed(cases))}
            if any(calls < BEHIND / burst for (_, burst), (_, calls) in turn.items()):
                behind += 1
                if behind > 2 * plan["repeat"]:
                    ratios = ", ".join(f"{which} {calls:.3f}" for (which, _), (_, calls) in turn.items())
                    raise Busy(f"fell behind in {behind} turns (writes a message: {ratios}): the machine is too busy")
                continue
            for case, got in turn.items():
                seen[case].append(got)
        if behind:
            print(f"    {behind} turns thrown away: something fell behind and merged messages", flush=True)
        return {case: self.summary(got) for case, got in seen.items()}

    @staticmethod
    def summary(got):
        costs, calls = [cost for cost, _ in got], [calls for _, calls in got]
        return (statistics.median(costs),
                f"({min(costs):.2f} to {max(costs):.2f}; {statistics.median(calls):.3f} writes/message)")


def fanout(bench, stack, sockets, bar):
    got = Fanout(bench, stack, sockets).rounds([("floor", 1), ("gateway", 1)])
    (floor, of_floor), (gateway, of_gateway) = got["floor", 1], got["gateway", 1]
    bench.row(f"floor, {sockets} sockets", floor, "µs/message", note=of_floor)
    bench.row(f"gateway, {sockets} sockets", gateway, "µs/message", note=of_gateway)
    bench.row(f"ratio, {sockets} sockets", gateway / floor, "× floor", bar)


def bursts(bench, stack):
    got = Fanout(bench, stack, 1000).rounds([("floor", 1), ("floor", 8), ("gateway", 8)])
    (floor, of_floor), (eight, of_eight), (gateway, of_gateway) = got["floor", 1], got["floor", 8], got["gateway", 8]
    bench.row("floor, message by message", floor, "µs/message", note=of_floor)
    bench.row("floor, bursts of 8", eight, "µs/message", note=of_eight)
    bench.row("gateway, bursts of 8", gateway, "µs/message", note=of_gateway)
    bench.row("ratio, bursts of 8", gateway / floor, "× floor without bursts", 0.4)


def idle(bench, stack):
    """Connections of as many users, each authenticated, subscribed and welcomed, and then silent."""
    sockets, memory, connects = bench.plan["idle"], [], []
    redis = start_redis(bench, stack)
    for _ in range(bench.plan["idle_repeat"]):
        with contextlib.ExitStack() as turn:
            gateway = start_gateway(bench, turn, redis)
            pid = gateway.proc.pid
            before, spent = settle(pid, private_bytes), cpu_us(pid)
            swarm = start_swarm(turn, bench, "swarm-idle", gateway.port, sockets)
            swarm.wait("welcomed", sockets)
            connects.append(sockets / ((cpu_us(pid) - spent) / 1e6))
            memory.append((settle(pid, private_bytes) - before) / sockets)
    bench.row("idle connection", statistics.median(memory), "bytes of user space", 1024,
              note=f"({sockets} users)")
    bench.row("connects", statistics.median(connects), "per CPU second")
