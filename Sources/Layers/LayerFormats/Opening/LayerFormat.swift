public import Base

/// A format that layers can be streamed in.
///
/// A new one is a folder with its `LayerFormat` and ``LayerOpener``, and a line in ``LayerFormatRegistry/standard``.
public protocol LayerFormat: Sendable {
    /// The name for logs, such as "eStargz".
    var name: String { get }

    /// Returns whether the description says that the layer is of this format.
    func isAnnounced(by layer: LayerDescription) -> Bool

    /// Returns whether an unannounced layer may be of this format. Only asked where unverified tables of contents are
    /// allowed.
    func mayBe(_ layer: LayerDescription) -> Bool

    /// Returns an opener for the layer. What is wrong with the description shows in its first step.
    func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener
}

extension LayerFormat {
    /// Returns an opener for the layer with the options of the daemon.
    public func opener(for layer: LayerDescription) -> any LayerOpener {
        opener(for: layer, options: LayerOpenOptions())
    }
}

/// Makes a layer index without doing I/O: says which bytes it wants, and the caller brings them.
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
/// After an error the opener is of no more use.
public protocol LayerOpener: Sendable {
    /// Returns the next step. The step that makes the index takes CPU time, a second for half a million entries: not on
    /// an event loop.
    mutating func next() throws(LayerFormatError) -> OpenStep

    /// Takes bytes of the blob.
    ///
    /// - Parameters:
    ///   - range: the place of `bytes` in the blob. More than what was asked for is fine.
    ///   - blobSize: the size of the whole blob, as the registry says it.
    mutating func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError)

    /// Takes the bytes of the companion that the last step asked for.
    mutating func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError)
}

/// Options of opening a layer, for all formats.
public struct LayerOpenOptions: Sendable {
    /// Accepts a layer whose annotations name no digest of its table of contents. An annotation that is there always
    /// counts, and every chunk needs its digest in any case.
    public var allowUnverifiedTOC: Bool
    public var limits: LayerFormatLimits

    public init(allowUnverifiedTOC: Bool = false, limits: LayerFormatLimits = .standard) {
        self.allowUnverifiedTOC = allowUnverifiedTOC
        self.limits = limits
    }
}
