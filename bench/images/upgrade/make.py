#!/usr/bin/env python3
"""The data of an application in one of its versions: make.py TREE VERSION FILES

The second version keeps most files, changes every tenth, and has every fourth in another place.
"""

import os
import random
import sys

tree, version, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(count):
    changed = version > 1 and number % 10 == 0
    moved = version > 1 and number % 4 == 1
    generator = random.Random(f"{number} {version if changed else 1}")
    directory = os.path.join(tree, "srv/assets" if moved else "srv/data")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, f"{number:03}.bin"), "wb") as file:
        file.write(generator.randbytes(generator.randrange(20_000, 180_000)))
