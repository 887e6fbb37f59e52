import Linux

/// What this kernel's overlay file system wants to be told.
enum KernelOverlay {
    /// `index=off` where the kernel has an index of copied-up files: with it, an upper directory remembers the lower
    /// ones that it was first mounted with, and mounting it again on the same tree under another path fails with
    /// ESTALE.
    static func mountOptions() -> [String] {
        let hasIndex = (try? Sys.exists("/sys/module/overlay/parameters/index")) ?? false
        return hasIndex ? ["index=off"] : []
    }
}
