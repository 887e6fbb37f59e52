import Lab

/// Measures the time to walk a complete image: names, attributes, and content.
struct MicroWalk: Sendable {
    let micro: MicroLab

    func run() async throws {
        print("")
        MicroLab.printRow("complete image", ["list µs", "lstat µs", "read"])
        try await micro.roots(of: .numpy) { name, root in
            try await blocking {
                _ = try TreeWalk(root, reading: true)
                let warm = try TreeWalk(root, reading: true)
                try PageCache.drop()
                let cold = try TreeWalk(root, reading: true)
                MicroLab.printRow("\(name), cold", cold.cells)
                MicroLab.printRow("\(name), warm", warm.cells)
            }
        }
    }
}
