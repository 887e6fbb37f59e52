// ISA-L's inflate (igzip) as a Swift module.
#pragma once
#include <isa-l/igzip_lib.h>
