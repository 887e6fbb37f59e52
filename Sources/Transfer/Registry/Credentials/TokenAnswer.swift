import FoundationEssentials

/// A token endpoint's response (distribution's "token authentication" and "OAuth2" specifications).
package struct TokenAnswer {
    package let text: Secret
    /// The time for which the client uses the token. It is shorter than the token's lifetime.
    package let usableFor: Duration

    /// The lifetime, in seconds, of a token if the response states none. The value is the specification's default.
    private static let defaultLife: Int64 = 60

    private struct Wire: Decodable {
        var token: String?
        var accessToken: String?
        var expiresIn: Double?

        enum CodingKeys: String, CodingKey {
            case token
            case accessToken = "access_token"
            case expiresIn = "expires_in"
        }
    }

    /// Decodes the body of a response. Returns `nil` if the body has no token, or a token with characters that a header
    /// cannot contain. The initializer drops the decoder's error, because the error could quote the token.
    package init?(bytes: [UInt8]) {
        guard let wire = try? JSONDecoder().decode(Wire.self, from: Data(bytes)),
            let text = [wire.token, wire.accessToken].compactMap({ $0 }).first(where: { !$0.isEmpty }),
            text.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
        else { return nil }
        var life = Self.defaultLife
        if let given = wire.expiresIn, given >= 1 { life = Int64(min(given, 30 * 86400)) }
        // A request may be in flight for a while, so do not use the token until its very end. Leave out a tenth of its
        // lifetime or 5 s, whichever is longer, but at most half.
        let usable = max(life - max(life / 10, 5), life / 2)
        self.text = Secret(text)
        usableFor = .seconds(usable)
    }
}
