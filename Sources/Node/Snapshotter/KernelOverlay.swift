import Linux

/// The options that this kernel's overlay file system needs.
enum KernelOverlay {
    /// Returns the option `index=off` if this kernel's overlay can keep an index of copied-up files, and no option
    /// otherwise.
    ///
    /// With that index, an upper directory remembers the lower directories of its first mount. A later mount on the
    /// same tree under another path then fails with ESTALE.
    static func mountOptions() -> [String] {
        let hasIndex = (try? Sys.exists("/sys/module/overlay/parameters/index")) ?? false
        return hasIndex ? ["index=off"] : []
    }
}
