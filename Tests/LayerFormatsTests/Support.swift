import Base
import LayerFormats
import LayerIndex
import TestSupport

extension EstargzBlob {
    /// Returns this blob's description in a manifest.
    func description(annotated: Bool = true) -> LayerDescription {
        LayerDescription(
            digest: digest, size: UInt64(bytes.count), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
            annotations: annotated ? annotations : [:])
    }

    /// Opens the blob, answering each request from its bytes.
    func open(
        allowUnverifiedTOC: Bool = false, annotated: Bool = true, limits: LayerFormatLimits = .standard,
        requests: (BlobRequest) -> Void = { _ in }
    ) throws -> LayerIndexBytes {
        var opener = EstargzFormat().opener(
            for: description(annotated: annotated),
            options: LayerOpenOptions(allowUnverifiedTOC: allowUnverifiedTOC, limits: limits))
        while true {
            switch try opener.next() {
            case .read(let request):
                requests(request)
                let range =
                    switch request {
                    case .suffix(let count):
                        ByteRange(offset: UInt64(max(0, bytes.count - Int(count))), end: UInt64(bytes.count))
                    case .range(let range): range
                    }
                try opener.receive(
                    Array(bytes[Int(range.offset)..<Int(range.end)]), range: range, blobSize: UInt64(bytes.count))
            case .readCompanion: try opener.receiveCompanion(externalTOC ?? [])
            case .done(let index): return index
            }
        }
    }
}
