public import Base
public import Codecs
public import LayerIndex

extension ExtentDecoder {
    /// Prepares the decoder for the first byte of `extent`.
    ///
    /// - Parameter windows: the windows of the extent's layer; `nil` if the layer has none.
    /// - Throws: `truncated` if the extent's window is missing; `corrupt` if the extent's restart point is missing or
    ///   invalid; otherwise the error from decompressing the window.
    public func begin(_ extent: Extent, _ windows: WindowsFile?) throws(CodecError) {
        switch extent.codec {
        case .raw: reset(.raw)
        case .gzip: reset(.gzip)
        case .zstd: reset(.zstd)
        case .deflate:
            guard let restart = extent.restart,
                let start = DeflateRestart(bitCount: restart.bitCount, bits: restart.bits)
            else { throw CodecError(.corrupt, "a restart point out of range") }
            guard !restart.window.isEmpty else { return reset(start, window: []) }
            guard let stored = windows?.window(of: restart) else {
                throw CodecError(.truncated, "its window is not here")
            }
            reset(start, window: try window(stored))
        }
    }

    /// Decompresses a window from its stored form.
    private func window(_ stored: [UInt8]) throws(CodecError) -> [UInt8] {
        reset(.zstd)
        var window = [UInt8](repeating: 0, count: DeflateRestart.windowSize)
        let count = try window.withUnsafeMutableBufferPointer { (output) throws(CodecError) in
            try stored.withUnsafeBufferPointer { (input) throws(CodecError) in
                try decode(UnsafeRawBufferPointer(input), into: UnsafeMutableRawBufferPointer(output)).produced
            }
        }
        window.removeLast(window.count - count)
        return window
    }
}
