public import Base

/// A format in which layers can be streamed.
///
/// To add a format, add a folder with its `LayerFormat` and ``LayerOpener``, and a line in
/// ``LayerFormatRegistry/standard``.
public protocol LayerFormat: Sendable {
    /// The name for logs, such as "eStargz".
    var name: String { get }

    /// Returns true if the description says that the layer has this format: in its annotations, or by a reference to an
    /// index in a streaming artifact.
    func isAnnounced(by layer: LayerDescription) -> Bool

    /// Returns the digest in the description that pins the layer's index; `nil` if the description has none, or a
    /// malformed one.
    ///
    /// Two layers with the same blob and the same pin have the same index.
    func pin(in layer: LayerDescription) -> Digest?

    /// Returns true if a layer may have this format although its description does not say so. ``LayerFormatRegistry``
    /// calls this only if ``LayerOpenOptions/allowUnverifiedTOC`` is true.
    func mayBe(_ layer: LayerDescription) -> Bool

    /// Returns an opener for the layer. If the description has errors, the first call of ``LayerOpener/next()`` throws.
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
    /// Returns the next step. The last step creates the index, which takes about one second of CPU time for half a
    /// million entries. Do not call this function on an event loop.
    ///
    /// - Parameter deadline: the deadline of the step, which throws ``LayerFormatErrorCode/deadline`` after it.
    mutating func next(by deadline: WorkDeadline) throws(LayerFormatError) -> OpenStep

    /// The memory that the next step takes, if it creates the index; `nil` if the next step is a cheap one.
    var memory: OpeningMemory? { get }

    /// Limits the memory for creating the index. Without this call, only the limits of ``LayerOpenOptions`` hold.
    mutating func limitMemory(to bytes: UInt64)

    /// Accepts bytes of the blob.
    ///
    /// - Parameters:
    ///   - range: the range of the blob that `bytes` covers. It may be larger than the requested range.
    ///   - blobSize: the size of the whole blob in bytes, as the registry reports it.
    mutating func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError)

    /// Accepts all bytes of the ``LayerCompanion`` that the last step requested.
    mutating func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError)
}

extension LayerOpener {
    /// Returns the next step, however long it takes.
    public mutating func next() throws(LayerFormatError) -> OpenStep { try next(by: .never) }

    public mutating func limitMemory(to bytes: UInt64) {}
}

/// Options for opening a layer, common to all formats.
public struct LayerOpenOptions: Sendable {
    /// True to accept a table of contents (TOC) for which no annotation has a digest. If an annotation has a digest,
    /// the opener always verifies the TOC against that digest. In both cases, the TOC must contain the digest of every
    /// chunk of file content.
    public var allowUnverifiedTOC: Bool
    public var limits: LayerFormatLimits

    public init(allowUnverifiedTOC: Bool = false, limits: LayerFormatLimits = .standard) {
        self.allowUnverifiedTOC = allowUnverifiedTOC
        self.limits = limits
    }
}
