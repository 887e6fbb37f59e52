public import Base

/// A list of the formats in which layers can be streamed. The first format that matches a layer is used.
public struct LayerFormatRegistry: Sendable {
    /// All supported formats. The first match wins, so ``IndexedFormat`` comes last: a layer with its own table of
    /// contents needs no index from a streaming artifact.
    public static let standard = LayerFormatRegistry([
        EstargzFormat(),
        ZstdChunkedFormat(),
        IndexedFormat(),
    ])

    public let formats: [any LayerFormat]
    private let names: [String]

    public init(_ formats: [any LayerFormat]) {
        self.formats = formats
        names = formats.map(\.name)
    }

    /// Returns the first format for which ``LayerFormat/isAnnounced(by:)`` returns true; `nil` if there is none.
    public func format(of layer: LayerDescription) -> (any LayerFormat)? {
        formats.first { $0.isAnnounced(by: layer) }
    }

    /// Returns the digest that pins the layer's index, according to the format that ``format(of:)`` returns; `nil` if
    /// there is no such format or digest.
    public func pin(of layer: LayerDescription) -> Digest? {
        format(of: layer)?.pin(in: layer)
    }

    /// Returns an opener for the layer.
    ///
    /// The opener is for the format that ``format(of:)`` returns. If there is none, and `options` allow unverified
    /// tables of contents, the first format whose ``LayerFormat/mayBe(_:)`` returns true is used.
    ///
    /// - Throws: `unverified` if no format applies.
    public func opener(
        for layer: LayerDescription, options: LayerOpenOptions = LayerOpenOptions()
    ) throws(LayerFormatError) -> any LayerOpener {
        let format = format(of: layer) ?? (options.allowUnverifiedTOC ? formats.first { $0.mayBe(layer) } : nil)
        guard let format else {
            let known = names.joined(separator: ", ")
            throw LayerFormatError(
                .unverified, "layer \(layer.digest): no annotation or artifact says that it is one of \(known)")
        }
        return format.opener(for: layer, options: options)
    }
}

extension LayerFormatRegistry: Hashable {
    /// Returns true if the formats of both registries have the same names in the same order.
    public static func == (left: LayerFormatRegistry, right: LayerFormatRegistry) -> Bool {
        left.names == right.names
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(names.count)
    }
}
