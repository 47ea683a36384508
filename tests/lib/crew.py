"""Worker processes side by side, each with servers of its own, that take one job after the other.

A worker reads jobs from its input, a line each, and answers each with one line of JSON. The end of its input is the end of
its work: it puts away what it has, may answer once more, and ends.
"""

import collections
import contextlib
import json
import os
import selectors
import subprocess
import sys

from lib.proc import describe

PATIENCE = 60  # seconds for a worker to stop its servers


class Worker:
    """Our side of one, `name` in messages. It has a session of its own, and does not outlive us."""

    def __init__(self, name, argv):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.start()

    def start(self):
        self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.argv], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, start_new_session=True)

    def give(self, job):
        with contextlib.suppress(BrokenPipeError):  # then its answer does not come, either
            self.child.stdin.write(f"{job}\n")
            self.child.stdin.flush()

    def answer(self):
        """Waits for a line. None when the worker is gone."""
        try:
            return json.loads(self.child.stdout.readline())
        except ValueError:
            return None

    def no_more(self):
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()

    def end(self):
        """Waits until it is gone, which it was told to be. How it ended, in words."""
        self.no_more()
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
        return f"{self.name} ended with {describe(self.child.returncode)}"


class Crew:
    """`size` workers, each started by `argv`. Use it in a `with`, at whose end all are gone."""

    def __init__(self, size, argv):
        self.workers = [Worker(f"worker {number + 1}", argv) for number in range(size)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.child.terminate()
        for worker in self.workers:
            worker.end()

    def work(self, jobs):
        """Yields (job, answer, None) as answers come, and (job, None, words) when a worker ended over its job: a new one takes
        its place."""
        waiting = collections.deque(jobs)
        with selectors.DefaultSelector() as busy:
            def go_on(worker):
                if waiting:
                    job = waiting.popleft()
                    busy.register(worker.child.stdout, selectors.EVENT_READ, (worker, job))
                    worker.give(job)
            for worker in self.workers:
                go_on(worker)
            while busy.get_map():
                for key, _ in busy.select():
                    worker, job = key.data
                    busy.unregister(key.fileobj)
                    answer, end = worker.answer(), None
                    if answer is None:
                        end = worker.end()
                        worker.start()
                    yield job, answer, end
                    go_on(worker)

    def dismiss(self, keep=0):
        """Sends all but so many home: a list of (last answer, None), or (None, words) for one that ended without one."""
        self.workers, leaving = self.workers[:keep], self.workers[keep:]
        for worker in leaving:
            worker.no_more()
        answers = [worker.answer() for worker in leaving]
        ends = [worker.end() for worker in leaving]
        return [(answer, end if answer is None else None) for answer, end in zip(answers, ends)]


class Jobs:
    """A worker's side: go through the jobs and answer each. What is printed goes to the file descriptor `output`."""

    def __init__(self, output=2):
        self.answers = os.fdopen(os.dup(1), "w")
        os.dup2(output, 1)

    def __iter__(self):
        return (line.rstrip("\n") for line in sys.stdin)

    def answer(self, value):
        print(json.dumps(value), file=self.answers, flush=True)
