import Base
import Glibc

// The work runs on its own thread, because code in this file is isolated to the main actor.
exit(MountBench.main(CommandLine.arguments))
