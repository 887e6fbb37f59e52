public import Base

/// The file analyzer of settings files, such as `nginx.conf`. It reports the files that a settings file names.
public struct SettingsAnalyzer: FileAnalyzer {
    public init() {}

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        SettingsFile.isNamed(file.name) && file.size <= SettingsFile.largest ? file.whole : nil
    }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        for path in SettingsFile.paths(in: bytes) {
            for file in start.files.matching(path) where file.size <= SettingsFile.largest { start.want(file) }
        }
    }
}
