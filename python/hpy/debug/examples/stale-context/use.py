import example

print(example.answer())
print(example.answer())
