import example

print(example.identity("something"))
