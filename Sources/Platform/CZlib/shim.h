// zlib as a Swift module.
#pragma once
#include <zlib.h>
