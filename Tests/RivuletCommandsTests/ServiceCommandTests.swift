import Foundation
import HTTPAPI
import Linux
import Testing

/// Tests of the subcommands that send requests to the conversion service, against a stub.
@Suite(.timeLimit(.minutes(1))) struct ServiceCommandTests {
    private static let image = "registry.example/team/app:1.2"
    private static let operation = """
        {"id": "7", "repository": "registry.example/team/app", "image": "\(image)", "state": "NotStarted",
         "progress": 0, "artifacts": [], "created": 1, "changed": 1}
        """

    private struct Shown: Decodable {
        let id: String
        let state: String
    }

    private static func json(_ status: Int, _ text: String) -> HTTPAnswer {
        HTTPAnswer(status, type: "application/json", body: Array(text.utf8))
    }

    @Test("create --no-wait starts an operation of the service and prints it", arguments: ["table", "json"])
    func createWithoutWaiting(_ format: String) async throws {
        try await withTemporaryDirectory { directory in
            let tokenFile = directory + "/token"
            try Sys.writeFile(tokenFile, Array("secret\n".utf8))
            try await StubServer.with(.tcp("127.0.0.1", 0), answer: { _ in Self.json(202, Self.operation) }) {
                stub, port in
                let run = try await RivuletProcess.run(
                    [
                        "artifact-streaming", "create", "--image", Self.image, "--no-wait", "--token-file", tokenFile,
                        "--output", format,
                    ], environment: ["RIVULET_SERVICE": "http://127.0.0.1:\(port)"])
                #expect(run.errors == "")
                #expect(run.code == 0)
                if format == "json" {
                    let shown = try run.decoded([Shown].self)
                    #expect(shown.map(\.id) == ["7"] && shown.map(\.state) == ["NotStarted"])
                } else {
                    #expect(run.cells.last?.prefix(3) == ["7", Self.image, "NotStarted"])
                }
                let request = try #require(stub.requests.first)
                #expect(stub.requests.count == 1)
                #expect(request.method == "POST" && request.path == ["v1", "operations"])
                #expect(request.headers["authorization"] == "Bearer secret")
                #expect(
                    try JSONDecoder().decode([String: String].self, from: Data(request.body)) == ["image": Self.image])
            }
        }
    }

    @Test("each answer of the service has its exit code", arguments: [(401, 77), (404, 66), (409, 1), (500, 1)])
    func exitCodes(_ status: Int, _ code: Int32) async throws {
        try await StubServer.with(.tcp("127.0.0.1", 0), answer: { _ in .text(status, "refused") }) { _, port in
            let service = ["--service", "http://127.0.0.1:\(port)"]
            for command in [
                ["show"], ["show", "--repository", "team/app"],
                ["update", "--repository", "team/app", "--enable-streaming", "true"],
                ["operation", "show", "--id", "7"], ["operation", "cancel", "--id", "7"],
            ] {
                let run = try await RivuletProcess.run(["artifact-streaming"] + command + service)
                #expect(run.code == code, "\(command): \(run.errors)")
                #expect(run.errors.hasPrefix("rivulet: "))
            }
        }
    }

    @Test("a service that does not listen is reported with its address")
    func unreachableService() async throws {
        let run = try await RivuletProcess.run(
            ["artifact-streaming", "create", "--image", Self.image, "--no-wait"],
            environment: ["RIVULET_SERVICE": "http://127.0.0.1:1"])
        #expect(run.code == 69)
        #expect(run.errors.contains("http://127.0.0.1:1") && run.errors.contains("rivulet serve-conversion"))
    }
}
