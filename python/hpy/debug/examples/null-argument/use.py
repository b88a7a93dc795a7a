import example

try:
    print(example.initial_of(42))
except AttributeError as error:
    print(error)
