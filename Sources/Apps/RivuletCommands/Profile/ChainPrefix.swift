import ArgumentParser
import Base

/// A chain ID as it is named on the command line: all of it, or as much as tells it from the others.
struct ChainPrefix: Sendable {
    private static let minimumDigits = 8

    /// Lower-case hexadecimal, 8 to 64 of them.
    let digits: String

    /// From digits in any case, with or without `sha256:` before them.
    init(parsing text: String) throws {
        let digits = (text.hasPrefix("sha256:") ? text.dropFirst(7) : text[...]).lowercased()
        guard (Self.minimumDigits...2 * Digest.byteCount).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ Hex.value(of: $0) != nil })
        else {
            throw ValidationError(
                "a chain is named by the \(2 * Digest.byteCount) hexadecimal digits of its ID, with or without "
                    + "sha256: before them, or by the first of them, \(Self.minimumDigits) at least")
        }
        self.digits = digits
    }

    /// The chain ID, if it is all there.
    var whole: Digest? { Digest(hex: digits.utf8) }

    func matches(_ chain: Digest) -> Bool { chain.hex.hasPrefix(digits) }
}

extension Digest {
    /// As much of a chain ID as a table shows, and as the command line takes.
    var short: String { String(hex.prefix(12)) }
}
