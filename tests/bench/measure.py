"""Runs a command in a small process of its own: a child's peak of memory begins with that of its parent.

Usage: python measure.py FOLDER COMMAND.. ; prints seconds of user and system time, of the clock, and KiB at the peak.
"""

import os
import sys
import time

folder, *command = sys.argv[1:]
os.chdir(folder)
silent = os.open(os.devnull, os.O_WRONLY)
begins = time.monotonic()
child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, silent, 1)])
_, status, usage = os.wait4(child, 0)
print(usage.ru_utime + usage.ru_stime, time.monotonic() - begins, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
