/// The `hosts.toml` directory of a lab's containerd and snapshotters.
public enum HostsDirectory {
    /// The registry's name in all image references of a lab. It does not resolve, so `hosts.toml` maps it.
    public static let registry = "registry.lab"

    /// Writes `directory` so that the registry `name` maps to `port` on 127.0.0.1.
    public static func write(
        _ directory: String, port: Int, registry name: String = registry
    ) throws(LabError) {
        try Files.write(
            "\(directory)/\(name)/hosts.toml",
            """
            server = "http://127.0.0.1:\(port)"

            [host."http://127.0.0.1:\(port)"]
              capabilities = ["pull", "resolve"]
            """)
    }
}
