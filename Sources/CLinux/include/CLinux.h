// System calls that Swift cannot import from glibc: variadic functions and function-like macros.
// Every symbol is prefixed with rv_.
#pragma once
