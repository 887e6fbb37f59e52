/// A parser of outside bytes with the promises it keeps for every input.
public struct FuzzTarget: Sendable {
    /// The name of its corpus and dictionary in `Tests/Fuzz`.
    public let name: String
    /// Parses one input. Traps when the parser breaks a promise; a rejected input is fine.
    public let run: @Sendable (UnsafeRawBufferPointer) -> Void

    init(_ name: String, _ run: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
        self.name = name
        self.run = run
    }

    /// All targets, in the order of this list in `Tests/Fuzz/run`.
    public static let all: [FuzzTarget] = [
        // Layers and archives.
        footer, toc, tree, chunks, tar, tarHeader, pax, layerIndexBlob, codecs,
        // The registry's answers and its configuration.
        manifest, imageConfiguration, referrers, authChallenge, tokenAnswer, contentRange, multipart, redirect,
        imageReference, hosts, dockerConfig, pushNotification,
        // Start-up files.
        startupPack, profileFile,
        // Files of images that predictions read, and what their process says.
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
