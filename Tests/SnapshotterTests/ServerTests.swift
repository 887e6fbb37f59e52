import Base
import ContainerdAPI
import GRPCCore
import GRPCNIOTransportHTTP2
import Glibc
import Linux
import Logging
import NodeDatabase
import Snapshotter
import SwiftProtobuf
import TestSupport
import Testing

/// Tests of the socket: binding, access, and shutdown.
struct ServerTests {
    private static func service(_ root: String) throws -> SnapshotService {
        try SnapshotService(
            state: StateDatabase(root: root + "/state"), remote: FakeRemoteImages(directory: root),
            logger: Logger.silent)
    }

    private static func server(_ root: String, _ socket: SnapshotterServer.Socket) throws -> SnapshotterServer {
        try SnapshotterServer(
            service(root), socket: socket, logger: Logger.silent)
    }

    private static func unixSocket() throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        try #require(descriptor >= 0)
        return descriptor
    }

    private static func bindAndListen(_ descriptor: Int32, _ path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        try #require(listen(descriptor, 8) == 0)
    }

    @Test func theSocketIsForRootAloneWhateverTheUmask() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            #expect(try await snapshotter.names().isEmpty)
            #expect(try Sys.stat(snapshotter.socket).mode & 0o777 == 0o600)
            let directory = String(snapshotter.socket.dropLast("/snapshotter.sock".count))
            #expect(try Sys.stat(directory).mode & 0o777 == 0o700)
            #expect(try Sys.stat(snapshotter.root).mode & 0o777 == 0o700)
        }
    }

    @Test func aStopTakesTheSocketAway() async throws {
        try await withTemporaryDirectory { root in
            try await withSnapshotter(root: root) { _ = try await $0.prepare("key") }
            #expect(try !Sys.exists(root + "/run/snapshotter.sock"))
        }
    }

    @Test func aSocketThatNobodyServesIsReplaced() async throws {
        try await withTemporaryDirectory { root in
            try Sys.makeDirectory(root + "/run")
            let dead = try Self.unixSocket()
            try Self.bindAndListen(dead, root + "/run/snapshotter.sock")
            close(dead)
            try await withSnapshotter(root: root) { _ = try await $0.names() }
        }
    }

    @Test func aSocketThatSomebodyServesIsLeftAlone() throws {
        try withTemporaryDirectory { root in
            let path = root + "/some.sock"
            let alive = try Self.unixSocket()
            defer { close(alive) }
            try Self.bindAndListen(alive, path)
            let error = #expect(throws: SnapshotterError.self) { _ = try Self.server(root, .path(path)) }
            #expect(error?.code == .inUse)
            #expect(try Sys.exists(path))
        }
    }

    @Test func anotherInstanceIsNotDisturbed() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try withTemporaryDirectory { other in
                let error = #expect(throws: SnapshotterError.self) {
                    _ = try Self.server(other, .path(snapshotter.socket))
                }
                #expect(error?.code == .inUse)
            }
            #expect(try await snapshotter.names().isEmpty)
        }
    }

    @Test func whatIsNotASocketIsLeftAlone() throws {
        try withTemporaryDirectory { root in
            try Sys.writeFile(root + "/file", Array("precious".utf8))
            let error = #expect(throws: SnapshotterError.self) { _ = try Self.server(root, .path(root + "/file")) }
            #expect(error?.code == .inUse)
            #expect(try Sys.readFile(root + "/file", limit: 64 << 20) == Array("precious".utf8))
        }
    }

    @Test(arguments: ["relative.sock", "/" + String(repeating: "s", count: 107)])
    func aBadPathIsRefused(_ path: String) throws {
        try withTemporaryDirectory { root in
            let error = #expect(throws: SnapshotterError.self) { _ = try Self.server(root, .path(path)) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func aSocketMayBeInherited() async throws {
        try await withTemporaryDirectory { root in
            let path = root + "/activated.sock"
            let descriptor = try Self.unixSocket()
            try Self.bindAndListen(descriptor, path)
            let server = try Self.server(root, .inherited(descriptor))
            let serving = Task { try await server.run() }
            let transport = try HTTP2ClientTransport.Posix.http2NIOPosix(
                target: .unixDomainSocket(path: path, authority: "localhost"), transportSecurity: .plaintext)
            try await withGRPCClient(transport: transport) { client in
                _ = try await Client(wrapping: client).view(.with { $0.key = "key" })
            }
            serving.cancel()
            try await serving.value
            // The socket belongs to systemd, not to the server.
            #expect(try Sys.exists(path))
        }
    }

    @Test func onlyAListeningUnixSocketMayBeInherited() throws {
        try withTemporaryDirectory { root in
            let file = try Sys.open(root, [.readOnly, .directory])
            let unbound = try Self.unixSocket()
            defer { close(unbound) }
            let error = #expect(throws: SnapshotterError.self) { _ = try Self.server(root, .inherited(file.raw)) }
            #expect(error?.code == .invalidArgument)
            let second = #expect(throws: SnapshotterError.self) { _ = try Self.server(root, .inherited(unbound)) }
            #expect(second?.code == .invalidArgument)
        }
    }

    @Test func clientsThatConnectBeforeItServesAreAnswered() async throws {
        try await withTemporaryDirectory { root in
            let path = root + "/early.sock"
            let server = try Self.server(root, .path(path))
            let transport = try HTTP2ClientTransport.Posix.http2NIOPosix(
                target: .unixDomainSocket(path: path, authority: "localhost"), transportSecurity: .plaintext)
            try await withGRPCClient(transport: transport) { client in
                async let early = Client(wrapping: client).view(.with { $0.key = "key" })
                let serving = Task { try await server.run() }
                #expect(try await early.mounts.count == 1)
                serving.cancel()
                try await serving.value
            }
        }
    }

    @Test func messagesOfSixteenMebibytesAreTaken() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            // This exceeds gRPC's own limit of 4 MiB. The call is refused for its content, not for its size.
            let filter = String(repeating: "x", count: 8 << 20)
            #expect(await failure { _ = try await snapshotter.names([filter]) }?.code == .invalidArgument)
            let larger = String(repeating: "x", count: 17 << 20)
            // gRPC may choose any status, but the connection's other calls must not be affected.
            #expect(await failure { _ = try await snapshotter.names([larger]) } != nil)
            #expect(try await snapshotter.names().isEmpty)
        }
    }
}
