import Base
import Daemon
import Foundation
import HTTPAPI
import Linux
import Logging
import NIOCore
import NIOPosix
import NodeDatabase
import Registry
import Streaming
import TestSupport
import Testing

extension AdminRoutes {
    func answer(_ method: String, _ target: String, _ body: [UInt8]) -> HTTPAnswer {
        answer(HTTPRequest(method: method, target: target, body: body))
    }
}

/// Tests of the admin socket's routes.
@Suite struct AdminRoutesTests {
    static let chain = Digest.of(Array("chain".utf8))

    static func profile() throws -> [UInt8] {
        try ProfileFile(
            repository: Repository(host: "docker.io", name: "library/debian"), chain: chain,
            profile: Profile(entries: [
                .init(path: Array("usr/bin/env".utf8), range: ByteRange(offset: 0, end: 10), milliseconds: 1),
                .init(path: Array("etc/passwd".utf8), range: ByteRange(offset: 4096, end: 4101), milliseconds: 2),
            ])
        ).encoded()
    }

    static func withRoutes(isHealthy: Bool = true, _ body: (AdminRoutes) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            try body(AdminRoutes(page: MetricsPage(), profiles: ProfileRecords(state)) { isHealthy })
            try state.close()
        }
    }

    static func text(_ answer: HTTPAnswer) -> String { String(decoding: answer.body, as: UTF8.self) }

    @Test("reports the health of the mount", arguments: [true, false]) func reportsHealthOfMount(_ isHealthy: Bool)
        throws
    {
        try Self.withRoutes(isHealthy: isHealthy) { routes in
            #expect(routes.answer("GET", "/healthz", []).status == (isHealthy ? 200 : 503))
        }
    }

    @Test("serves a Prometheus page") func servesPrometheusPage() throws {
        try withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            let page = MetricsPage()
            page.addSource { [.counter("bytes_total", 42, help: "Bytes.")] }
            let routes = AdminRoutes(page: page, profiles: ProfileRecords(state)) { true }
            let answer = routes.answer("GET", "/metrics", [])
            #expect(answer.status == 200)
            #expect(answer.type == "text/plain; version=0.0.4")
            #expect(Self.text(answer).contains("rivulet_bytes_total 42"))
            try state.close()
        }
    }

    @Test("stores, lists and returns a profile") func storesListsAndReturnsProfile() throws {
        try Self.withRoutes { routes in
            #expect(Self.text(routes.answer("GET", "/profiles", [])) == "[]")
            let file = try Self.profile()
            #expect(routes.answer("PUT", "/profiles", file).status == 201)
            let listing = routes.answer("GET", "/profiles", [])
            #expect(listing.status == 200 && listing.type == "application/json")
            #expect(
                Self.text(listing)
                    == #"[{"bytes":15,"chain":"\#(Self.chain.hex)","entries":2,"repository":"docker.io/library/debian"}]"#
            )
            let answer = routes.answer("GET", "/profiles/\(Self.chain.hex)", [])
            #expect(answer == routes.answer("HEAD", "/profiles/\(Self.chain.hex)", []))
            #expect(answer.status == 200 && answer.type == "application/json")
            #expect(answer.body == file)
        }
    }

    @Test(
        "answers 404 to unknown paths",
        arguments: [
            "", "/", "metrics", "/nothing", "/metrics/", "/profiles/", "/profiles/abc", "/profiles/\(chain.hex)",
            "/profiles/\(chain.hex)/more", "/profiles/../metrics",
        ])
    func answers404ToUnknownPaths(_ target: String) throws {
        try Self.withRoutes { #expect($0.answer("GET", target, []).status == 404) }
    }

    @Test(
        "answers 405 to other methods",
        arguments: [
            ("POST", "/metrics"), ("PUT", "/healthz"), ("DELETE", "/profiles"), ("POST", "/profiles"),
            ("PUT", "/profiles/\(chain.hex)"), ("DELETE", "/profiles/\(chain.hex)"),
        ])
    func answers405ToOtherMethods(_ method: String, _ target: String) throws {
        try Self.withRoutes { #expect($0.answer(method, target, []).status == 405) }
    }

    @Test(
        "rejects a bad profile",
        arguments: ["", "{}", #"{"rivuletProfile":1,"repository":"x","entries":[["/etc",0,1,0,0]]}"#])
    func rejectsBadProfile(_ body: String) throws {
        try Self.withRoutes { routes in
            #expect(routes.answer("PUT", "/profiles", Array(body.utf8)).status == 400)
            #expect(Self.text(routes.answer("GET", "/profiles", [])) == "[]")
        }
    }

    /// The server reads an oversized body to its end without storing it, and then continues the connection.
    @Test("rejects an oversized body", .timeLimit(.minutes(1))) func rejectsOversizedBody() async throws {
        try await withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            let routes = AdminRoutes(page: MetricsPage(), profiles: ProfileRecords(state)) { true }
            let socket = directory + "/admin.sock"
            let server = AdminServer(path: socket, routes: routes, logger: Logger.silent)
            let run = Task { try await server.run() }
            let large = [UInt8](repeating: 32, count: AdminRoutes.maximumBody + 1)
            let answers: Result<[String], any Error>
            do {
                answers = .success(try await Self.exchange(socket, [large, try Self.profile()]))
            } catch {
                answers = .failure(error)
            }
            run.cancel()
            _ = try? await run.value
            try state.close()
            #expect(try answers.get() == ["HTTP/1.1 413 Payload Too Large", "HTTP/1.1 201 Created"])
        }
    }

    /// Sends `bodies` one after another on one connection, and returns the status lines.
    ///
    /// The last request asks the server to close the connection.
    static func exchange(_ socket: String, _ bodies: [[UInt8]]) async throws -> [String] {
        var connected: NIOAsyncChannel<ByteBuffer, ByteBuffer>?
        // The server creates its socket when it is ready.
        _ = await eventually {
            connected = try? await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connect(unixDomainSocketPath: socket) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
            return connected != nil
        }
        let channel = try #require(connected)
        return try await channel.executeThenClose { inbound, outbound in
            for (number, body) in bodies.enumerated() {
                let end = number == bodies.count - 1 ? "connection: close\r\n" : ""
                let head = "PUT /profiles HTTP/1.1\r\nhost: rivulet\r\n\(end)content-length: \(body.count)\r\n\r\n"
                try await outbound.write(ByteBuffer(string: head))
                try await outbound.write(ByteBuffer(bytes: body))
            }
            var bytes: [UInt8] = []
            for try await buffer in inbound { bytes += Array(buffer.readableBytesView) }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\r\n").map(String.init)
                .filter { $0.hasPrefix("HTTP/1.1 ") || $0.contains("HTTP/1.1 ") }
                .map { String($0[($0.range(of: "HTTP/1.1 ")?.lowerBound ?? $0.startIndex)...]) }
        }
    }
}
