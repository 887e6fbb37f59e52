/// The version of Rivulet's command line.
enum ProductVersion {
    /// The version that `--version` prints and that requests to registries carry. It equals the daemon's.
    static let current = "0.1.0"
}
