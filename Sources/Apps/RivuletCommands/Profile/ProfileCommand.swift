import ArgumentParser

/// `rivulet profile`: what is known of how images start.
struct ProfileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile",
        abstract: "Records the profiles of images, shows them, and carries them from node to node.",
        discussion: """
            A profile says which pieces of an image's files a container reads until it is ready, in the order of their \
            first use. The daemon records one whenever it mounts an image for the first time, and starts the image, and \
            other tags of its repository, with it. A node that is given one starts the image as fast as one that has \
            run it before.

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
