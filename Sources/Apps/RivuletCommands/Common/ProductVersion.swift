/// The version of Rivulet's command line.
enum ProductVersion {
    /// The version that `--version` prints and that requests to registries carry. The daemon has the same version.
    static let current = "0.1.0"
}
