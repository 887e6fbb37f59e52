import Base
import Glibc

// The work runs on a thread: code in this file is isolated to the main actor.
exit(MountBench.main(CommandLine.arguments))
