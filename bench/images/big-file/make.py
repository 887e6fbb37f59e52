#!/usr/bin/env python3
"""One large file that cannot be compressed, like the weights of a model: make.py TREE MEGABYTES"""

import os
import random
import sys

tree, count = sys.argv[1], int(sys.argv[2])
generator = random.Random(1)
os.makedirs(os.path.join(tree, "data"))
with open(os.path.join(tree, "data/weights"), "wb") as file:
    for _ in range(count):
        file.write(generator.randbytes(1_000_000))
