import example

thing = example.Thing()
del thing
