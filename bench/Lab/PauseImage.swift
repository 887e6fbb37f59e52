/// The image of pod sandboxes, which consists of one static program that waits.
///
/// The bench builds it, because it uses no other registry.
public enum PauseImage {
    public static let reference = "registry.lab/pause:1"

    /// Compiles `source` (C) and writes the image as an OCI archive.
    public static func build(source: String, archive: String, in lab: Lab) async throws(LabError) {
        let work = "\(lab.directory)/pause"
        try Files.makeDirectory(work)
        try await Command.run(["gcc", "-static", "-Os", "-s", "-o", "\(work)/pause", source], in: lab)
        try await Command.run(
            ["tar", "--create", "--file", "\(work)/layer.tar"] + OCIArchive.tarOptions
                + ["--directory", work, "pause"], in: lab)
        var image = OCIArchive(reference: reference)
        image.command = ["/pause"]
        image.layers = ["\(work)/layer.tar"]
        try await image.write(to: archive, in: lab)
    }
}
