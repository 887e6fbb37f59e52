public import Base
public import Codecs
public import LayerIndex

extension ExtentDecoder {
    /// Expects the first byte of an extent.
    ///
    /// - Parameter windows: the layer's.
    /// - Throws: `truncated` when the window that it needs is not here.
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

    /// Returns the window in its stored form.
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
