import example

example.work()
