"""Runs a program with given descriptors, environment and limits; only exec, no new process.

    python3 shim.py [--fd FROM:TO] [--listen-fds N] [--nofile N] -- PROGRAM ARGUMENTS...

--listen-fds does what systemd does: LISTEN_FDS, and LISTEN_PID with the pid of the program itself.
"""

import os
import resource
import sys


def main(arguments: list) -> None:
    split = arguments.index("--")
    options, program = arguments[:split], arguments[split + 1:]
    for option, value in zip(options[::2], options[1::2]):
        if option == "--fd":
            source, target = (int(number) for number in value.split(":"))
            if source != target:
                os.dup2(source, target, inheritable=True)
                if source > 2:
                    os.close(source)
        elif option == "--listen-fds":
            os.environ["LISTEN_FDS"] = value
            os.environ["LISTEN_PID"] = str(os.getpid())
        elif option == "--nofile":
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(value), int(value)))
        else:
            sys.exit(f"shim: unknown option {option}")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
