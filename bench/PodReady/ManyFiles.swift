import Base
import Lab
import Linux

/// An image of one layer with many small files, like a tree of JavaScript packages.
struct ManyFiles: Sendable {
    /// The number of regular files. Each directory has 100 of them.
    let files: Int
    /// The number that distinguishes images of the same size, so that no two share a layer.
    let variant: Int

    private var repository: String { "micro/files-\(files)-\(variant)" }
    var reference: String { "\(HostsDirectory.registry)/\(repository):\(ImageForm.estargz.rawValue)" }
    private var plainReference: String { "\(HostsDirectory.registry)/\(repository):\(ImageForm.plain.rawValue)" }

    /// Returns true if ``publish(with:work:in:)`` has pushed the image to `registryStorage`.
    func isIn(_ registryStorage: String) -> Bool {
        RegistryStorage.holds(ImageForm.estargz.rawValue, of: repository, in: registryStorage)
    }

    /// Builds the image below `work`, and pushes both of its forms.
    func publish(with publisher: ImagePublisher, work: String, in lab: Lab) async throws(LabError) {
        let tree = "\(work)/tree"
        do {
            try await blocking { try make(tree) }
        } catch {
            throw LabError(.files, "cannot create \(tree)", cause: error)
        }
        try await Command.run(
            ["tar", "--create", "--file", "\(work)/layer.tar"] + OCIArchive.tarOptions + ["--directory", tree, "."],
            in: lab)
        var image = OCIArchive(reference: plainReference)
        image.layers = ["\(work)/layer.tar"]
        image.command = ["/none"]
        try await image.write(to: "\(work)/image.tar", in: lab)
        try await publisher.publish(archive: "\(work)/image.tar", reference: plainReference, estargz: reference)
        try await Command.run(["rm", "-r", work], in: lab)
    }

    private func make(_ tree: String) throws {
        for directory in 0..<(files + 99) / 100 {
            let path = "\(tree)/packages/group-\(directory / 50)/package-\(directory)"
            try Files.makeDirectory(path)
            for file in 0..<min(100, files - 100 * directory) {
                let text = "module \(variant) \(directory) \(file)\n"
                try Sys.writeFile("\(path)/module-\(file).js", Array(text.utf8), permissions: 0o644)
            }
        }
    }
}
