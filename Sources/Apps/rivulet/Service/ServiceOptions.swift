import ArgumentParser
import Artifacts
import FoundationEssentials
import Glibc
import HTTPAPI
import NIOCore
import NIOHTTP1

/// What every subcommand has that asks the conversion service.
struct ServiceOptions: ParsableArguments {
    /// Where the service listens unless it is told otherwise.
    static let defaultURL = "http://127.0.0.1:7090"
    private static let maximumAnswer = 16 << 20

    @Option(
        help: ArgumentHelp(
            "The conversion service.", discussion: "By default $RIVULET_SERVICE, or \(defaultURL).",
            valueName: "url"))
    var service: String?

    @Option(
        help: ArgumentHelp("A file with the token that the service wants, if it wants one.", valueName: "file"))
    var tokenFile: String?

    @Option(help: "How results are printed: table or json.")
    var output = OutputFormat.table

    init() {}

    /// As on a command line with these.
    init(tokenFile: String?, output: OutputFormat) {
        self.tokenFile = tokenFile
        self.output = output
    }

    private var base: String {
        let named = service ?? getenv("RIVULET_SERVICE").map { String(cString: $0) } ?? Self.defaultURL
        return named.hasSuffix("/") ? String(named.dropLast()) : named
    }

    /// One question; the answer is decoded.
    ///
    /// - Parameter parts: of the path behind `/v1/`.
    func ask<Value: Decodable>(
        _ method: HTTPMethod, _ parts: [String], query: [String: String] = [:], body: some Encodable
    ) async throws -> Value {
        try await ask(method, parts, query, Array(try JSONEncoder().encode(body)))
    }

    /// As ``ask(_:_:query:body:)``, without a body.
    func ask<Value: Decodable>(
        _ method: HTTPMethod, _ parts: [String], query: [String: String] = [:]
    ) async throws -> Value {
        try await ask(method, parts, query, nil)
    }

    private func ask<Value: Decodable>(
        _ method: HTTPMethod, _ parts: [String], _ query: [String: String], _ body: [UInt8]?
    ) async throws -> Value {
        var url = "\(base)/v1/" + parts.map(Self.encode).joined(separator: "/")
        let pairs = query.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.encode($0.value))" }
        if !pairs.isEmpty { url += "?" + pairs.joined(separator: "&") }
        var headers: HTTPHeaders = ["content-type": "application/json"]
        if let tokenFile {
            let token = String(decoding: try CommandFile.read(tokenFile, limit: 4096), as: UTF8.self)
            headers.add(name: "authorization", value: "Bearer \(token.trimmed)")
        }
        let answer: HTTPCall.Answer
        do {
            answer = try await HTTPCall.exchange(
                method, url, headers: headers, body: body, maximum: Self.maximumAnswer)
        } catch {
            let why = HTTPCall.isTimeout(error) ? "it does not answer in time" : "\(error)"
            throw CommandFailure(
                .unreachable,
                "cannot reach the conversion service at \(base): \(why): is rivulet serve-conversion running? If it "
                    + "listens elsewhere, name that with --service")
        }
        switch answer.status {
        case 200...299: break
        case 401: throw CommandFailure(.denied, "the conversion service at \(base) wants a token: --token-file")
        case 404: throw CommandFailure(.missing, answer.line)
        default: throw CommandFailure(.failed, answer.line)
        }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(answer.body))
        } catch {
            throw CommandFailure(
                .failed, "the conversion service at \(base) answers what this rivulet does not understand", cause: error
            )
        }
    }

    /// Everything but RFC 3986's unreserved characters and the colon as `%XX`.
    private static func encode(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: ":"):
                result.append(Character(UnicodeScalar(byte)))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count < 2 ? "0" + digits : digits)
            }
        }
    }

    // MARK: - Answers

    func show(_ repositories: [RepositoryStreaming]) throws {
        guard output == .table else { return try Output.json(repositories) }
        Output.table(
            ["REPOSITORY", "STREAMING"],
            repositories.map { [$0.repository.printable, $0.streaming ? "true" : "false"] })
    }

    func show(_ operations: [ConversionOperation]) throws {
        guard output == .table else { return try Output.json(operations) }
        Output.table(
            ["ID", "IMAGE", "STATE", "PROGRESS", "ERROR"],
            operations.map {
                [
                    $0.id, $0.image.printable, $0.state.rawValue, "\($0.progress) %",
                    $0.error.map { "\($0.code): \($0.message)" }?.printable ?? "",
                ]
            })
    }
}

extension String {
    /// Without white space at its ends.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
