"""An application that is ready once numpy is loaded and has done one small piece of work."""

import signal
import sys

import numpy

if int(numpy.arange(1000).reshape(10, 100).sum()) != 499500:
    sys.exit("numpy gives wrong results")
print("ready", flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
