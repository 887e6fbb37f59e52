/// A probe for the readiness of a pod's application. Pods use the host's network, so ports are those of 127.0.0.1.
public enum ReadyProbe: Sendable, Hashable {
    /// The application has written this line.
    case line(String)
    /// A GET request for `path` gets status 200.
    case http(port: Int, path: String)
    /// The application accepts connections to `port`.
    case tcp(port: Int)
    /// The application has exited with code 0.
    case exit
}
