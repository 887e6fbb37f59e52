import Base
import FoundationEssentials
import HTTPAPI
import NIOHTTP1
import Registry
import Streaming

/// A profile that the daemon stores, without its entries.
struct ProfileSummary: Codable, Sendable {
    /// The chain ID. The daemon's list of profiles, which this type decodes, contains only the ID's hexadecimal digits.
    /// The JSON output of this command line has `sha256:` before the digits.
    let chain: Digest
    let repository: String
    /// The number of entries.
    let entries: Int
    /// The total size of the entries' file ranges, in bytes.
    let bytes: UInt64

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let digits = try values.decode(String.self, forKey: .chain)
        guard let chain = Digest(hex: digits.utf8) else {
            throw DecodingError.dataCorruptedError(
                forKey: .chain, in: values, debugDescription: "not a chain ID: \(digits.prefix(100))")
        }
        self.chain = chain
        repository = try values.decode(String.self, forKey: .repository)
        entries = try values.decode(Int.self, forKey: .entries)
        bytes = try values.decode(UInt64.self, forKey: .bytes)
    }
}

extension AdminSocket {
    /// Returns the daemon's profiles, most recently stored first.
    func profiles() async throws(CommandFailure) -> [ProfileSummary] {
        let answer = try await exchange(.GET, "/profiles")
        guard answer.status == 200 else { throw refusal(of: "GET /profiles", answer) }
        do {
            return try JSONDecoder().decode([ProfileSummary].self, from: Data(answer.body))
        } catch {
            throw CommandFailure(
                .failed, "cannot decode the list of profiles from the daemon at \(path)",
                cause: error)
        }
    }

    /// Returns the profiles of `repository`, most recently stored first. Throws if the repository has no profile.
    func profiles(of repository: Repository) async throws(CommandFailure) -> [ProfileSummary] {
        let name = "\(repository)"
        let found = try await profiles().filter { $0.repository == name }
        guard !found.isEmpty else {
            throw CommandFailure(
                .missing, "the daemon at \(path) has no profile of \(name): see rivulet profile show")
        }
        return found
    }

    /// Returns the ID of the chain that `prefix` identifies.
    ///
    /// If `prefix` is a complete chain ID, returns that ID without asking the daemon. Otherwise, throws unless exactly
    /// one chain with a profile has an ID that begins with `prefix`.
    func chain(_ prefix: ChainPrefix) async throws(CommandFailure) -> Digest {
        if let whole = prefix.whole { return whole }
        let found = try await profiles().map(\.chain).filter(prefix.matches)
        guard let chain = found.first else {
            throw CommandFailure(
                .missing,
                "the daemon at \(path) has no profile of a chain that begins with \(prefix.digits): "
                    + "see rivulet profile show")
        }
        guard found.count == 1 else {
            throw CommandFailure(
                .failed,
                "\(found.count) chains begin with \(prefix.digits): give more digits of \(found[0].hex) or "
                    + "\(found[1].hex)")
        }
        return chain
    }

    /// Returns the profile of `chain` as an encoded file.
    func profile(of chain: Digest) async throws(CommandFailure) -> [UInt8] {
        let target = "/profiles/\(chain.hex)"
        let answer = try await exchange(.GET, target)
        switch answer.status {
        case 200: return answer.body
        case 404:
            throw CommandFailure(
                .missing, "the daemon at \(path) has no profile of chain \(chain.hex): see rivulet profile show")
        default: throw refusal(of: "GET \(target)", answer)
        }
    }

    /// Decodes `file`, the profile of `chain` that the daemon sent.
    func contents(of file: [UInt8], _ chain: Digest) throws(CommandFailure) -> ProfileFile {
        do throws(StreamingError) {
            return try ProfileFile(bytes: file)
        } catch {
            throw CommandFailure(
                .failed,
                "cannot decode the profile of chain \(chain.hex) from the daemon at \(path)",
                cause: error)
        }
    }

    /// Sends the profile in `file` to the daemon, which stores it.
    func keep(_ file: [UInt8]) async throws(CommandFailure) {
        let answer = try await exchange(.PUT, "/profiles", body: file)
        guard answer.status == 201 else { throw refusal(of: "PUT /profiles", answer) }
    }
}
