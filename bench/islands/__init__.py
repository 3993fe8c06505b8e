"""Islands: what goes wrong in one test of a command stays in that test, and the rest of the suite is still judged.

A cell's main process stays beside the user's command as its supervisor. The pytest that the command is, or starts,
marks in a file which test begins, until when it may run, and what was judged. Where an interpreter dies in a test, or
a test passes its deadline, the supervisor records that test with the stacks of every process, ends the whole tree, and
runs the command again; the plugin then leaves out what was judged before.

`marks` is the file, `session` what it says, `ends` the lines for tests that did not end, `crashes` the interpreters'
last words, `supervisor` the processes.
"""
