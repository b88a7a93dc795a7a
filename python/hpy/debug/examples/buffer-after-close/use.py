import example

print(example.initial("text"))
