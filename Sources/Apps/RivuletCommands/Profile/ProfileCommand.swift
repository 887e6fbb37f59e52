import ArgumentParser

/// `rivulet profile`: records, shows and transfers profiles of image starts.
struct ProfileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile",
        abstract: "Record, show and transfer profiles of image starts.",
        discussion: """
            A profile lists the pieces of an image's files that a container reads until it is ready, in the order of their first \
            use. The daemon records one on an image's first start. It prefetches the image, and other tags of its repository, \
            with it. A node with an imported profile starts the image as fast as a node that has run it before.

            Examples:
              rivulet profile record --image registry.example/team/app:1.2 -o app.profile
              rivulet profile show
              rivulet profile export 83b8a1f0 -o app.profile
              rivulet profile import app.profile
            """,
        subcommands: [
            ProfileRecord.self, ProfileShow.self, ProfileExport.self, ProfileImport.self,
        ])
}
