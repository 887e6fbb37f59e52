import RivuletCommands

await runRivulet()
