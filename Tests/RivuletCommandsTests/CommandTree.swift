import ArgumentParser
import RivuletCommands

/// The subcommands of `rivulet`.
enum CommandTree {
    /// Follows the names of subcommands at the start of `arguments`.
    ///
    /// - Returns: the innermost command, and the number of words that name it.
    static func find(_ arguments: [String]) -> (command: any ParsableCommand.Type, depth: Int) {
        var command: any ParsableCommand.Type = Rivulet.self
        var depth = 0
        for word in arguments {
            guard let next = command.configuration.subcommands.first(where: { $0._commandName == word }) else { break }
            command = next
            depth += 1
        }
        return (command, depth)
    }

    /// Returns `root` and all commands below it.
    static func all(_ root: any ParsableCommand.Type = Rivulet.self) -> [any ParsableCommand.Type] {
        [root] + root.configuration.subcommands.flatMap { all($0) }
    }

    /// The examples in the help texts of all commands.
    static let examples = all().flatMap { command in
        command.configuration.discussion.split(separator: "\n").flatMap { line in
            line.hasPrefix("  ")
                ? DocumentedCommand.commands(in: String(line), source: "\(command._commandName) --help") : []
        }
    }
}
