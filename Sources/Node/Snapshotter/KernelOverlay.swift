import Linux

/// The options that this kernel's overlay file system needs.
enum KernelOverlay {
    /// Returns the option `index=off` if this kernel's overlay can keep an index of copied-up files, and no option
    /// otherwise.
    ///
    /// With that index, an upper directory is tied to the lower directories of its first mount. A later mount on other
    /// lower directories then fails with ESTALE, even if their contents are the same.
    static func mountOptions() -> [String] {
        let hasIndex = (try? Sys.exists("/sys/module/overlay/parameters/index")) ?? false
        return hasIndex ? ["index=off"] : []
    }
}
