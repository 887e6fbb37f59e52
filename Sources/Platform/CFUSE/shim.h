// libfuse 3's low-level API as a Swift module. 3.14 is what Debian 12 and Ubuntu 24.04 ship.
#pragma once
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
