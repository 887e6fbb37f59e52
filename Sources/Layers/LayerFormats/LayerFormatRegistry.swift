public import Base

/// The formats that layers can be streamed in, in the order in which they are asked.
public struct LayerFormatRegistry: Sendable {
    /// Every format that the node reads. A layer with a table of contents of its own needs no index of an artifact.
    public static let standard = LayerFormatRegistry([
        EstargzFormat(),
        ZstdChunkedFormat(),
        IndexedFormat(),
    ])

    public let formats: [any LayerFormat]

    public init(_ formats: [any LayerFormat]) {
        self.formats = formats
    }

    /// Returns the format that the description announces; `nil` when it announces none.
    public func format(of layer: LayerDescription) -> (any LayerFormat)? {
        formats.first { $0.isAnnounced(by: layer) }
    }

    /// Returns an opener for the layer, of the first format that it announces.
    ///
    /// - Throws: `unverified` for a layer that announces none, unless `options` allow to try.
    public func opener(
        for layer: LayerDescription, options: LayerOpenOptions = LayerOpenOptions()
    ) throws(LayerFormatError) -> any LayerOpener {
        let format = format(of: layer) ?? (options.allowUnverifiedTOC ? formats.first { $0.mayBe(layer) } : nil)
        guard let format else {
            let names = formats.map(\.name).joined(separator: ", ")
            throw LayerFormatError(
                .unverified, "layer \(layer.digest): no annotation or artifact says that it is one of \(names)")
        }
        return format.opener(for: layer, options: options)
    }
}

extension LayerFormatRegistry: Hashable {
    /// Formats are equal when their names are.
    public static func == (left: LayerFormatRegistry, right: LayerFormatRegistry) -> Bool {
        left.formats.map(\.name) == right.formats.map(\.name)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(formats.map(\.name))
    }
}
