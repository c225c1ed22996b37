"""Stops programs that turn themselves into daemons.

    python3 supervise.py PROGRAM ARGUMENTS...

Runs the program and adopts whatever it leaves behind (PR_SET_CHILD_SUBREAPER). On SIGTERM or
SIGUSR1, and when its own parent dies, passes the signal on to all of them and waits. Writes one
line "PID STATUS" to stdout for each process that ended; STATUS is negative for a signal. Ends when
the last one has ended: status 0 if all of them succeeded.
"""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def children() -> list:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def pass_on(number: int, _frame: object) -> None:
    for pid in children():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def main(program: list) -> int:
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, pass_on)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    subprocess.Popen(program)  # pylint: disable=consider-using-with
    worst = 0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return 1 if worst else 0
        code = os.waitstatus_to_exitcode(status)
        worst = worst or code
        print(pid, code, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
