"""An application that is ready once it has looked for its modules and imported some hundreds of them."""

import importlib
import os
import signal
import sys

root = "/usr/local/lib/modules"
sys.path.insert(0, root)
sys.dont_write_bytecode = True
packages = sorted(os.listdir(root))
# At most 400 modules, spread over all packages.
chosen = [(package, number) for number in range(100) for package in packages][:400]
total = 0
for package, number in chosen:
    total += importlib.import_module(f"{package}.module_{number:02}").VALUE
if total != sum(100 * int(package[-3:]) + number for package, number in chosen):
    sys.exit("the modules hold wrong values")
print("ready", flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
