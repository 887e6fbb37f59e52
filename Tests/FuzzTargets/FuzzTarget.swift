/// A parser of outside bytes, and the promises that it keeps for every input.
public struct FuzzTarget: Sendable {
    /// The name of its corpus and dictionary in `Tests/Fuzz`.
    public let name: String
    /// The function that parses one input. It traps if the parser breaks a promise, but it may reject the input.
    public let run: @Sendable (UnsafeRawBufferPointer) -> Void

    init(_ name: String, _ run: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
        self.name = name
        self.run = run
    }

    /// All targets, grouped by the origin of their input.
    public static let all: [FuzzTarget] = [
        // Layers and archives.
        footer, toc, tree, chunks, tar, tarHeader, pax, layerIndexBlob, codecs,
        // The registry's answers and its configuration.
        manifest, imageConfiguration, referrers, authChallenge, tokenAnswer, contentRange, multipart, redirect,
        imageReference, hosts, dockerConfig, pushNotification,
        // Start-up files.
        startupPack, profileFile,
        // Image files that predictions read, and the packets of the analyzer process.
        pythonSource, pythonCompiled, pythonExtension, nodeSource, packageManifest, elf, settings, analyzerPacket,
        // containerd's requests.
        snapshotFilter, linearRegex,
        // Our own files, as a disk may return them.
        presence, tarSplitLog,
    ]

    /// Returns the target called `name`.
    public static func named(_ name: String) -> FuzzTarget? {
        all.first { $0.name == name }
    }
}
