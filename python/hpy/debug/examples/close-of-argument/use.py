import example

print(example.length("text"))
