import Linux

/// The options that this kernel's overlay file system needs.
enum KernelOverlay {
    /// `index=off` if the kernel has an index of copied-up files. With that index, an upper directory remembers its
    /// first lower ones, and a mount of it on the same tree under another path fails with ESTALE.
    static func mountOptions() -> [String] {
        let hasIndex = (try? Sys.exists("/sys/module/overlay/parameters/index")) ?? false
        return hasIndex ? ["index=off"] : []
    }
}
