import Prediction
import RivuletCommands

Analyzer.runIfRequested()
await runRivulet()
