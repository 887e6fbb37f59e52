import Linux

/// The options that this kernel's overlay file system needs.
enum KernelOverlay {
    /// Returns `index=off` if the kernel has an index of copied-up files.
    ///
    /// With that index, an upper directory remembers the lower directories of its first mount. A later mount on the
    /// same tree under another path then fails with ESTALE.
    static func mountOptions() -> [String] {
        let hasIndex = (try? Sys.exists("/sys/module/overlay/parameters/index")) ?? false
        return hasIndex ? ["index=off"] : []
    }
}
