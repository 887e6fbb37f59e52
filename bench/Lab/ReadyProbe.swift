/// How to see that the application in a pod is ready. Pods run on the host's network, so ports are those of 127.0.0.1.
public enum ReadyProbe: Sendable, Hashable {
    /// It has written this line.
    case line(String)
    /// A GET of `path` is answered with status 200.
    case http(port: Int, path: String)
    /// A connection to `port` is taken.
    case tcp(port: Int)
    /// It has ended with exit code 0.
    case exit
}
