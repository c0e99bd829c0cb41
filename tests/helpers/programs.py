"""Programs as processes of their own, forked from one that has imported beforehand what they import.

Python imports the trainer for five seconds before it trains tiny networks for one. A fork is still a real process: it
has its own number, arguments, folder, environment, standard streams and session, and ends by signals like any other.
Once for each program tests say `genuine=True`, because a fork would not miss what the program forgets to import.
"""

import atexit
import functools
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from train import cli


ROOT = Path(__file__).parents[2]
# One thread, and none of its own that libraries start as they are imported: a fork has only the thread that forks.
WITHOUT_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
PROGRAMS = [f"train.{name}.__main__" for name in ("train_gan", "prepare", "share", "benchmark")]
PROGRAMS += ["train.evaluate", "train.copies"]
# What torch.export imports only as it works.
AT_WORK = ("networkx", "sympy.combinatorics", "torch.export._trace", "torch.export.pt2_archive._package")
AT_WORK += ("torch._functorch.aot_autograd", "torch._inductor.ir")
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # tiny networks on several wait for each other


class Forked:
    """A program that a fork server started, with what tests use of `subprocess.Popen`.

    Args:
        args: the command: `sys.executable` and what follows it.
        folder: where it works.
        environment: all of its environment.
        output: of its standard streams 1 and 2: a pipe, where `subprocess.STDOUT` or `DEVNULL` says, or an open file's
            number.
    """

    def __init__(self, args: Sequence[str], folder: Path, environment: Mapping[str, str], *output: int):
        self.args, self.returncode, self.seconds = args, None, 0.0  # of processor time, in the end
        pipes: list[tuple[int, int] | None] = [os.pipe() if kind == subprocess.PIPE else None for kind in output]
        nowhere = os.open(os.devnull, os.O_RDWR)
        ends = [pipe[1] if pipe else nowhere if kind < 0 else kind for pipe, kind in zip(pipes, output, strict=True)]
        out, err = ends[0], ends[0] if output[1] == subprocess.STDOUT else ends[1]
        reports, report = os.pipe()
        request = {"args": args[1:], "folder": str(folder), "environment": dict(environment)}
        _send(_server(), request, [nowhere, out, err, report])
        for handle in {nowhere, out, err, report} - set(output):
            os.close(handle)
        self.stdout, self.stderr = (os.fdopen(pipe[0], encoding="utf-8") if pipe else None for pipe in pipes)
        self._reports = os.fdopen(reports)
        self.pid = int(self._reports.readline())
        self._ended = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        code, seconds = (self._reports.readline() or f"{-signal.SIGKILL} 0").split()
        self.returncode, self.seconds = int(code), float(seconds)
        self._reports.close()
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both streams to their ends and wait for the program's."""
        said = ["", ""]

        def read(number: int, stream) -> None:
            said[number] = stream.read()
            stream.close()

        streams = [(n, stream) for n, stream in enumerate((self.stdout, self.stderr)) if stream and not stream.closed]
        readers = [threading.Thread(target=read, args=pair, daemon=True) for pair in streams]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout)
        self.wait(timeout)
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Program = Forked | subprocess.Popen[str]


def start(
    command: Sequence[object],
    folder: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    genuine: bool = False,
) -> Program:
    """Start a program in a process group of its own.

    Args:
        command: `sys.executable`, then `-m module`, `-c code` or a file, then arguments.
        folder: where it works.
        environment: all of its environment; None is that of the tests.
        stdout: as `subprocess.Popen` has it.
        stderr: as `subprocess.Popen` has it.
        genuine: start Python itself instead of a fork.
    """
    args = [str(argument) for argument in command]
    environment = THREADS | dict(os.environ if environment is None else environment)
    forks = args[0] == sys.executable and args[1] in ("-m", "-c", "app.py") and folder == ROOT
    if forks and not genuine:
        return Forked(args, folder, environment, stdout, stderr)
    return subprocess.Popen(
        args, cwd=folder, env=environment, stdout=stdout, stderr=stderr, text=True, start_new_session=True,
        preexec_fn=keep_to_one_core,
    )  # fmt: skip


