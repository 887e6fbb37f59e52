import Base
import Glibc

// The work is done on a thread: what is written here belongs to the main actor.
exit(MountBench.main(CommandLine.arguments))
