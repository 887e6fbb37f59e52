#!/usr/bin/env python3
"""A tree of small Python modules, like the dependencies of a large application: make.py TREE FILES

Packages of 100 modules each; every module imports nothing and is between some dozen bytes and 8 KiB long.
"""

import os
import random
import sys

tree, count = sys.argv[1], int(sys.argv[2])
generator = random.Random(1)
for start in range(0, count, 100):
    package = os.path.join(tree, f"usr/local/lib/modules/package_{start // 100:03}")
    os.makedirs(package)
    for number in range(min(100, count - start)):
        lines = [f'"""Module {number} of package {start // 100}."""', "", f"VALUE = {start + number}", "TABLE = {"]
        lines += [f'    "{generator.getrandbits(48):012x}": {generator.getrandbits(20)},' for _ in range(generator.choice([2, 10, 40, 250]))]
        lines += ["}", ""]
        with open(os.path.join(package, f"module_{number:02}.py"), "w") as file:
            file.write("\n".join(lines))
