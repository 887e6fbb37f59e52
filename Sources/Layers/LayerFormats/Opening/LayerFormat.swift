public import Base

/// A format in which layers can be streamed.
///
/// To add a format, add a folder with its `LayerFormat` and ``LayerOpener``, and a line in
/// ``LayerFormatRegistry/standard``.
public protocol LayerFormat: Sendable {
    /// The name for logs, such as "eStargz".
    var name: String { get }

    /// Returns true if the description announces that the layer has this format.
    func isAnnounced(by layer: LayerDescription) -> Bool

    /// Returns true if an unannounced layer may have this format. The registry asks this only if unverified tables of
    /// contents are allowed.
    func mayBe(_ layer: LayerDescription) -> Bool

    /// Returns an opener for the layer. The opener's first step reports any errors in the description.
    func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener
}

extension LayerFormat {
    /// Returns an opener for the layer with the default options.
    public func opener(for layer: LayerDescription) -> any LayerOpener {
        opener(for: layer, options: LayerOpenOptions())
    }
}

/// A state machine that creates a layer index without I/O. It requests bytes, and the caller supplies them.
///
///     var opener = try LayerFormatRegistry.standard.opener(for: layer)
///     while true {
///         switch try opener.next() {
///         case .read(let request): try opener.receive(bytes, range: …, blobSize: …)
///         case .readCompanion(let companion): try opener.receiveCompanion(bytes)
///         case .done(let index): return index
///         }
///     }
///
/// Do not use an opener after it threw an error.
public protocol LayerOpener: Sendable {
    /// Returns the next step. The step that creates the index takes CPU time, a second for half a million entries. Do
    /// not call this function on an event loop.
    mutating func next() throws(LayerFormatError) -> OpenStep

    /// Accepts bytes of the blob.
    ///
    /// - Parameters:
    ///   - range: the range of the blob that `bytes` covers. It may be larger than the requested range.
    ///   - blobSize: the size of the whole blob according to the registry.
    mutating func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError)

    /// Accepts all bytes of the companion that the last step requested.
    mutating func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError)
}

/// Options for opening a layer, common to all formats.
public struct LayerOpenOptions: Sendable {
    /// True if the annotations may lack the digest of the table of contents. If an annotation has one, the opener
    /// always verifies it. Every chunk needs a digest in any case.
    public var allowUnverifiedTOC: Bool
    public var limits: LayerFormatLimits

    public init(allowUnverifiedTOC: Bool = false, limits: LayerFormatLimits = .standard) {
        self.allowUnverifiedTOC = allowUnverifiedTOC
        self.limits = limits
    }
}
