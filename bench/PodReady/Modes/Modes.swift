public import Base
public import Lab

/// The table of all modes.
public enum Modes {
    /// All modes, in the order of the tables.
    public static let all: [any Mode] = [
        OverlayfsMode(), StargzMode(), StargzOptimisedMode(), RivuletMode(), RivuletMode(name: "rivulet-aa"),
        RivuletMode(name: "rivulet-unpredicted", options: "[streaming]\npredict = false\n"), RivuletProfileMode(),
        RivuletWarmMode(), RivuletMode(name: "rivulet-artifact", form: .artifact),
        RivuletProfileMode(name: "rivulet-artifact-profile", form: .artifact),
        RivuletMode(name: "rivulet-artifact-predicted", form: .artifactPredicted),
        RivuletMode(name: "rivulet-artifact-pack", form: .artifactPack), LocalMode(), StreamMode(),
    ]

    /// The names of a grid's default modes: all modes that need only Debian's packages, each once.
    public static let usual = ["overlayfs", "rivulet", "rivulet-profile", "rivulet-warm", "local", "stream"]

    /// Parses the names of modes, separated by commas.
    /// - Throws: `usage` with the known names.
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
