import example

print(example.type_name(42))
