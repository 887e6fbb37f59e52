public import Base
public import Lab

/// All modes, by name.
public enum Modes {
    /// All modes in the order of tables.
    public static let all: [any Mode] = [
        OverlayfsMode(), StargzMode(), StargzOptimisedMode(), RivuletMode(), RivuletMode(name: "rivulet-aa"),
        RivuletMode(name: "rivulet-unpredicted", options: "[streaming]\npredict = false\n"), RivuletProfileMode(),
        RivuletWarmMode(), RivuletMode(name: "rivulet-artifact", form: .artifact),
        RivuletProfileMode(name: "rivulet-artifact-profile", form: .artifact),
        RivuletMode(name: "rivulet-artifact-predicted", form: .artifactPredicted),
        RivuletMode(name: "rivulet-artifact-pack", form: .artifactPack), LocalMode(), StreamMode(),
    ]

    /// The default modes of a grid: all that need only Debian's packages, once.
    public static let usual = ["overlayfs", "rivulet", "rivulet-profile", "rivulet-warm", "local", "stream"]

    /// Parses names separated by commas.
    /// - Throws: `usage`, with the known names.
    public static func list(_ names: String) throws(LabError) -> [any Mode] {
        var modes: [any Mode] = []
        for name in names.split(separator: ",") {
            guard let mode = all.first(where: { $0.name == name }) else {
                let known = all.map(\.name).joined(separator: ", ")
                throw LabError(.usage, "unknown mode '\(name)'; known: \(known)")
            }
            modes.append(mode)
        }
        return modes
    }
}
