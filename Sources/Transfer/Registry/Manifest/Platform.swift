/// The platform of an image (OCI image-spec image-index.md, "platform").
public struct Platform: Sendable, Hashable {
    public var os: String
    public var architecture: String
    /// The variant: `v6`, `v7`, `v8` for ARM, `v1` to `v4` for amd64; empty if unset.
    public var variant: String

    public init(os: String = "linux", architecture: String, variant: String = "") {
        self.os = os
        self.architecture = architecture
        self.variant = variant
    }

    /// The platform of this machine.
    public static var current: Platform {
        #if arch(x86_64)
            Platform(architecture: "amd64")
        #elseif arch(arm64)
            Platform(architecture: "arm64", variant: "v8")
        #elseif arch(arm)
            Platform(architecture: "arm", variant: "v7")
        #elseif arch(riscv64)
            Platform(architecture: "riscv64")
        #elseif arch(s390x)
            Platform(architecture: "s390x")
        #else
            Platform(architecture: "ppc64le")
        #endif
    }

    /// The platform in canonical spelling, as in containerd's platforms package: `aarch64` becomes arm64, `armhf`
    /// becomes arm/v7, and `x86_64` becomes amd64. A baseline variant (v8 of arm64, v1 of amd64) becomes empty.
    var normalised: Platform {
        var result = self
        result.os = os.lowercased()
        result.architecture = architecture.lowercased()
        result.variant = variant.lowercased()
        switch result.architecture {
        case "x86_64", "x86-64":
            result.architecture = "amd64"
        case "aarch64":
            result.architecture = "arm64"
        case "armhf":
            result.architecture = "arm"
            result.variant = "v7"
        case "armel":
            result.architecture = "arm"
            result.variant = "v6"
        default: break
        }
        switch (result.architecture, result.variant) {
        case ("amd64", "v1"): result.variant = ""
        case ("arm64", "8"), ("arm64", "v8"): result.variant = ""
        case ("arm", ""), ("arm", "7"): result.variant = "v7"
        case ("arm", "5"), ("arm", "6"), ("arm", "8"): result.variant = "v" + result.variant
        default: break
        }
        return result
    }

    /// Rates how well an image for the platform `offered` suits this platform: 0 is an exact match, and a larger number
    /// is worse. Returns `nil` if this platform does not accept the image.
    ///
    /// A platform accepts images for older variants of its architecture. A 64-bit ARM platform accepts no 32-bit
    /// images, because not every 64-bit ARM processor can run them.
    func preference(for offered: Platform) -> Int? {
        let mine = normalised
        let theirs = offered.normalised
        guard mine.os == theirs.os, mine.architecture == theirs.architecture else { return nil }
        if mine.variant == theirs.variant { return 0 }
        guard let own = Self.level(mine), let other = Self.level(theirs), other < own else { return nil }
        return own - other
    }

    /// Returns the rank of the platform's variant: v5 < v6 < v7 < v8 for ARM, v1 < v2 < v3 < v4 for amd64. An empty
    /// variant ranks as v8 on arm64 and as v1 on amd64. Returns `nil` if the variant has no rank.
    private static func level(_ platform: Platform) -> Int? {
        switch platform.architecture {
        case "arm", "amd64", "arm64":
            if platform.variant.isEmpty { return platform.architecture == "arm64" ? 80 : 10 }
            guard platform.variant.hasPrefix("v") else { return nil }
            let parts = platform.variant.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count <= 2, let major = parts.first.flatMap({ Int($0) }), (1...9).contains(major) else {
                return nil
            }
            guard parts.count == 2 else { return major * 10 }
            guard let minor = Int(parts[1]), (0...9).contains(minor) else { return nil }
            return major * 10 + minor
        default: return nil
        }
    }
}

extension Platform: CustomStringConvertible {
    public var description: String { variant.isEmpty ? "\(os)/\(architecture)" : "\(os)/\(architecture)/\(variant)" }
}

extension Platform: Codable {
    private enum Key: String, CodingKey { case os, architecture, variant }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        os = try values.decodeIfPresent(String.self, forKey: .os) ?? ""
        architecture = try values.decodeIfPresent(String.self, forKey: .architecture) ?? ""
        variant = try values.decodeIfPresent(String.self, forKey: .variant) ?? ""
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode(os, forKey: .os)
        try values.encode(architecture, forKey: .architecture)
        if !variant.isEmpty { try values.encode(variant, forKey: .variant) }
    }
}
