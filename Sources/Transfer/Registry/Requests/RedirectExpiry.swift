/// The computation of the time until which the client may reuse the target of a redirect.
public enum RedirectExpiry {
    /// The lifetime, in seconds, of a target if neither its URL nor the redirect states one.
    static let standard: Int64 = 60
    /// The longest lifetime in seconds, whatever the URL states. The limit exists because signing keys are rotated and
    /// storage buckets move.
    static let longest: Int64 = 6 * 3600
    /// The safety margin in seconds: the client stops using a target this long before the target expires. A target then
    /// does not expire while a request is in flight.
    static let margin: Int64 = 10

    /// Returns the time until which the client may reuse `url`, in seconds since 1970. The time is in the past if the
    /// client must not reuse `url`.
    ///
    /// The method takes the expiry from a signature in the URL, or else from the redirect's `Cache-Control`, or else
    /// assumes a lifetime of ``standard``. It understands these signatures:
    ///
    /// - S3 and compatible stores: `X-Amz-Date` with `X-Amz-Expires` (version 4), or `Expires` (version 2);
    /// - CloudFront: `Expires`;
    /// - Google: `X-Goog-Date` with `X-Goog-Expires`;
    /// - Azure: `se`.
    public static func end(url: String, cacheControl: String?, now: Int64) -> Int64 {
        let end = signedEnd(url) ?? cachedEnd(cacheControl, now: now) ?? now + standard
        return min(end - margin, now + longest)
    }

    private static func signedEnd(_ url: String) -> Int64? {
        guard let mark = url.firstIndex(of: "?") else { return nil }
        var values: [String: String] = [:]
        for pair in url[url.index(after: mark)...].split(separator: "&").prefix(64) {
            let halves = pair.split(separator: "=", maxSplits: 1)
            guard halves.count == 2 else { continue }
            values[halves[0].lowercased()] = percentDecode(halves[1])
        }
        for vendor in ["x-amz", "x-goog"] {
            if let begin = values["\(vendor)-date"].flatMap({ HTTPDate.secondsSince1970(iso8601: $0) }),
                let life = values["\(vendor)-expires"].flatMap({ Int64($0) }), (0...31_536_000).contains(life)
            {
                return begin + life
            }
        }
        if values["sig"] != nil, let end = values["se"].flatMap({ HTTPDate.secondsSince1970(iso8601: $0) }) {
            return end
        }
        if let end = values["expires"].flatMap({ Int64($0) }), (0...253_402_300_799).contains(end) { return end }
        return nil
    }

    private static func cachedEnd(_ cacheControl: String?, now: Int64) -> Int64? {
        guard let cacheControl else { return nil }
        for part in cacheControl.lowercased().split(separator: ",").map({ $0.trimmed }) {
            if part == "no-store" || part == "no-cache" { return now }
            if part.hasPrefix("max-age="), let age = Int64(part.dropFirst(8)), age >= 0 {
                return now + min(age, longest)
            }
        }
        return nil
    }

    private static func percentDecode(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            if byte == 0x25, rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
