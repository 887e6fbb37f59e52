/// The `hosts.toml` directory that containerd and the snapshotters of a lab read.
public enum HostsDirectory {
    /// The registry name in all references of a lab. It resolves nowhere: `hosts.toml` says where it is.
    public static let registry = "registry.lab"

    /// Writes `directory` so that ``registry`` stands for `port` on 127.0.0.1.
    public static func write(_ directory: String, port: Int) throws(LabError) {
        try Files.write(
            "\(directory)/\(registry)/hosts.toml",
            """
            server = "http://127.0.0.1:\(port)"

            [host."http://127.0.0.1:\(port)"]
              capabilities = ["pull", "resolve"]
            """)
    }
}
