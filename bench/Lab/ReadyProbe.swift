/// A probe for the readiness of a pod's application. Pods run on the host's network, so ports are those of 127.0.0.1.
public enum ReadyProbe: Sendable, Hashable {
    /// It has written this line.
    case line(String)
    /// A GET of `path` gets status 200.
    case http(port: Int, path: String)
    /// It accepts connections to `port`.
    case tcp(port: Int)
    /// It has exited with code 0.
    case exit
}
