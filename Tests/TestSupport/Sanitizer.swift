import Glibc

/// The sanitizer that the test program was built with, if any.
public enum Sanitizer {
    /// True with AddressSanitizer or ThreadSanitizer, which add their own memory to the program's.
    public static let isPresent = dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
}
