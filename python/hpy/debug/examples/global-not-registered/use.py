import example

example.remember("something")