def keep_to_one_core(pid: int = 0) -> None:
    """Give a process, 0 is this one, and those that it will start a core, which is another one for each worker.

    `accelerate launch` says OMP_NUM_THREADS=1 to all, so the trainer listens to it no more: one core is one thread.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {cores[worker % len(cores)]})


def run(command: Sequence[object], *, timeout: float = 300, **how) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `how` is what `start` takes."""
    program = start(command, **how)
    try:
        out, err = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)


def call(main: Callable[[], str], program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of `train` in this process, as its `__main__` does: for mistakes, and where little is done."""
    argv, out, err, code = [program, *map(str, arguments)], io.StringIO(), io.StringIO(), 0
    with mock.patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.run(main, program)
        except SystemExit as end:
            code = end.code
    return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())


# The server


@functools.cache
def _server() -> socket.socket:
    """Start the process that forks, where none runs for this one yet; returns what it listens to."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.helpers.programs", str(its.fileno())]
    environment = THREADS | os.environ | WITHOUT_THREADS
    environment.pop("PYTHONUNBUFFERED", None)  # of its streams, which are the programs': theirs are as most people's
    server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)
    its.close()

    def end() -> None:
        ours.close()  # it listens for that
        server.wait()

    atexit.register(end)
    return ours


def _send(to: socket.socket, request: dict, handles: list[int]) -> None:
    content = json.dumps(request).encode()
    to.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(content) + 65536)
    socket.send_fds(to, [content], handles)


def serve(listening: socket.socket) -> dict:
    """Fork for each request, until nobody can send one any more; returns the request in the fork that is to become it.

    Between server and program stands a process that waits for the program and reports its exit code.
    With the server all of them end.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        content, handles, _, _ = socket.recv_fds(listening, 1 << 22, 8)
        if not content:
            os._exit(0)
        if os.fork():
            for handle in handles:
                os.close(handle)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        end_with_parent()
        *streams, report = handles
        if program := os.fork():
            for stream in streams:
                os.close(stream)
            _, status, used = os.wait4(program, 0)
            code, seconds = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
            os.write(report, f"{code} {seconds:.2f}\n".encode())
            os._exit(0)
        end_with_parent()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins without it
        os.setsid()  # first: who knows its number may kill its group
        os.write(report, f"{os.getpid()}\n".encode())
        os.close(report)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in set(streams):
            os.close(stream)
        return json.loads(content)


def end_with_parent() -> None:
    """Let the kernel kill this process when the one that forked it ends."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def become(request: dict) -> None:
    """Run what `python` with these arguments would run, in this process."""
    import importlib
    import runpy
    import types

    import datasets.config
    import huggingface_hub.constants
    import numpy
    import torch

    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # what is read from the environment as it is imported
    for constants in (huggingface_hub.constants, datasets.config):
        importlib.reload(constants)
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0.05  # seconds at the end of each epoch of a stream: 5 otherwise
    numpy.random.seed()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    kind, *arguments = request["args"]
    if kind == "-m":
        sys.argv = arguments
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *arguments[1:]]
        sys.path[0] = ""
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv = [kind, *arguments]
        sys.path[0] = str(Path(kind).absolute().parent)
        runpy.run_path(kind, run_name="__main__")


def import_programs() -> None:
    """Import what the programs import, and nothing that starts a thread."""
    import gc
    import importlib

    import torch
    from PIL import Image

    torch.set_num_threads(1)
    for name in PROGRAMS:
        importlib.import_module(name)
    for name in AT_WORK:
        importlib.import_module(name)
    Image.init()
    for name in PROGRAMS:
        del sys.modules[name]  # it runs anew
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"a fork would have one of {threads} threads"
    gc.collect()
    gc.freeze()  # looked through in no fork, so that its memory stays shared


if __name__ == "__main__":
    import_programs()
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
