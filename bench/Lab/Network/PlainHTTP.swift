public import Base
import Glibc
import Linux
import SystemPackage

/// One HTTP/1.1 connection within this machine, for probes and measurements. It has no TLS and no redirects, and is not
/// shared.
///
/// A call blocks for at most `timeout` without progress.
public struct PlainHTTP: ~Copyable {
    /// The head of a response.
    public struct Head: Sendable {
        public var status: Int
        /// The length of the body; `nil` if the server does not report it.
        public var length: UInt64?
    }

    private static let longestHead = 64 << 10
    private let socket: OwnedDescriptor
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    /// The received bytes in `buffer` that have not been returned yet.
    private var held = 0..<0

    /// Connects to `port` on 127.0.0.1.
    public init(port: Int, timeout: UInt64 = 30_000_000_000) throws(LabError) {
        do {
            socket = try Sockets.connect(port: port)
        } catch {
            throw LabError(.failed, "no connection to port \(port)", cause: error)
        }
        limit(timeout)
    }

    /// Connects to a unix socket.
    public init(socketPath: String, timeout: UInt64 = 30_000_000_000) throws(LabError) {
        do {
            socket = try Sockets.connect(path: socketPath)
        } catch {
            throw LabError(.failed, "no connection to \(socketPath)", cause: error)
        }
        limit(timeout)
    }

    private func limit(_ timeout: UInt64) {
        var time = timeval(tv_sec: Int(timeout / 1_000_000_000), tv_usec: Int(timeout / 1000 % 1_000_000))
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(socket.raw, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        setsockopt(socket.raw, SOL_SOCKET, SO_SNDTIMEO, &time, size)
    }

    /// Returns the text of a GET request. Several requests may be sent before the first response is read.
    public static func request(_ path: String, range: ByteRange? = nil, headers: [String] = []) -> String {
        var lines = ["GET \(path) HTTP/1.1", "Host: 127.0.0.1", "User-Agent: PodReady"] + headers
        if let range { lines.append("Range: bytes=\(range.offset)-\(range.end - 1)") }
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }

    /// Sends `text` as it is.
    public func send(_ text: String) throws(LabError) {
        var text = text
        let raw = socket.raw
        do {
            try text.withUTF8 { try Sys.writeAll(raw, UnsafeRawBufferPointer($0)) }
        } catch {
            throw LabError(.failed, "cannot send", cause: error)
        }
    }

    /// Reads the head of the next response.
    public mutating func head() throws(LabError) -> Head {
        var bytes: [UInt8] = []
        while !bytes.suffix(4).elementsEqual([13, 10, 13, 10]) {
            if held.isEmpty { try fill() }
            guard let byte = held.first, bytes.count < Self.longestHead else {
                throw LabError(.failed, "truncated or endless head of a response")
            }
            bytes.append(buffer[byte])
            held.removeFirst()
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw LabError(.failed, "not an HTTP response")
        }
        var head = Head(status: status)
        for line in lines.dropFirst() where line.lowercased().hasPrefix("content-length:") {
            head.length = UInt64(line.drop { $0 != ":" }.dropFirst().drop { $0 == " " })
        }
        return head
    }

    /// Reads `count` bytes of a response body, and passes them to `body` in pieces.
    public mutating func read(_ count: UInt64, _ body: (ArraySlice<UInt8>) -> Void = { _ in }) throws(LabError) {
        var left = count
        while left > 0 {
            if held.isEmpty { try fill() }
            guard !held.isEmpty else { throw LabError(.failed, "the response ends \(left) bytes too early") }
            let size = Int(min(left, UInt64(held.count)))
            body(buffer[held.prefix(size)])
            held = held.dropFirst(size)
            left -= UInt64(size)
        }
    }

    /// Reads at most `limit` bytes until the server closes the connection.
    public mutating func rest(limit: Int) throws(LabError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            if held.isEmpty { try fill() }
            if held.isEmpty { return bytes }
            bytes += buffer[held]
            held = 0..<0
            guard bytes.count <= limit else { throw LabError(.failed, "the response is longer than \(limit) bytes") }
        }
    }

    /// Sends one request, expects status 200, and returns the whole body.
    public static func get(
        _ path: String, port: Int, headers: [String] = [], limit: Int = 8 << 20
    ) throws(LabError) -> [UInt8] {
        var connection = try PlainHTTP(port: port)
        return try connection.get(path, headers: headers, limit: limit)
    }

    /// Sends one request over a unix socket, like ``get(_:port:headers:limit:)``.
    public static func get(
        _ path: String, socketPath: String, limit: Int = 8 << 20
    ) throws(LabError) -> [UInt8] {
        var connection = try PlainHTTP(socketPath: socketPath)
        return try connection.get(path, headers: [], limit: limit)
    }

    /// Sends `body` in a PUT request, and expects status 201.
    public static func put(_ path: String, _ body: [UInt8], socketPath: String) throws(LabError) {
        var connection = try PlainHTTP(socketPath: socketPath)
        let head = [
            "PUT \(path) HTTP/1.1", "Host: localhost", "Content-Length: \(body.count)", "Connection: close", "", "",
        ].joined(separator: "\r\n")
        try connection.send(head + String(decoding: body, as: UTF8.self))
        let answer = try connection.head()
        guard answer.status == 201 else { throw LabError(.failed, "PUT \(path) is answered with \(answer.status)") }
    }

    /// Sends a DELETE request, and expects status 202.
    public static func delete(_ path: String, port: Int) throws(LabError) {
        var connection = try PlainHTTP(port: port)
        try connection.send(
            ["DELETE \(path) HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "", ""].joined(separator: "\r\n"))
        let answer = try connection.head()
        guard answer.status == 202 else { throw LabError(.failed, "DELETE \(path) is answered with \(answer.status)") }
    }

    private mutating func get(_ path: String, headers: [String], limit: Int) throws(LabError) -> [UInt8] {
        try send(Self.request(path, headers: headers + ["Connection: close"]))
        let head = try head()
        guard head.status == 200 else { throw LabError(.failed, "GET \(path) is answered with \(head.status)") }
        guard let length = head.length else { return try rest(limit: limit) }
        guard length <= UInt64(limit) else { throw LabError(.failed, "\(path) has \(length) bytes") }
        var bytes: [UInt8] = []
        try read(length) { bytes += $0 }
        return bytes
    }

    /// Receives the available bytes. There are none if the server has closed the connection.
    private mutating func fill() throws(LabError) {
        let raw = socket.raw
        do {
            let count = try buffer.withUnsafeMutableBytes { try Sys.read(raw, into: $0) }
            held = 0..<count
        } catch {
            throw LabError(error as? Errno == .wouldBlock ? .timedOut : .failed, "cannot receive", cause: error)
        }
    }
}
