import example

print(example.answer())
